"""The deploy graph: folding, lowering, equalisation, calibration, conversion."""
