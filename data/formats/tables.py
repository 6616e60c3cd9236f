"""Lists of class names in text files: a name a line, or names with numbers or colours."""

import csv
import re
from pathlib import Path

from cli import Refusal
from data.formats.selection import BACKGROUND

Value = int | tuple[int, int, int]  # in a mask: a number, or R, G, B
COLOUR_LINES = (  # CamVid, CVAT's labelmap.txt, comma-separated tables
    r"(?P<r>\d{1,3})[\s,]+(?P<g>\d{1,3})[\s,]+(?P<b>\d{1,3})[\s,:]+(?P<name>\S.*)",
    r"(?P<name>[^:]*\S)\s*:\s*(?P<r>\d{1,3}),(?P<g>\d{1,3}),(?P<b>\d{1,3})(:.*)?",
    r"(?P<name>[^,]*\S)\s*,\s*(?P<r>\d{1,3})\s*,\s*(?P<g>\d{1,3})\s*,\s*(?P<b>\d{1,3})",
)
NUMBER = r"\d{1,5}"
NUMBER_LINE = rf"({NUMBER})[\s:,;=]+(\S.*)"
HEADS = {  # what columns of tables are called
    "value": "id value pixel pixelvalue maskvalue index number label class labelid classid "
    "classindex grey gray".split(),
    "name": "name class classname label labelname category categoryname".split(),
    "red": ["r", "red"], "green": ["g", "green"], "blue": ["b", "blue"],
}  # fmt: skip
IGNORED, GROUND = "__ignore__", "_background_"  # labelme's names for void and background


def classes_in(lines: list[str], path: Path) -> list[tuple[Value, str]]:
    """(value in a mask, class name) of the lines of a file.

    A line has the form NAME (its value is the number of the line from 0), N NAME or R G B NAME, or
    all lines are rows of a table of such columns, in any order if a header names them. Raises
    Refusal if lines have several forms.
    """
    if not lines:
        raise Refusal(f"{path} names no class: write one name per line")
    found = colour_lines(lines) or colour_lines(lines[1:])  # the first may be a header
    found = found or table_in(lines, path)
    if found:
        return found
    numbered = [re.fullmatch(NUMBER_LINE, line) for line in lines]
    if not numbered[0] and set(map(word, lines[0].split())) <= {*HEADS["value"], *HEADS["name"]}:
        numbered = numbered[1:] if all(numbered[1:]) and numbered[1:] else numbered
    if all(numbered):
        return [(int(line[1]), line[2]) for line in numbered]
    count = sum(map(bool, numbered))
    if count > 1 and 2 * count > len(lines):
        odd = lines[numbered.index(None)]
        raise Refusal(f"{path}: {count} of {len(lines)} lines have the form N NAME, but {odd!r} "
                      "has another: write all lines in one form")  # fmt: skip
    return named(lines, path)


def named(lines: list[str], path: Path) -> list[tuple[int, str]]:
    """A name a line. labelme's lists begin with what is void, which has no number."""
    if path.suffix.lower() == ".csv" and word(lines[0]) in HEADS["name"]:
        lines = lines[1:]
    if len(lines) == 1 and "," in lines[0]:
        raise Refusal(
            f"{path} has all names in one line, {lines[0][:60]!r}: write one name per line"
        )
    if lines[:1] == [IGNORED]:
        lines = lines[1:]
    return [(at, BACKGROUND if name == GROUND else name) for at, name in enumerate(lines)]


def colour_lines(lines: list[str]) -> list[tuple[Value, str]] | None:
    """(colour, name) of every line, or None if a line has another form."""
    for form in COLOUR_LINES:
        found = [re.fullmatch(form, line) for line in lines]
        if found and all(found):
            colours = [tuple(int(line[channel]) for channel in "rgb") for line in found]
            if max(map(max, colours)) < 256:
                names = [line["name"].strip() for line in found]
                return list(zip(colours, names, strict=True))
    return None


def table_in(lines: list[str], path: Path) -> list[tuple[Value, str]] | None:
    """(value, name) of the rows of a table; None if the lines are none. Raises Refusal."""
    rows = rows_in(lines)
    if rows is None:
        return None
    head = None if any(map(is_number, rows[0])) else rows[0]
    body = rows[1:] if head else rows
    columns = list(zip(*body, strict=True))
    numbers = [at for at, column in enumerate(columns) if all(map(is_number, column))]
    if not numbers:
        return None
    if len(columns) == 2:
        (name,) = {0, 1} - {numbers[0]}
        return [(int(row[numbers[0]]), row[name]) for row in body]
    at = places(head or [], numbers)
    if "name" not in at or ("value" in at) == ("red" in at):
        raise Refusal(
            f"{path} has {len(columns)} columns, of which it is not clear what they mean: "
            "write lines of the form N NAME, or R G B NAME for colour masks"
        )
    if "value" in at:
        return [(int(row[at["value"]]), row[at["name"]]) for row in body]
    colour = [at[channel] for channel in ("red", "green", "blue") if channel in at]
    return [(tuple(int(row[place]) for place in colour), row[at["name"]]) for row in body]


def rows_in(lines: list[str]) -> list[list[str]] | None:
    """The cells of each line, if all lines have equally many, at least two."""
    for separator in ",;\t":
        try:
            rows = list(csv.reader(lines, delimiter=separator, skipinitialspace=True, strict=True))
        except csv.Error:
            continue
        if len(rows) == len(lines) > 1 and len({len(row) for row in rows}) == 1 < len(rows[0]):
            return [[cell.strip() for cell in row] for row in rows]
    return None


def places(head: list[str], numbers: list[int]) -> dict[str, int]:
    """Where the columns of a table are, by their names; those of numbers hold no names."""
    found = {}
    for at, cell in enumerate(head):
        for what, words in HEADS.items():
            if word(cell) in words and (at in numbers) == (what != "name"):
                found.setdefault(what, at)
    if not {"red", "green", "blue"} <= found.keys():
        found.pop("red", None)
    return found


def word(cell: str) -> str:
    return re.sub(r"[^a-z]", "", cell.lower())


def is_number(cell: str) -> bool:
    return bool(re.fullmatch(NUMBER, cell))
