"""What can be wrong with a dataset: the table, and a function a check that finds it."""
