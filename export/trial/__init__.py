"""A model on a person's own images and videos."""
