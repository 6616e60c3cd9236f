"""python -m data: datasets made and checked."""

import cli


def main() -> None:
    parser = cli.parser("python -m data", "Datasets: make one, check one.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    shapes = verbs.add_parser("shapes", help="write the built-in synthetic dataset")
    shapes.add_argument("folder", metavar="DIR")
    shapes.add_argument("--seed", type=int, default=0, help="(default 0)")
    check = verbs.add_parser("check", help="pairs, sizes, class shares, every broken file")
    check.add_argument("folder", metavar="DIR")
    words = parser.parse_args()
    if words.verb == "shapes":
        from data.shapes import write_shapes

        write_shapes(words.folder, words.seed)
        print(words.folder)
    else:
        from data.doctor import check_dataset

        check_dataset(words.folder)


if __name__ == "__main__":
    cli.run(main)
