"""A network for a latency budget."""
