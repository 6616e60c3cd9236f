"""Checks the code in a kit against its contract, for platforms whose code cannot run here too.

The templates filled in again must give the same files, and the constants read back from the code
must be those of the contract: the second notices a template that is itself wrong.
"""

import ast
import re
from pathlib import Path

from export.kit.render import older_allowed, rendered
from export.proof.golden import FILES as GOLDEN
from export.proof.seal import normalised
from segnet import __version__

# Where each language keeps the constants; the names are the same but for case and underscores.
# Before the names of what may differ stands a prefix, here with the kind of kernels it is for.
GPU = {"": "xnnpack", "half_": "half"}
KERNELS = {
    "android/app/src/main/kotlin/segnet/Contract.kt": GPU,
    "ios/Contract.swift": GPU,
    "python/segment.py": {"": "xnnpack", "reference_": "reference"},
    "web/contract.js": GPU,
}
FILES = tuple(KERNELS)
OTHERS = ("labels.txt", "model.tflite", "preview.png", "report.json", *GOLDEN)
CONSTANT = r"\b{}(?:: Float)? = {}"
HASH, INTEGER, NUMBER = r"['\"]([0-9a-f]{64})", r"(\d+)", r"([\d.]+(?:e[+-]?\d+)?)"
KINDS = {"sha256": (HASH, str), "width": (INTEGER, int), "height": (INTEGER, int),
         "classes": (INTEGER, int), "byte_step": (NUMBER, float)}  # fmt: skip
ALLOWED = ("tolerance", "pixel_agreement")
LABELS = r"\blabels = (?:listOf\(|\[)\n(.*?)\n *[)\]]"
STRING = r'"(?:[^"\\]|\\.)*"'


def code_faults(contract: dict, kit: Path) -> list[str]:
    """A line for each file of code that does not belong to the contract.

    The code of a kit that another version of segnet made is not compared. Raises Refusal.
    """
    if contract["versions"].get("segnet") != __version__:
        return []
    texts = rendered(contract)
    lines = [
        f"{name} is not the code of this contract. Export the run again"
        for name, text in texts.items()
        if normalised(Path(kit, name)) != text.encode()
    ]
    unlisted = sorted({*texts, *OTHERS} - contract["files"].keys())
    lines += [f"{name} is not among the contract's files" for name in unlisted]
    for name, kernels in KERNELS.items():
        wanted = constants_of(contract, name)
        found = constants(normalised(Path(kit, name)).decode(errors="replace"), kernels)
        lines += [
            f"{key} is {found[key]} in {name}, but {value} in the contract"
            for key, value in wanted.items()
            if found[key] != value
        ]
    written = "".join(f"{name}\n" for name in contract["labels"])
    if normalised(Path(kit, "labels.txt")) != written.encode():
        lines.append("labels.txt does not have the labels of the contract")
    return lines


def constants_of(contract: dict, name: str) -> dict:
    """What the contract has of the constants in a file of FILES."""
    _, height, width, _ = contract["input"]["shape"]
    allowed = dict(contract["golden"])
    if name.startswith("ios/"):
        allowed["xnnpack"] = older_allowed(contract)
    return {
        "labels": contract["labels"],
        "sha256": contract["sha256"],
        "width": width,
        "height": height,
        "classes": len(contract["labels"]),
        "byte_step": 1 if contract["input"]["dtype"] == "uint8" else 1 / contract["std"],
        **{
            prefix + key: allowed[kind][key]
            for prefix, kind in KERNELS[name].items()
            for key in ALLOWED
        },
    }


def constants(code: str, kernels=()) -> dict:
    """The same constants as they are in a file of code; None for one that is not found."""
    found = {"labels": labels(code)}
    allowed = {prefix + key: (NUMBER, float) for prefix in kernels for key in ALLOWED}
    for name, (form, kind) in (KINDS | allowed).items():
        pattern = CONSTANT.format(name.replace("_", "_?"), form)
        match = re.search(pattern, code, re.IGNORECASE)
        found[name] = kind(match[1]) if match else None
    return found


def labels(code: str) -> list[str] | None:
    block = re.search(LABELS, code, re.IGNORECASE | re.DOTALL)
    return block and [unquoted(text) for text in re.findall(STRING, block[1])]


def unquoted(text: str) -> str:
    r"""The value of a literal of Kotlin, Swift, Python or JavaScript in double quotes.

    Their escapes are Python's but for `\$` and `\u{...}`; a pair of UTF-16 surrogates is one
    character.
    """
    text = re.sub(r"\\(\\|\$|u\{([0-9a-f]+)\})", as_python, text)
    return ast.literal_eval(text).encode("utf-16", "surrogatepass").decode("utf-16")


def as_python(escape) -> str:
    if escape[2]:
        return f"\\U{int(escape[2], 16):08x}"
    return "$" if escape[1] == "$" else escape[0]
