"""Runs a kit's model in MediaPipe's ImageSegmenter: mediapipe_client.py MODEL INPUT OUTPUT.

OUTPUT is the category mask (H, W) uint8, not the logits. MediaPipe takes images: a float INPUT is
converted back to bytes with the mean and std of the contract.json next to MODEL.
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
