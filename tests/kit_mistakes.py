"""Kits with a mistake in their code or a change in their files, and what the self-test says."""

import json
import shutil

import cv2
import numpy as np
import pytest
from kits import KOTLIN, LABELS, rgba

from data.images import write_image

# Mistakes that a developer may make in a program: [(text, replacement), ...], of which exactly one
# text is in the file, and a part of the message with which the self-test must fail.
MISTAKES = {
    "python/segment.py": {
        "channels": (
            [
                ("cv2.LUT(rgb, ", "cv2.LUT(rgb[..., ::-1], "),
                ("return rgb[None]", "return rgb[None, ..., ::-1]"),
            ],
            "of image.png",
        ),
        "norm": (
            [
                ("/ np.float32(127.5) - np.float32(1.0)", "/ np.float32(255)"),
                ("return rgb[None]", "return rgb[None] // 2"),
            ],
            "of image.png",
        ),
        "bilinear": (
            [("None, interpolation=cv2.INTER_AREA", "None, interpolation=cv2.INTER_LINEAR")],
            "of photo.png",
        ),
        "nearest": (
            [("None, interpolation=cv2.INTER_AREA", "None, interpolation=cv2.INTER_NEAREST")],
            "of photo.png",
        ),
    },
    "web/resize.js": {
        "channels": (
            [("middle * red + far[x] * data[end]", "middle * blue + far[x] * data[end + 2]")],
            "of image.png",
        ),
        "norm": (
            [
                ("byte / 127.5 - 1.0", "byte / 255"),
                ("(rgb) {\n  return rgb;", "(rgb) {\n  return rgb.map((byte) => byte / 2);"),
            ],
            "of image.png",
        ),
        "bilinear": ([("? area(width, WIDTH)", "? linear(width, WIDTH)")], "of photo.png"),
    },
    f"{KOTLIN}/Resize.kt": {
        "channels": (
            [("far * (b shr 16", "far * (b shr 0")],
            "of image.png",
        ),
        "norm": ([("/ 127.5f - 1.0f }", "/ 255f }")], "of image.png"),
        "bilinear": ([("if (from > to) area", "if (from < 0) area")], "of photo.png"),
    },
    "ios/Resize.swift": {
        "channels": (
            [("red += weight * Float(rgba[from])", "red += weight * Float(rgba[from + 2])")],
            "of image.png",
        ),
        "norm": ([("Float($0) / 127.5 - 1.0", "Float($0) / 255")], "of image.png"),
        "bilinear": ([("from > to ? Taps(area", "from < 0 ? Taps(area")], "of photo.png"),
    },
}


def sabotages(program):
    rows = [pytest.param(program, *row, id=name) for name, row in MISTAKES[program].items()]
    model = pytest.param("model.tflite", None, "SHA-256", id="model")
    output = pytest.param("golden/output.bin", None, "the output differs", id="output")
    return [model, output, *rows]


def sabotaged(kit, tmp_path, path, changes):
    """A copy of a kit with one change in a file: of a text, or, if `changes` is None, of a byte."""
    folder = shutil.copytree(kit, tmp_path / "sabotaged")
    raw = bytearray((folder / path).read_bytes())
    if changes is None:
        raw[len(raw) // 2 | 3] ^= 64  # the most significant byte of a float
    else:
        ((old, new),) = [change for change in changes if raw.decode().count(change[0]) == 1]
        raw = raw.decode().replace(old, new).encode()
    (folder / path).write_bytes(raw)
    return folder


# What changes in the golden files, in units of what the kit allows, and whether that is too much.
LIMITS = [("output", 0.7, False), ("output", 1.5, True), ("mask", 0.7, False), ("mask", 1.5, True)]


def near_the_limit(kit, tmp_path, what, units):
    """A copy of a float32 kit whose output.bin or photo_mask.png is `units` of the limit off."""
    folder = shutil.copytree(kit, tmp_path / "limits")
    limits = json.loads((kit / "contract.json").read_text())["golden"]["xnnpack"]
    if what == "output":
        output = np.fromfile(folder / "golden/output.bin", np.float32)
        output[7] += units * limits["tolerance"]
        output.tofile(folder / "golden/output.bin")
        return folder
    mask = cv2.imread(str(folder / "golden/photo_mask.png"), cv2.IMREAD_UNCHANGED)
    changed = round(units * (1 - limits["pixel_agreement"]) * mask.size)
    mask.reshape(-1)[:changed] = (mask.reshape(-1)[:changed] + 1) % len(LABELS)
    write_image(folder / "golden/photo_mask.png", mask)
    rgba(mask[..., None].repeat(3, -1)).tofile(folder / "recorded/photo_mask.rgba")
    return folder
