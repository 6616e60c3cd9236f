"""Renders the kit's code and README: every file of templates/, filled in for one model."""

import inspect
import re
from collections.abc import Callable
from pathlib import Path

TEMPLATES = Path(__file__).parent / "templates"
CLASSES = Path(__file__).parent / "classes"  # in place of those of the same names, for classes
ENDING = ".j2"
# Files that a kit whose network gives classes has not: MediaPipe would misread them.
KOTLIN = "android/app/src/main/kotlin/segnet"
LEFT_OUT = {f"{KOTLIN}/MediaPipeSegmenter.kt.j2", f"{KOTLIN}/Smooth.kt.j2",
            "ios/Smooth.swift.j2", "web/smooth.js.j2"}  # fmt: skip


def render(folder: Path, contract: dict) -> list[Path]:
    """Writes the files of `rendered` to the kit `folder`; returns their paths."""
    written = []
    for name, text in rendered(contract).items():
        path = Path(folder, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")
        written.append(path)
    return written


def rendered(contract: dict) -> dict[str, str]:
    """Relative path in the kit to the content, for every template.

    contract: the content of contract.json, the values that a program needs to run the model. Raises
    jinja2's UndefinedError for a key that a template uses and the contract lacks.
    """
    templates, values = environment(contract), variables(contract)
    names = templates.list_templates(filter_func=lambda name: name.endswith(ENDING))
    if values["values"] == "classes":
        names = [name for name in names if name not in LEFT_OUT]
    texts = {
        name.removesuffix(ENDING): templates.get_template(name).render(values) for name in names
    }
    if values["values"] == "probabilities":
        texts = {name: text if name == "README.md" else reworded(text)
                 for name, text in texts.items()}  # fmt: skip
    return texts


def filled(contract: dict, name: str) -> str:
    """The content of one file of a kit that gives logits; keys that its template does not use may
    be missing."""
    return environment(contract).get_template(f"{name}{ENDING}").render(variables(contract))


def environment(contract: dict):
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    gives = contract["output"]["values"]
    folders = [CLASSES, TEMPLATES] if gives == "classes" else [TEMPLATES]
    # The templates are source code, not HTML: text is escaped only where a filter asks for it.
    templates = Environment(
        loader=FileSystemLoader(folders), undefined=StrictUndefined, keep_trailing_newline=True,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    for write in (kotlin, swift, python, javascript, markdown):
        templates.filters[write.__name__] = write
    return templates


def reworded(code: str) -> str:
    """The code of a kit whose network gives probabilities: it names them in place of logits."""
    for old, new in (("logits", "probabilities"), ("Logits", "Probabilities")):
        code = re.sub(rf"\b{old}\b", new, code)
    return code


def variables(contract: dict) -> dict:
    """The variables of the templates: the contract's keys, and values derived from them."""
    from export.kit.smooth import Smooth, SmoothProbabilities

    _, height, width, _ = contract["input"]["shape"]
    bytes_in, values = contract["input"]["dtype"] == "uint8", contract["output"]["values"]
    smooth = [Smooth] if values == "logits" else [Smooth, SmoothProbabilities]
    return {
        **contract,
        "values": values,
        "height": height,
        "width": width,
        "classes": len(contract["labels"]),
        # The step in the input tensor that corresponds to 1 in a byte of the image.
        "byte_step": 1.0 if bytes_in else 1 / contract["std"],
        "smooth": "\n\n".join(inspect.getsource(each) for each in smooth),
        "older_allowed": older_allowed(contract),
    }


def older_allowed(contract: dict) -> dict:
    """What may differ with an older XNNPACK: on iOS, and perhaps in MediaPipe.

    That of TensorFlow Lite 2.17 rounds the activations of a dynamic8 file as the reference kernels
    do, not as LiteRT's XNNPACK does.
    """
    return contract["golden"]["reference" if contract["input"]["dtype"] == "float32" else "xnnpack"]


def escaped(text: str, special: str, unseen: Callable[[int], str]) -> str:
    """special: characters that need a backslash. unseen: writes the code of one that is not seen.

    Not seen are control characters, marks of the direction of writing and spaces of other widths.
    """
    return "".join(
        "\\" + letter if letter in special
        else letter if letter.isprintable()
        else unseen(ord(letter))
        for letter in text
    )  # fmt: skip


def utf16(code: int) -> str:
    """\\u and four digits, twice above U+FFFF."""
    raw = chr(code).encode("utf-16-be")
    return "".join(f"\\u{raw[i : i + 2].hex()}" for i in range(0, len(raw), 2))


def kotlin(text: str) -> str:
    return '"' + escaped(text, '"\\$', utf16) + '"'


def javascript(text: str) -> str:
    return '"' + escaped(text, '"\\', utf16) + '"'


def swift(text: str) -> str:
    return '"' + escaped(text, '"\\', "\\u{{{:x}}}".format) + '"'


def python(text: str) -> str:
    return '"' + escaped(text, '"\\', "\\U{:08x}".format) + '"'


def markdown(text: str) -> str:
    return escaped(text, "\\`*_[]<>|#&", "U+{:04X}".format)
