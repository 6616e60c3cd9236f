"""The phone kit's code: every file of templates/ filled in with one model's contract."""

from pathlib import Path

TEMPLATES = Path(__file__).parent / "templates"
ENDING = ".j2"


def render(folder: Path, contract: dict) -> list[Path]:
    """Renders every template into the kit `folder`, at its own place; the paths of what it wrote.

    contract: of schema 3. A number that a template asks for and the contract lacks is an error.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    # Programs, not pages: nothing is escaped unless a filter says how.
    templates = Environment(
        loader=FileSystemLoader(TEMPLATES), undefined=StrictUndefined, keep_trailing_newline=True,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    templates.filters |= {"kotlin": kotlin, "swift": swift, "quoted": quoted, "markdown": markdown}
    words, written = vocabulary(contract), []
    for name in templates.list_templates(filter_func=lambda name: name.endswith(ENDING)):
        path = Path(folder, name.removesuffix(ENDING))
        path.parent.mkdir(parents=True, exist_ok=True)
        text = templates.get_template(name).render(words)
        path.write_text(text, encoding="utf-8", newline="\n")
        written.append(path)
    return written


def vocabulary(contract: dict) -> dict:
    """What templates may say: the contract's keys, and the sizes under names of their own."""
    _, height, width, _ = contract["input"]["shape"]
    bytes_in = contract["input"]["dtype"] == "uint8"
    return {
        **contract,
        "height": height,
        "width": width,
        "classes": contract["output"]["shape"][-1],
        "level": 1.0 if bytes_in else 1 / contract["std"],  # of a byte, in the input tensor
    }


def literal(text: str, special: str, control: str) -> str:
    """A string in double quotes. control: how the language spells a control character."""
    table = {code: control.format(code) for code in (*range(32), 127)}
    return f'"{text.translate(table | escapes(special))}"'


def escapes(special: str) -> dict[int, str]:
    return {ord(letter): "\\" + letter for letter in special}


def kotlin(text: str) -> str:
    return literal(text, '"\\$', "\\u{:04x}")


def swift(text: str) -> str:
    return literal(text, '"\\', "\\u{{{:x}}}")


def quoted(text: str) -> str:
    """As Python and JavaScript read it."""
    return literal(text, '"\\', "\\u{:04x}")


def markdown(text: str) -> str:
    return text.translate(escapes("\\`*_[]<>|#&"))
