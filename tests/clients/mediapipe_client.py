"""MediaPipe's ImageSegmenter over one kit; run in an environment of its own (make test-clients).

Prints labels and the category mask of the golden picture as JSON.
"""

import json
import sys
from pathlib import Path

import mediapipe as mp
import numpy as np

kit = Path(sys.argv[1])
golden = np.load(kit / "golden_input.npy")[0]
picture = np.round((golden + 1) * 127.5).astype(np.uint8)
options = mp.tasks.vision.ImageSegmenterOptions(
    base_options=mp.tasks.BaseOptions(model_asset_path=str(kit / "model.tflite")),
    output_category_mask=True,
)
with mp.tasks.vision.ImageSegmenter.create_from_options(options) as segmenter:
    image = mp.Image(image_format=mp.ImageFormat.SRGB, data=np.ascontiguousarray(picture))
    mask = segmenter.segment(image).category_mask.numpy_view()
    print(json.dumps({"labels": segmenter.labels, "mask": np.squeeze(mask).tolist()}))
