"""The network: rows, blocks, builder, cost, weights, losses, metrics, run folder."""
