"""Small kits of random weights, damaged copies of them, and cases for resizing and masks."""

import hashlib
import json
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import cv2
import numpy as np
import pytest
from conftest import show_all_classes

from data.images import write_image
from export.kit.render import render
from export.tflite.runtime import Runtime

KOTLIN = "android/app/src/main/kotlin/segnet"  # in a kit
ROOT = Path(__file__).parent.parent
KINDS = {
    "float32": ("float32", "float32"),
    "int8": ("uint8", "float32"),
    "int8-full": ("uint8", "uint8"),
}
SIZE = (64, 96)  # H, W: not square, so that swapped axes are noticed
PHOTO = (150, 170)  # H, W: both are downscaled, by fractional factors
LABELS = ["background", 'a "b" $c \\n', "Höhe | 天 `q`"]


def contract(kind, sha256="ab" * 32, output=(0.125, 130), tolerance=1e-5):
    source, target = KINDS[kind]
    return {
        "schema": 5,
        "sha256": sha256,
        "recipe": kind,
        "input": tensor("image", 3, source, (1 / 127.5, 127)),
        "output": {**tensor("logits", 3, target, output), "values": "logits"},
        "range": [-1.0, 1.0],
        "mean": 127.5,
        "std": 127.5,
        "colour_order": "RGB",
        "resize": "area or bilinear",
        "labels": LABELS,
        "colours": [[0, 0, 0], [200, 10, 0], [1, 2, 255]],
        "preset": "tiny",
        "lowering": "signs+depth_to_space",
        "targets": ["xnnpack"],
        "proof": {"judged_on": "test", "images": 233, "remarks": ["a <remark> with `marks`"]},
        "golden": {
            "xnnpack": allowed(1 if target == "uint8" else tolerance),
            "reference": allowed(1 if target == "uint8" else tolerance),
            "half": allowed(1 if target == "uint8" else 100 * tolerance),
        },
        "versions": {"ai-edge-litert": "2.3.0"},
    }


def allowed(tolerance, agreement=0.995):
    return {"tolerance": tolerance, "pixel_agreement": agreement, "measured": "by hand"}


def tensor(name, channels, dtype, quantisation):
    scale, zero_point = (0.0, 0) if dtype == "float32" else quantisation
    shape = [1, *SIZE, channels]
    quantisation = {"scale": float(scale), "zero_point": int(zero_point)}
    return {"name": name, "shape": shape, "dtype": dtype, **quantisation}


def resized(image, size):
    """The resize rule with OpenCV, downscaled axes first; (H, W, 3) to (*size, 3)."""
    smaller = [min(side, to) for side, to in zip(image.shape, size, strict=False)]
    image = cv2.resize(image, smaller[::-1], interpolation=cv2.INTER_AREA)
    return cv2.resize(image, size[::-1], interpolation=cv2.INTER_LINEAR)


def scene(size, seed):
    """An image of sharp-edged patches with some noise, (*size, 3) uint8."""
    rng = np.random.default_rng(seed)
    patches = rng.integers(0, 230, (5, 7, 3)).astype(np.uint8)
    large = cv2.resize(patches, size[::-1], interpolation=cv2.INTER_NEAREST)
    return large + rng.integers(0, 25, large.shape).astype(np.uint8)


def model(kind, seed=3, labels=LABELS):
    """The .tflite bytes of a `tiny` network with random weights that predicts every class."""
    import keras

    from export.graph.convert import to_tflite
    from export.graph.deploy import deploy
    from export.recipes import BY_NAME
    from export.tflite.metadata import add_metadata
    from segnet import presets
    from segnet.build import build

    keras.utils.set_random_seed(seed)
    rng, preset = np.random.default_rng(seed), presets.preset("tiny")
    trained = build(keras, preset, SIZE, len(labels))
    samples = np.stack([scene(SIZE, seed) for seed in range(8)]) / np.float32(127.5) - 1
    samples[0, 0, 0], samples[0, 0, 1] = -1, 1
    for layer in trained.layers:
        if layer.name.endswith("_bn"):
            gamma, beta, mean, variance = layer.get_weights()
            layer.set_weights([gamma, rng.normal(0, 0.3, beta.shape), mean, variance])
    show_all_classes(trained, samples.astype(np.float32))
    last = trained.layers[-1]  # as small as trained logits: no softmax probability becomes 0
    most = np.abs(trained(samples[:1].astype(np.float32))).max()
    last.set_weights([weights * 8 / most for weights in last.get_weights()])
    graph = deploy(trained, preset, SIZE, len(labels))
    calibration = samples.astype(np.float32) if BY_NAME[kind].calibrated else None
    return add_metadata(to_tflite(graph, BY_NAME[kind], calibration), labels)


def write_kit(folder, kind, content):
    """A whole kit with golden files made here, and recorded/, which `record` describes."""
    (folder / "golden").mkdir(parents=True)
    (folder / "model.tflite").write_bytes(content)
    runtime = Runtime(content)
    output = golden(runtime, folder, "image", scene(SIZE, 20), "")
    golden(runtime, folder, "photo", scene(PHOTO, 21), "photo_")
    assert len(np.unique(output.argmax(-1))) == len(LABELS)
    tolerance = 1e-5 * float(np.abs(output).max())
    digest = hashlib.sha256(content).hexdigest()
    found = contract(kind, digest, runtime.output["quantization"], tolerance)
    (folder / "contract.json").write_text(json.dumps(found))
    render(folder, found)
    return folder


def golden(runtime, folder, name, image, prefix):
    """Writes an image and its input tensor, output tensor and mask. Returns the output."""
    small = resized(image, SIZE)
    inputs = small[None]
    if runtime.input["dtype"] == np.float32:
        inputs = inputs.astype(np.float32) / np.float32(127.5) - np.float32(1)
    output = runtime.run(inputs)
    logits = cv2.resize(output[0].astype(np.float32), image.shape[1::-1])
    mask = logits.argmax(-1).astype(np.uint8)
    out = folder / "golden"
    write_image(out / f"{name}.png", image)
    write_image(out / f"{prefix}mask.png", mask)
    inputs.tofile(out / f"{prefix}input.bin")
    if not prefix:
        output.tofile(out / "output.bin")
    record(folder / "recorded", name, small, image, output, runtime.decode(output)[0])
    rgba(mask[..., None].repeat(3, -1)).tofile(folder / "recorded" / f"{prefix}mask.rgba")
    return output


def record(folder, name, small, image, output, logits):
    """Writes what replaces the runtime and the PNG decoder in programs that have neither.

    NAME.rgb, .out, .confidences: an input's bytes, its output, MediaPipe's confidence masks, one
    class after the other. NAME.rgba: the pixels of the image.
    """
    folder.mkdir(exist_ok=True)
    exponentials = np.exp(logits - logits.max(-1, keepdims=True))
    confidences = exponentials / exponentials.sum(-1, keepdims=True)
    confidences = np.ascontiguousarray(confidences.transpose(2, 0, 1), np.float32)
    small.tofile(folder / f"{name}.rgb")
    output.tofile(folder / f"{name}.out")
    confidences.tofile(folder / f"{name}.confidences")
    rgba(image).tofile(folder / f"{name}.rgba")


def rgba(image):
    return np.dstack([image, np.full(image.shape[:2], 255, np.uint8)])


@pytest.fixture(scope="session", params=KINDS)
def kit(request, tmp_path_factory):
    """A kit of each kind. Tests read it and write nothing to it."""
    folder = tmp_path_factory.mktemp("phone") / request.param
    return write_kit(folder, request.param, model(request.param))


# Widths and heights of images: both are downscaled, both upscaled, one of each, one unchanged, and
# an image of one pixel.
IMAGES = [(170, 150), (50, 31), (200, 40), (33, 300), (96, 200), (192, 128), (1, 1), (97, 64)]


def write_cases(folder):
    """Images to resize, and logits to make masks of; tests/clients/kotlin/Check.kt explains."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for width, height in IMAGES:
        image = rng.integers(0, 256, (height, width, 3)).astype(np.uint8)
        logits = rng.normal(size=(*SIZE, len(LABELS))).astype(np.float32)
        rgba(image).tofile(folder / f"rgb.{width}x{height}.rgba")
        logits.tofile(folder / f"mask.{width}x{height}.logits")


def compare_cases(folder):
    for width, height in IMAGES:
        name = f"{width}x{height}"
        pixels = np.fromfile(folder / f"rgb.{name}.rgba", np.uint8).reshape(height, width, 4)
        wanted = resized(pixels[..., :3], SIZE).astype(int)
        found = np.fromfile(folder / f"rgb.{name}.rgba.found", np.uint8).reshape(*SIZE, 3)
        assert np.abs(found - wanted).max() <= 1, name
        logits = np.fromfile(folder / f"mask.{name}.logits", np.float32).reshape(*SIZE, -1)
        wanted = cv2.resize(logits, (width, height), interpolation=cv2.INTER_LINEAR).argmax(-1)
        found = np.fromfile(folder / f"mask.{name}.logits.found", np.uint8)
        assert (found.reshape(height, width) == wanted).mean() >= 0.999, name
