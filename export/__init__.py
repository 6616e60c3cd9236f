"""Exports a finished run for phones: deploy graph, conversion, checks, kit."""
