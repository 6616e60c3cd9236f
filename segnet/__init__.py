"""The network: definition, cost, pretrained weights, losses, metrics, training, run folder."""

__version__ = "0.1.0"
