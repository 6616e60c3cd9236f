"""docs/datasets.md has each importer, with a layout and commands that are understood."""

import re
import shlex

import pytest
from sources import ROOT

from data.__main__ import import_options
from data.formats import FORMATS

TEXT = (ROOT / "docs/datasets.md").read_text()
CHAPTER = re.search(r"## The formats\n(.*?)\n## ", TEXT, re.DOTALL)[1]
SECTIONS = dict(re.findall(r"\n### ([\w-]+)\n(.*?)(?=\n### |\Z)", CHAPTER, re.DOTALL))


def test_each_format_has_a_section_and_a_row():
    assert set(SECTIONS) == set(FORMATS)
    table = re.search(r"\| what you have \| format \|\n((?:\|.*\n)+)", TEXT)[1]
    assert set(re.findall(r"`([\w-]+)`", table)) == set(FORMATS) - {"auto"}


@pytest.mark.parametrize("name", FORMATS)
def test_layout_and_commands(name):
    text = re.sub(r"\\\n +", "", SECTIONS[name])  # a command that continues in the next line
    lines = re.findall(r"^ {4}(\S.*)$", text, re.MULTILINE)
    commands = [line for line in lines if line.startswith(f"python -m data import {name} ")]
    assert commands and not lines[0].startswith("python"), "a layout, then commands"
    parser = import_options(name)
    for command in commands:
        parser.parse_args(shlex.split(command)[5:])


@pytest.mark.parametrize("name", FORMATS)
def test_options_that_the_text_names(name):
    known = {word for action in import_options(name)._actions for word in action.option_strings}
    assert set(re.findall(r"`?(--[a-z][a-z-]*)", SECTIONS[name])) <= {*known, "--data"}
