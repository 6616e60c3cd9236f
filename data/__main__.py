"""python -m data: creates, imports, checks, packs and previews datasets."""

import json
import sys
from pathlib import Path

import cli
from cli import Refusal, Verdict, plain

ABOUT = """Creates, imports, checks, packs and previews datasets.

python -m data shapes DIR                   write the built-in synthetic dataset
python -m data import FORMAT SOURCE DIR     convert a dataset from another format
python -m data check DIR [--fix OUT]        find faults, write a repaired copy
python -m data pack DIR OUT                 pack into shards, for fast reading
python -m data preview DIR                  show the augmentation in one image, preview.png"""


def main() -> None:
    verbs = {"shapes": shapes, "import": import_, "check": check, "pack": pack, "preview": preview}
    argv = sys.argv[1:]
    if argv and argv[0] in verbs:
        verbs[argv[0]](argv[1:])
        return
    parser = cli.parser("python -m data", ABOUT)
    parser.add_argument("verb", choices=verbs, metavar="VERB", help=", ".join(verbs))
    parser.parse_args(argv)


def shapes(argv: list[str]) -> None:
    parser = cli.parser("python -m data shapes", "Writes the built-in synthetic dataset.")
    parser.add_argument("folder", metavar="DIR", help="folder to write, new or empty")
    parser.add_argument(
        "--seed", type=seed, default=0, metavar="N", help="random seed from 0 on (default 0)"
    )
    args = parser.parse_args(argv)
    from data.shapes import write_shapes

    write_shapes(args.folder, args.seed)
    print(plain(args.folder))


def check(argv: list[str]) -> None:
    about = """Reads every file of a dataset once and lists its faults and their effect on training.
Errors (training would stop, or would learn or score something wrong) give exit code 1, warnings
do not. Nothing is
written into DIR."""
    parser = cli.parser("python -m data check", about)
    parser.add_argument("folder", metavar="DIR", help="the dataset")
    parser.add_argument(
        "--fix", metavar="OUT",
        help="write a repaired copy to this new folder; exit code 0 if it has no errors",
    )  # fmt: skip
    parser.add_argument(
        "--group", type=expression, metavar="REGEX",
        help="let --fix make the splits anew, where images whose names give the same match share "
        "one: '^(.*?)[0-9]+$' takes what frames of a video have before their numbers",
    )  # fmt: skip
    parser.add_argument(
        "--html", metavar="FILE", nargs="?", const="check.html",
        help="write a report with images (default check.html in the current folder)",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print all findings as JSON")
    args = parser.parse_args(argv)
    if args.group and not args.fix:
        raise Refusal("--group is for the splits that --fix writes: add --fix OUT")
    from data.doctor.doctor import check_dataset
    from data.formats.auto import advice, is_one_split

    if line := advice(args.folder):
        line = f"{args.folder} is no dataset. {line}"
        if not is_one_split(args.folder):
            raise Refusal(line)
        cli.say(line)
    check_dataset(args.folder, args.fix, args.html, args.json, args.group)


def pack(argv: list[str]) -> None:
    about = "Packs a dataset into shards, which train.py --data accepts like the folder."
    parser = cli.parser("python -m data pack", about)
    parser.add_argument("source", metavar="DIR", help="the dataset")
    parser.add_argument("folder", metavar="OUT", help="folder for the shards")
    parser.add_argument(
        "--shards", type=count, default=8, metavar="N", help="shards per split (default 8)"
    )
    parser.add_argument(
        "--size", type=count, nargs=2, metavar=("H", "W"),
        help="downscale images and masks to the smallest size of their aspect ratio that covers "
        "HxW; mIoU is then that of the downscaled masks",
    )  # fmt: skip
    args = parser.parse_args(argv)
    from data.pack import pack as pack_dataset
    from data.pack import packed_counts, splits_line

    broken = pack_dataset(args.source, args.folder, args.shards, args.size)
    print(plain(f"{args.folder}: {splits_line(args.folder)}"))
    for line in broken:
        print(plain(f"broken: {line}"))
    for split, (pairs, _) in packed_counts(args.folder).items():
        if not pairs:
            raise Refusal(
                f"every pair of {split} is broken, listed above: {args.folder} is no dataset. "
                f"Repair {args.source} and pack it into another folder"
            )
    if broken:
        raise Verdict(f"broken and left out: {len(broken)}, listed above; the rest was packed")


def count(word: str) -> int:
    import argparse

    if not (word.isdecimal() and 0 < int(word) < 100_000):
        raise argparse.ArgumentTypeError(f"{word}: a number from 1 to 99999 is needed")
    return int(word)


def seed(word: str) -> int:
    import argparse

    if not (word.isdecimal() and word.isascii()):
        raise argparse.ArgumentTypeError(f"{word}: a whole number from 0 on is needed")
    return int(word)


def preview(argv: list[str]) -> None:
    parser = cli.parser(
        "python -m data preview", "Shows training images under each augmentation, in one image."
    )
    parser.add_argument("folder", metavar="DIR", help="the dataset")
    parser.add_argument(
        "--augment", type=float, default=1.0, metavar="X", help="strength, 0 to 2 (default 1.0)"
    )
    parser.add_argument(
        "--out", default="preview.png", metavar="FILE", help=".png or .jpg (default preview.png)"
    )
    parser.add_argument("--force", action="store_true", help="overwrite FILE")
    args = parser.parse_args(argv)
    if not 0 <= args.augment <= 2:
        raise Refusal(f"--augment is {args.augment:g}; needed: 0 to 2")
    if Path(args.out).exists() and not args.force:
        raise Refusal(f"{args.out} exists. Name another --out, or add --force")
    from data.dataset import read_dataset
    from data.images import write_image
    from data.preview import preview

    write_image(args.out, preview(read_dataset(args.folder), args.augment))
    print(plain(args.out))


def import_(argv: list[str]) -> None:
    from data.formats import FORMATS

    command = "python -m data import"
    if not argv or argv[0].startswith("-"):
        about = (
            f"FORMAT is one of {', '.join(FORMATS)}; {command} FORMAT --help describes it. "
            "auto finds out which it is."
        )
        parser = cli.parser(command, about)
        parser.add_argument("format", choices=FORMATS, metavar="FORMAT")
        parser.parse_args(argv)

    name, args = argv[0], import_options(argv[0]).parse_args(argv[1:])
    if args.val + args.test >= 1:
        raise Refusal(f"--val {args.val:g} and --test {args.test:g} leave nothing to train on")
    from data.formats.account import as_json, table
    from data.formats.imports import SplitOptions, import_source

    options = SplitOptions(args.val, args.test, args.seed, args.group)
    account = import_source(name, args, renames(args.map, args.merge), options)
    lines = [json.dumps(as_json(account), indent=1)] if args.json else table(account)
    for line in lines:
        print(line if args.json else plain(line))
    if account.broken:
        count = len(account.broken)
        raise Verdict(f"broken and left out: {count}, listed above; the rest was imported")


def import_options(name: str):
    """The argument parser for importing one format."""
    from data.formats import module_of

    format_ = module_of(name)
    parser = cli.parser(f"python -m data import {name}", format_.ABOUT)
    parser.add_argument("source", metavar="SOURCE", help="see above")
    parser.add_argument("folder", metavar="DIR", help="the dataset folder to create")
    add_shared_options(parser)
    if hasattr(format_, "add_arguments"):
        format_.add_arguments(parser)
    return parser


def add_shared_options(parser) -> None:
    """The options of every format: selection of classes, and splits."""
    parser.add_argument(
        "--map", nargs="+", default=(), metavar="OLD=NEW",
        help="rename classes; OLD=void excludes its pixels from training and scoring",
    )  # fmt: skip
    parser.add_argument(
        "--merge", nargs="+", default=(), metavar="NEW=OLD,OLD", help="merge classes"
    )
    parser.add_argument(
        "--only", nargs="+", default=(), metavar="CLASS",
        help="keep only these classes; all others become background",
    )  # fmt: skip
    parser.add_argument(
        "--val",
        type=fraction,
        default=0.15,
        metavar="X",
        help="fraction of the images for val, where SOURCE has no splits (default 0.15)",
    )
    parser.add_argument(
        "--test",
        type=fraction,
        default=0.0,
        metavar="X",
        help="fraction for test, where SOURCE has no splits (default 0)",
    )
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="random seed of the splits (default 0)"
    )
    parser.add_argument(
        "--group", type=expression, metavar="REGEX",
        help="images whose names give the same match share a split, such as frames of one video: "
        "'^[^_]+' takes the text before the first _",
    )  # fmt: skip
    parser.add_argument(
        "--links", action="store_true",
        help="follow links in SOURCE that lead outside it; without it they are refused",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print the account as JSON")


def expression(word: str) -> str:
    import argparse
    import re

    try:
        re.compile(word)
    except (re.error, RecursionError) as error:
        raise argparse.ArgumentTypeError(f"{word} is no regular expression: {error}") from None
    return word


def fraction(word: str) -> float:
    import argparse

    try:
        number = float(word)
    except ValueError:
        number = -1.0
    if not 0 <= number < 1:
        raise argparse.ArgumentTypeError(f"{word} is not a fraction; needed: from 0 to below 1")
    return number


def renames(mapped, merged) -> dict[str, str]:
    """Old class name to new name, from --map and --merge."""
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
