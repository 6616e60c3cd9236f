"""The measurements of docs/results.md and LOG.md."""
