"""Bytes and runtime of a .tflite; no Keras, no dataset."""
