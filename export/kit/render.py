"""Renders the kit's code and README: every file of templates/, filled in for one model."""

from pathlib import Path

TEMPLATES = Path(__file__).parent / "templates"
ENDING = ".j2"


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
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    # The templates are source code, not HTML: text is escaped only where a filter asks for it.
    templates = Environment(
        loader=FileSystemLoader(TEMPLATES), undefined=StrictUndefined, keep_trailing_newline=True,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    templates.filters |= {"kotlin": kotlin, "swift": swift, "quoted": quoted, "markdown": markdown}
    values = variables(contract)
    names = templates.list_templates(filter_func=lambda name: name.endswith(ENDING))
    return {name.removesuffix(ENDING): templates.get_template(name).render(values)
            for name in names}  # fmt: skip


def variables(contract: dict) -> dict:
    """The variables of the templates: the contract's keys, and values derived from them."""
    _, height, width, _ = contract["input"]["shape"]
    bytes_in = contract["input"]["dtype"] == "uint8"
    return {
        **contract,
        "height": height,
        "width": width,
        "classes": contract["output"]["shape"][-1],
        # The step in the input tensor that corresponds to 1 in a byte of the image.
        "byte_step": 1.0 if bytes_in else 1 / contract["std"],
    }


def literal(text: str, special: str, control: str) -> str:
    """`text` as a string literal in double quotes.

    special: characters that need a backslash. control: how the language writes a control character.
    """
    table = {code: control.format(code) for code in (*range(32), 127)}
    return f'"{text.translate(table | escapes(special))}"'


def escapes(special: str) -> dict[int, str]:
    return {ord(letter): "\\" + letter for letter in special}


def kotlin(text: str) -> str:
    return literal(text, '"\\$', "\\u{:04x}")


def swift(text: str) -> str:
    return literal(text, '"\\', "\\u{{{:x}}}")


def quoted(text: str) -> str:
    """A string literal of Python and of JavaScript."""
    return literal(text, '"\\', "\\u{:04x}")


def markdown(text: str) -> str:
    return text.translate(escapes("\\`*_[]<>|#&"))
