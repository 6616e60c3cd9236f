"""Runs a .tflite file in LiteRT's interpreter: interpreter_client.py MODEL INPUT OUTPUT."""

import json
import platform
import sys
from importlib.metadata import version

import numpy as np
from ai_edge_litert.interpreter import Interpreter

model, source, target = sys.argv[1:]
interpreter = Interpreter(model_path=model, num_threads=1)
interpreter.allocate_tensors()
image, logits = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
pixels = np.fromfile(source, image["dtype"]).reshape(image["shape"])
interpreter.set_tensor(image["index"], pixels)
interpreter.invoke()
interpreter.get_tensor(logits["index"]).tofile(target)
runtime = f"LiteRT {version('ai-edge-litert')}, {platform.machine()}"
print(json.dumps({"version": runtime}))
