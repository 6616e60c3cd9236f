"""The page that compares all recipes of a run."""
