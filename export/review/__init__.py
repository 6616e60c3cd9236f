"""Finds images whose masks are probably wrong."""
