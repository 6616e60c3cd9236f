"""Measurements that stand in docs/results.md."""
