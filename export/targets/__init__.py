"""A table of operators a target, its rules, and how it is proven."""
