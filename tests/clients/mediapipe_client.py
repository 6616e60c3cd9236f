"""Runs a kit's model in MediaPipe's ImageSegmenter: mediapipe_client.py MODEL INPUT OUTPUT [MORE].

OUTPUT is the category mask (H, W) uint8, not the logits; MORE the confidence masks (C, H, W)
float32. MediaPipe takes images: a float INPUT is converted back to bytes with the mean and std of
the contract.json next to MODEL.
"""

import json
import sys
from importlib.metadata import version
from pathlib import Path

import mediapipe as mp
import numpy as np

model, source, target, *more = sys.argv[1:]
contract = json.loads(Path(model).with_name("contract.json").read_text())
pixels = np.fromfile(source, contract["input"]["dtype"]).reshape(contract["input"]["shape"])[0]
if pixels.dtype != np.uint8:
    pixels = np.round(pixels * contract["std"] + contract["mean"]).astype(np.uint8)
options = mp.tasks.vision.ImageSegmenterOptions(
    base_options=mp.tasks.BaseOptions(model_asset_path=model), output_category_mask=True,
    output_confidence_masks=bool(more),
)  # fmt: skip
with mp.tasks.vision.ImageSegmenter.create_from_options(options) as segmenter:
    image = mp.Image(image_format=mp.ImageFormat.SRGB, data=pixels)
    found = segmenter.segment(image)
    found.category_mask.numpy_view().tofile(target)
    for path in more:
        np.float32([each.numpy_view() for each in found.confidence_masks]).tofile(path)
    runtime = f"MediaPipe {version('mediapipe')}, ImageSegmenter"
    print(json.dumps({"version": runtime, "labels": segmenter.labels}))
