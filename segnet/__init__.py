"""The network: definition, cost, pretrained weights, losses, metrics, training, run folder."""

import os

__version__ = "0.1.0"
BACKEND = os.environ.get("KERAS_BACKEND", "")  # the person's, "" for none
# Keras would else take its backend from the person's ~/.keras/keras.json.
os.environ["KERAS_BACKEND"] = BACKEND or "tensorflow"
