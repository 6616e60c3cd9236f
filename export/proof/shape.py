"""What contract.json must look like, so that what reads it needs no checks of its own."""

import re

NUMBER, HASH, NAME = "a finite number", "a SHA-256", "a relative path"
LIMIT = "a finite number or null"
LARGE = 1e30
SURROGATE = re.compile("[\ud800-\udfff]")  # half a character, which cannot be written to a file
PATTERNS = {HASH: r"[0-9a-f]{64}", NAME: r"\w[\w.-]*(/\w[\w.-]*)*"}
TENSOR = {"name": str, "shape": [int], "dtype": str, "scale": NUMBER, "zero_point": int}
ALLOWED = {"tolerance": LIMIT, "pixel_agreement": NUMBER, "measured": str}
# A type; a kind of PATTERNS, NUMBER or LIMIT; [shape of each item]; {key: shape}, where str and
# NAME stand for any key of that kind.
CONTRACT = {
    "schema": int,
    "sha256": HASH,
    "recipe": str,
    "input": TENSOR,
    "output": {**TENSOR, "values": str},
    "range": [NUMBER],
    "mean": NUMBER,
    "std": NUMBER,
    "colour_order": str,
    "resize": str,
    "labels": [str],
    "colours": [[int]],
    "preset": str,
    "weights": str,
    "lowering": str,
    "targets": [str],
    "versions": {str: str},
    "proof": {"judged_on": str, "images": int, "remarks": [str]},
    "golden": {"xnnpack": ALLOWED, "reference": ALLOWED, "half": ALLOWED},
    "files": {NAME: HASH},
    "digest": HASH,
}


def shape_faults(value, shape=CONTRACT, name: str = "it") -> list[str]:
    """A line for each part of `value` that is missing, unknown or of another type."""
    if isinstance(shape, dict):
        return dict_faults(value, shape, name)
    if isinstance(shape, list):
        if not isinstance(value, list):
            return [f"{name} is {short(value)}, but a list is needed"]
        items = enumerate(value)
        return [line for i, item in items for line in shape_faults(item, shape[0], f"{name}[{i}]")]
    if fits(value, shape):
        return []
    return [f"{name} is {short(value)}, but {getattr(shape, '__name__', shape)} is needed"]


def dict_faults(value, shape: dict, name: str) -> list[str]:
    if not isinstance(value, dict):
        return [f"{name} is {short(value)}, but an object is needed"]
    if len(shape) == 1 and (any_key := next(iter(shape))) in (str, NAME):
        lines = [line for key in value for line in shape_faults(key, any_key, f"a key of {name}")]
        shape = dict.fromkeys(value, shape[any_key])
    else:
        lines = [f"{key} of {name} is missing" for key in shape if key not in value]
        lines += [f"{name} has the unknown key {key!r}" for key in value if key not in shape]
    for key in [key for key in shape if key in value]:
        lines += shape_faults(value[key], shape[key], key if name == "it" else f"{name}.{key}")
    return lines


def fits(value, shape) -> bool:
    if shape == LIMIT and value is None:
        return True
    if shape in (NUMBER, LIMIT):
        return type(value) in (int, float) and abs(value) < LARGE
    if shape in PATTERNS:
        return type(value) is str and bool(re.fullmatch(PATTERNS[shape], value, re.ASCII))
    return type(value) is shape and not (shape is str and SURROGATE.search(value))


def short(value) -> str:
    text = ascii(value)
    return text if len(text) <= 40 else f"{text[:40]}..."
