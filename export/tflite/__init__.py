"""Reading, writing and running .tflite files, without Keras or a dataset."""
