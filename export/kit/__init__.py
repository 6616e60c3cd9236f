"""The kit's folder and the code in it."""
