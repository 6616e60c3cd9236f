"""Names of classes: which are allowed in datasets, imports and the doctor; what terminals get."""

import json
import subprocess

import numpy as np
import pytest
from commands import run
from sources import run_import, write_pair

import cli
from cli import Refusal
from data.dataset import read_dataset
from data.doctor.checks.table import findings
from data.doctor.doctor import examine
from data.formats.selection import select
from data.names import typed
from data.shapes import write_shapes

BAD = {  # a second name beside "sky" -> what is said about class 1
    "empty": ("", "class 1, '', has no visible character"),
    "blank": (" \u3000\t", "class 1, '', has no visible character"),
    "joiners": ("\u200d\u200c", "has no visible character"),
    "escape": ("\x1b[31mred", "class 1, '\\x1b[31mred', contains the invisible or control "
               "character \\x1b"),
    "nul": ("a\0b", "control character \\x00"),
    "newline": ("a\nb", "control character \\n"),
    "c1": ("a\x9bb", "control character \\x9b"),
    "override": ("a\u202eb", "control character \\u202e"),
    "isolate": ("a\u2067b", "control character \\u2067"),
    "zero width": ("a\u200bb", "control character \\u200b"),
    "separator": ("a\u2028b", "control character \\u2028"),
    "long": ("x" * 101, f"class 1, '{'x' * 37}...', has 101 characters; at most 100 are allowed"),
    "same": ("sky", "class 1, 'sky', equals class 0, 'sky'"),
    "case": ("SKY", "class 1, 'SKY', differs only in case from class 0, 'sky'"),
}  # fmt: skip
GOOD = [
    "sky", "x" * 100, "caf\u00e9", "\u0645\u06cc\u200c\u062e", "\U0001f468\u200d\U0001f33e",
    "traffic light", "a'b\"c\\d", "\u732b\u3000\u72ac",
]  # fmt: skip


@pytest.mark.parametrize("kind", BAD)
def test_names_that_no_class_may_have(tmp_path, kind):
    name, said = BAD[kind]
    (tmp_path / "dataset.toml").write_text(f"classes = {json.dumps(['sky', name, 'sea'])}")
    with pytest.raises(Refusal) as refusal:
        read_dataset(tmp_path)
    assert str(refusal.value).startswith(f"{tmp_path}/dataset.toml: class 1, '")
    assert said in str(refusal.value) and len(str(refusal.value)) < len(str(tmp_path)) + 200
    assert cli.plain(str(refusal.value)) == str(refusal.value)


def test_names_that_are_allowed(tmp_path):
    (tmp_path / "dataset.toml").write_text(f"classes = {json.dumps(GOOD, ensure_ascii=False)}")
    assert read_dataset(tmp_path).classes == GOOD
    assert select(GOOD).classes == GOOD


@pytest.mark.parametrize("name", ["labels.txt", "dataset.toml"])
def test_a_byte_order_mark_and_spaces_are_dropped(tmp_path, name):
    text = (
        "\ufeff sky \r\ncat\t\r\n\r\n" if name == "labels.txt" else "\ufeffclasses=[' sky ', 'cat']"
    )
    (tmp_path / name).write_bytes(text.encode())
    assert read_dataset(tmp_path).classes == ["sky", "cat"]


def test_a_blank_line_between_names(tmp_path):
    (tmp_path / "labels.txt").write_text("sky\n\ncat\n")
    with pytest.raises(Refusal, match=r"labels.txt: class 1, '', has no visible character"):
        read_dataset(tmp_path)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("void = true", "void is True; needed: an id from 0 to 255"),
        ("void = 1.0", "void is 1.0; needed"),
        ("void = -1", "void is -1; needed"),
        ("void = 256", "void is 256; needed"),
        ("void = '1'", "void is 1; needed"),
        (f"void = '{'x' * 1000}'", "void is xxx"),
        ("colours = [[0, 0, true], [1, 1, 1]]", "colours needs 2 [r, g, b] lists"),
        ("colours = [[0, 0, 256], [1, 1, 1]]", "colours needs 2 [r, g, b] lists"),
        ("colours = [[0, 0, 1.0], [1, 1, 1]]", "colours needs 2 [r, g, b] lists"),
    ],
)
def test_void_and_colours_are_whole_numbers(tmp_path, line, said):
    (tmp_path / "dataset.toml").write_text(f"classes = ['a', 'b']\n{line}")
    with pytest.raises(Refusal) as refusal:
        read_dataset(tmp_path)
    assert said in str(refusal.value) and len(str(refusal.value)) < len(str(tmp_path)) + 120


@pytest.mark.parametrize("kind", [kind for kind in BAD if kind != "same"])
def test_a_source_with_such_a_name_says_what_to_type(kind):
    """The word that the message names is one that bash turns into the old name."""
    name, said = BAD[kind]
    with pytest.raises(Refusal) as refusal:
        select(["sky", name, "sea"])
    text = str(refusal.value)
    assert text.startswith("class 1 of the source, ") and said.rpartition(", ")[2][:30] in text
    assert cli.plain(text) == text and len(text) < 400
    word = text.partition("--map ")[2].partition("=NEW")[0]
    if kind in ("long", "nul"):  # which no command line can contain
        return
    done = subprocess.run(["bash", "-c", f"printf %s {word}"], capture_output=True)
    assert done.stdout.decode() == name
    assert select(["sky", name, "sea"], {name: "cat"}).classes == ["sky", "cat", "sea"]
    assert select(["sky", name, "sea"], only=["sea"]).classes == ["background", "sea"]


@pytest.mark.parametrize("name", ["$(touch x)", "`A`;B&", "it's \\ \x1b'$(touch x)", "A B", ""])
def test_a_name_is_harmless_to_the_shell(tmp_path, name):
    """It stands in a command that people are told to type."""
    done = subprocess.run(
        ["bash", "-c", f"printf %s {typed(name)}"], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.stdout == name and not list(tmp_path.iterdir())


def test_the_doctor_reports_such_names(tmp_path):
    write_shapes(tmp_path / "s", train=2, val=1)
    (tmp_path / "s/dataset.toml").write_text(json.dumps(["a", "\x1b[2J"]).join(("classes = ", "")))
    notes = [named.note for finding in findings(examine(tmp_path / "s")) for named in finding.files]
    assert any("class 1, '\\x1b[2J', contains the invisible or control" in note for note in notes)


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("plain caf\u00e9 \u732b", "plain caf\u00e9 \u732b"),
        ("\x1b]0;title\x07\x1b[2J", "\\x1b]0;title\\x07\\x1b[2J"),
        ("a\rb\nc\td", "a\\rb\\nc\\td"),
        ("a\u202eb\x9b", "a\\u202eb\\x9b"),
        ("\U0001f468\u200d\U0001f33e", "\U0001f468\u200d\U0001f33e"),
    ],
)
def test_what_a_terminal_gets(line, wanted, capsys):
    assert cli.plain(line) == wanted
    cli.say(line)
    assert capsys.readouterr().err == f"{wanted}\n"


ODD = "a\x1b[31m\u202eb"


def steering(*texts) -> list[str]:
    """The characters of some output that steer a terminal, line breaks between lines left out."""
    return [c for text in texts for line in text.split("\n") for c in line if cli.is_steering(c)]


def test_no_command_steers_the_terminal(tmp_path):
    """File names and class names with escape sequences, in results, remarks and refusals."""
    source = tmp_path / f"in{ODD}"
    for seed, name in enumerate((f"x{ODD}", "good", "fine", "new")):
        image = np.random.default_rng(seed).integers(0, 256, (40, 40, 3), np.uint8)
        write_pair(source, name, np.eye(40), image)
    (source / "images" / f"broken{ODD}.png").write_bytes(b"x")
    (source / "masks" / f"broken{ODD}.png").write_bytes(b"x")
    out = tmp_path / f"out{ODD}"
    end = run_import("folder", source, out, "--values", "0=sky", "1=cat")
    assert end.returncode == 1 and f"broken: {cli.plain(str(source))}" in end.stdout
    ends = [end, run_import("folder", source, tmp_path / "no", "--values", "0=sky", f"1={ODD}")]
    assert "class 1 of the source" in ends[1].stderr
    ends += [run("data", "check", out), run("data", "check", out, "--fix", tmp_path / f"f{ODD}")]
    ends += [run("data", "pack", out, tmp_path / f"packed{ODD}"), run("data", "check", source)]
    ends += [run("data", "preview", out, "--out", tmp_path / f"{ODD}.png"),
             run("data", "preview", tmp_path / ODD)]  # fmt: skip
    assert [end.returncode for end in ends] == [1, 2, 0, 0, 0, 1, 0, 2]
    for end in ends:
        assert "Traceback" not in end.stderr and steering(end.stdout, end.stderr) == []
