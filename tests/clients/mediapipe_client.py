"""MediaPipe's ImageSegmenter over a kit's file: mediapipe_client.py MODEL INPUT OUTPUT.

Gives the category mask (H, W) uint8, not logits. It takes images: of a float INPUT, whose range
contract.json beside the model tells, the bytes that it came from.
"""

import json
import sys
from importlib.metadata import version
from pathlib import Path

import mediapipe as mp
import numpy as np

model, source, target = sys.argv[1:]
contract = json.loads(Path(model).with_name("contract.json").read_text())
pixels = np.fromfile(source, contract["input"]["dtype"]).reshape(contract["input"]["shape"])[0]
if pixels.dtype != np.uint8:
    pixels = np.round(pixels * contract["std"] + contract["mean"]).astype(np.uint8)
options = mp.tasks.vision.ImageSegmenterOptions(
    base_options=mp.tasks.BaseOptions(model_asset_path=model), output_category_mask=True
)
with mp.tasks.vision.ImageSegmenter.create_from_options(options) as segmenter:
    image = mp.Image(image_format=mp.ImageFormat.SRGB, data=pixels)
    mask = segmenter.segment(image).category_mask.numpy_view()
    mask.tofile(target)
    runtime = f"MediaPipe {version('mediapipe')}, ImageSegmenter"
    print(json.dumps({"version": runtime, "labels": segmenter.labels}))
