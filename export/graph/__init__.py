"""The deploy graph: folded, lowered, equalised, calibrated, converted."""
