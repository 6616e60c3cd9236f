"""The checks of a dataset: a table of them, and the functions that find their cases."""
