"""The dataset check: finds what is wrong with a dataset and writes a repaired copy."""
