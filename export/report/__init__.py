"""The page over all recipes of a run."""
