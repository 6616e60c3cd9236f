"""python -m data: datasets made, imported and checked."""

import sys
from pathlib import Path

import cli
from cli import Refusal

ABOUT = """Datasets.

python -m data shapes DIR                   writes the built-in synthetic dataset
python -m data import FORMAT SOURCE DIR     makes a dataset of what others have
python -m data check DIR [--fix OUT]        finds what is wrong, repairs it elsewhere
python -m data pack DIR OUT                 shards of many images, to be read fast
python -m data preview DIR                  augmentation in one image, preview.png"""


def main() -> None:
    verbs = {"shapes": shapes, "import": import_, "check": check, "pack": pack, "preview": preview}
    words = sys.argv[1:]
    if words and words[0] in verbs:
        verbs[words[0]](words[1:])
        return
    parser = cli.parser("python -m data", ABOUT)
    parser.add_argument("verb", choices=verbs, metavar="VERB", help=", ".join(verbs))
    parser.parse_args(words)


def shapes(words: list[str]) -> None:
    parser = cli.parser("python -m data shapes", "Writes the built-in synthetic dataset.")
    parser.add_argument("folder", metavar="DIR")
    parser.add_argument("--seed", type=int, default=0, help="(default 0)")
    words = parser.parse_args(words)
    from data.shapes import write_shapes

    write_shapes(words.folder, words.seed)
    print(words.folder)


def check(words: list[str]) -> None:
    about = """Reads every file of a dataset once and lists what is wrong and what training would do
with it. Errors (training would fail or learn nonsense) give exit code 1, remarks do not. Nothing is
written into DIR."""
    parser = cli.parser("python -m data check", about)
    parser.add_argument("folder", metavar="DIR")
    parser.add_argument(
        "--fix", metavar="OUT",
        help="write a sound dataset there, a new folder; exit code 0 if it has no error",
    )  # fmt: skip
    parser.add_argument(
        "--html", metavar="FILE", nargs="?", const="check.html",
        help="write a page with images (default check.html in the working folder)",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print all of it as JSON")
    words = parser.parse_args(words)
    from data.doctor.doctor import check_dataset

    check_dataset(words.folder, words.fix, words.html, words.json)


def pack(words: list[str]) -> None:
    about = "Packs a dataset into shards, which train.py --data takes like the folder."
    parser = cli.parser("python -m data pack", about)
    parser.add_argument("source", metavar="DIR", help="the dataset")
    parser.add_argument("folder", metavar="OUT", help="the shards' folder")
    parser.add_argument(
        "--shards", type=count, default=8, metavar="N", help="files a split (default 8)"
    )
    parser.add_argument(
        "--size", type=count, nargs=2, metavar=("H", "W"),
        help="shrink images and masks, their aspect kept, until one side has this many pixels; "
        "scores are then of the shrunk masks",
    )  # fmt: skip
    words = parser.parse_args(words)
    from data.pack import pack as pack_dataset
    from data.pack import splits_line

    broken = pack_dataset(words.source, words.folder, words.shards, words.size)
    print(f"{words.folder}: {splits_line(words.folder)}")
    for line in broken:
        print(f"broken: {line}")
    if broken:
        raise Refusal(f"{len(broken)} could not be packed and are listed above; the rest was")


def count(word: str) -> int:
    import argparse

    if not (word.isdecimal() and 0 < int(word) < 100_000):
        raise argparse.ArgumentTypeError(f"{word}: a number from 1 to 99999 is needed")
    return int(word)


def preview(words: list[str]) -> None:
    parser = cli.parser(
        "python -m data preview", "What training sees, augmentation by augmentation."
    )
    parser.add_argument("folder", metavar="DIR")
    parser.add_argument(
        "--augment", type=float, default=1.0, metavar="X", help="strength, 0 to 2 (default 1.0)"
    )
    parser.add_argument(
        "--out", default="preview.png", metavar="FILE", help=".png or .jpg (default preview.png)"
    )
    parser.add_argument("--force", action="store_true", help="overwrite FILE")
    words = parser.parse_args(words)
    if not 0 <= words.augment <= 2:
        raise Refusal(f"--augment is {words.augment:g}; needed: 0 to 2")
    if Path(words.out).exists() and not words.force:
        raise Refusal(f"{words.out} exists. Name another --out, or add --force")
    from data.dataset import read_dataset
    from data.images import write_image
    from data.preview import preview

    write_image(words.out, preview(read_dataset(words.folder), words.augment))
    print(words.out)


def import_(words: list[str]) -> None:
    from data.formats import FORMATS

    command = "python -m data import"
    if not words or words[0].startswith("-"):
        about = f"FORMAT is one of {', '.join(FORMATS)}; {command} FORMAT --help says more."
        parser = cli.parser(command, about)
        parser.add_argument("format", choices=FORMATS, metavar="FORMAT")
        parser.parse_args(words)
    from data.formats import module_of

    name, words = words[0], import_options(words[0]).parse_args(words[1:])
    from data.formats.imports import Sharing, splits_line, write_dataset
    from data.formats.selection import select

    sharing = Sharing(words.val, words.test, words.seed, words.group)
    found = module_of(name).read(words.source, words)
    chosen = select(found.classes, renames(words.map, words.merge), words.only)
    broken = write_dataset(found, words.folder, chosen, sharing)
    print(f"{words.folder}: {splits_line(words.folder)}; {len(chosen.classes)} classes")
    for line in broken:
        print(f"broken: {line}")
    if broken:
        raise Refusal(f"{len(broken)} could not be imported and are listed above; the rest was")


def import_options(name: str):
    """The parser of one format's import."""
    from data.formats import module_of

    format_ = module_of(name)
    parser = cli.parser(f"python -m data import {name}", format_.ABOUT)
    parser.add_argument("source", metavar="SOURCE", help="where it is")
    parser.add_argument("folder", metavar="DIR", help="the dataset to be made")
    add_choices(parser)
    if hasattr(format_, "add_arguments"):
        format_.add_arguments(parser)
    return parser


def add_choices(parser) -> None:
    """What every format's import may choose: classes and splits."""
    parser.add_argument(
        "--map", nargs="+", default=(), metavar="OLD=NEW",
        help="rename classes; void as a new name leaves them unscored",
    )  # fmt: skip
    parser.add_argument(
        "--merge", nargs="+", default=(), metavar="NEW=OLD,OLD", help="join classes"
    )
    parser.add_argument(
        "--only", nargs="+", default=(), metavar="CLASS",
        help="keep these; everything else becomes background",
    )  # fmt: skip
    parser.add_argument(
        "--val", type=share, default=0.15, metavar="X", help="share of val (default 0.15)"
    )
    parser.add_argument(
        "--test", type=share, default=0.0, metavar="X", help="share of test (default 0)"
    )
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="of the splits (default 0)"
    )
    parser.add_argument(
        "--group", metavar="PATTERN",
        help="regular expression in the file name; equal matches stay in one split",
    )  # fmt: skip


def share(word: str) -> float:
    import argparse

    try:
        number = float(word)
    except ValueError:
        number = -1.0
    if not 0 <= number < 1:
        raise argparse.ArgumentTypeError(f"{word} is no share: from 0 up to, not including, 1")
    return number


def renames(mapped, merged) -> dict[str, str]:
    """Old name to new, of --map and --merge."""
    pairs = {}
    for word in mapped:
        old, equals, new = word.rpartition("=")
        if not (old and equals and new):
            raise Refusal(f"--map {word}: write OLD=NEW")
        pairs[old] = new
    for word in merged:
        new, equals, olds = word.partition("=")
        if not (new and equals and all(olds.split(","))):
            raise Refusal(f"--merge {word}: write NEW=OLD,OLD")
        pairs |= dict.fromkeys(olds.split(","), new)
    return pairs


if __name__ == "__main__":
    cli.run(main)
