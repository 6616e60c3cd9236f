"""The choice of a network for a latency budget."""
