"""A run folder whose reports have known values, and its page."""

import hashlib
import json
import re

from export.report import report

NAME = '<b>lip & "co"</b>'  # of a class
ESCAPED = "&lt;b&gt;lip &amp; &#34;co&#34;&lt;/b&gt;"
WEIGHTS = b"weights of the best epoch"
REPORT = {
    "verdict": "yes",
    "reasons": [],
    "recipe": "int8",
    "lowering": "signs+depth_to_space",
    "lowerings": {"signs+depth_to_space": 4.121, "signs+deconv": "xnnpack: <3> outside"},
    "pixel_agreement_floor": 0.97,
    "max_drop": 0.01,
    "asked_targets": ["xnnpack"],
    "layer_snr_floor": 12.0,
    "logit_bias_most": 0.1,
    "max_class_drop": 0.05,
    "graph_error": 1.5e-6,
    "weight_error": 0.4712,
    "layer_snr": 28.14,
    "logit_bias": 0.0171,
    "logit_scale_error": 0.0006,
    "worst_class_drop": 0.0152,
    "minority": 1.0185,
    "mistakes_seen": 1,
    "miou_difference": 0.0,
    "claim_faults": [],
    "calibration_error": 0.0275,
    "judged_on": "test",
    "judged_images": 233,
    "remarks": ["not in the masks of test, so that nothing is known about it: <never>"],
    "miou_keras": 0.7,
    "miou_tflite": 0.69344,
    "miou_drop": 0.00656,
    "iou_keras": {"sky": 0.9, NAME: 0.5, "never": None},
    "iou_tflite": {"sky": 0.9021, NAME: 0.4848, "never": None},
    "confusion": [[900, 100, 0], [125, 375, 0], [0, 0, 0]],
    "miou_by_resize": {"area": 0.6912, "bilinear": 0.6871, "lanczos": 0.6905},
    "resize_images": 61,
    "pixel_agreement": 0.98761,
    "max_abs_error": 0.0421,
    "ops": {"CONV_2D": 27, "QUANTIZE": 1},
    "partitions": 1,
    "outside": {"QUANTIZE": 1},
    "versions": {"CONV_2D": 3, "QUANTIZE": 1},
    "conversions": {"uint8->int8 input": 2},
    "float_operators": [],
    "open_shapes": [],
    "custom_operators": [],
    "dead_layers": [],
    "targets": {
        "xnnpack": {"how": "run here and list", "asked": True, "refused": []},
        "coreml": {
            "how": "published list",
            "asked": False,
            "refused": ["QUANTIZE (input): not taken", "MUL (a<b): version 2, at most 1"],
        },
        "npu": {"how": "published list", "asked": False, "refused": []},
    },
    "target_faults": [],
    "largest_activation": 51.72,
    "fp16_safe": True,
    "clipped": 0.0061,
    "layer_errors": [{"layer": "conv1", "added": 0.0207, "snr": 28.14, "clipped": 0.0043}],
    "contract_agreement": 1.0,
    "mistakes": {"channel order": 0.0681, "label order": 0.95},
    "metadata_faults": [],
    "calibration_distance": 0.0226,
    "machine": "EPYC <7>, 2 cores",
    "latency_ms": 4.127,
    "latency": {
        "one thread": {"least": 4.0, "median": 4.127, "p90": 5.5, "ratio": 0.47},
        "2 threads": {"least": 0.8, "median": 0.8127, "p90": 0.9, "ratio": 0.52},
    },
    "time_by_operator": [
        {"layer": "deconv4_dw", "operator": "DEPTHWISE_CONV_2D", "ms": 1.5, "share": 0.363},
        {"layer": "conv1", "operator": "CONV_2D", "ms": 0.75, "share": 0.182},
    ],
    "frame": {
        "machine": "EPYC <8>, 2 cores",
        "ms": [
            {
                "width": 1280,
                "height": 720,
                "path": "live",
                "tensor": 0.5,
                "network": 1.75,
                "mask": 0.25,
                "colours": 0.125,
                "all": 2.625,
                "rest": 0.875,
            },
        ],
    },
    "size_bytes": 3255520,
    "gzip_bytes": 2421077,
}


def make_run(folder):
    """A run folder without recipes, whose dataset is missing."""
    folder.mkdir()
    plan = {"data": "gone<away>", "preset": "tiny", "size": [64, 96], "epochs": 3}
    manifest = {
        "command": ["python", "train.py", "--data", "a b"],
        "versions": {"keras": "3.15.1"},
        "machine": "x86_64",
        "dataset": {"classes": ["sky", NAME, "never"], "colours": [[0, 0, 0], [9, 8, 7], [1, 2, 3]],
                    "fingerprint": "48f5e420"},
        "best": {"epoch": 2, "miou": 0.3, "sha256": hashlib.sha256(WEIGHTS).hexdigest()},
        "epochs_done": 3,
    }  # fmt: skip
    (folder / "plan.json").write_text(json.dumps(plan))
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (folder / "history.csv").write_text("epoch,miou\n1,0.1\n2,0.3\n3,9e-05\n")
    (folder / "best.weights.h5").write_bytes(WEIGHTS)
    return folder


def release(run, recipe, weights=WEIGHTS, **figures):
    kit = run / "export" / recipe
    kit.mkdir(parents=True)
    contract = {"versions": {"keras": "3.15.1", "ai-edge-litert": "2.3.0"},
                "weights": hashlib.sha256(weights).hexdigest()}  # fmt: skip
    (kit / "report.json").write_text(json.dumps(REPORT | {"recipe": recipe} | figures))
    (kit / "contract.json").write_text(json.dumps(contract))
    return kit


def refuse(run, recipe, **figures):
    (run / "export").mkdir(exist_ok=True)
    path = run / "export" / f"{recipe}.refused.json"
    path.write_text(json.dumps(REPORT | {"recipe": recipe, "verdict": "no"} | figures))


def page(run):
    path = report.write(run)
    assert path == run / "export" / "report.html"
    return path.read_text(encoding="utf-8")


def text(page):
    """The text without tags, and with one plain space for any white space."""
    return " ".join(re.sub(r"<style>.*?</style>|<[^>]*>", " ", page, flags=re.S).split())


# By hand: fractions times 100 are percent or points, bytes over a million MB, 0.9 - 0.9021 is
# -0.21 points, 0.5 - 0.4848 1.52; 100 of 1000 pixels are 10 %, 125 of 500 25 %.
