"""The checks of a dataset: one a file, and the table of them."""
