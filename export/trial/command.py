"""The options of python -m export try."""

from pathlib import Path

import cli
from cli import Refusal

ABOUT = """Shows what a model finds in your own images and videos. For each image the default is
NAME-overlay.jpg, the classes in their colours over the image, and NAME-mask.png, a palette image
that stores the ids of the classes; for each video NAME-overlay.mp4, without its sound.

Other looks: cutout is a .png of the kept classes on a transparent ground; blur and replace leave
them as they are and blur the rest, or put --background in its place. Of a video, mask and cutout
are a folder with one .png a frame."""

MOST_SECONDS = 3600


def options():
    parser = cli.parser("python -m export try", ABOUT)
    parser.add_argument(
        "model", metavar="runs/NAME|KIT|model.tflite", help="a run, a kit or a .tflite of anybody"
    )
    parser.add_argument(
        "inputs", nargs="*", metavar="INPUT", help="images, videos, and folders that hold them"
    )
    parser.add_argument("--camera", type=int, metavar="N", help="record from it; the first is 0")
    parser.add_argument(
        "--seconds", type=float, metavar="S", help="how long --camera records (default 10)"
    )
    parser.add_argument(
        "--out", default="tried", metavar="DIR", help="folder of the results (default tried)"
    )
    parser.add_argument(
        "--show", metavar="LOOK[,LOOK...]",
        help="overlay, mask, cutout, blur, replace (default overlay,mask; of a video overlay)",
    )  # fmt: skip
    parser.add_argument(
        "--class", nargs="+", dest="kept", metavar="NAME",
        help="classes that cutout, blur and replace keep (default all but the first)",
    )  # fmt: skip
    parser.add_argument(
        "--background", metavar="FILE|COLOUR",
        help="what replace puts behind: an image, or a colour such as white or #00b140",
    )  # fmt: skip
    parser.add_argument(
        "--classes", metavar="FILE|NAMES",
        help="names of the model's classes in the order of their ids, for a .tflite that does not "
        "tell them: a file with one a line, or background,person",
    )  # fmt: skip
    parser.add_argument(
        "--range", nargs=2, type=float, metavar=("LOW", "HIGH"),
        help="range of the input values of a .tflite that does not tell it: 0 1 or -1 1",
    )  # fmt: skip
    parser.add_argument("--smooth", action="store_true", help="less flicker in masks of videos")
    parser.add_argument("--force", action="store_true", help="overwrite results in --out")
    return parser


def run(argv: list[str]) -> None:
    args = options().parse_intermixed_args(argv)
    from export.trial.inputs import Input, find
    from export.trial.looks import style
    from export.trial.loop import Choice, try_all
    from export.trial.model import open_tried

    shown = looks(args)
    inputs, faults = find(args.inputs)
    if args.camera is not None:
        inputs.append(Input(Path(f"camera {args.camera}"), f"camera-{args.camera}", args.camera))
    if args.smooth and not any(item.is_video for item in inputs):
        raise Refusal("--smooth is for videos, of which there are none: leave it out")
    model = open_tried(args.model, args.classes, args.range)
    cli.say(f"{args.model}: {model.told}")
    if args.smooth and model.values in ("classes", "scores"):
        what = "class ids" if model.values == "classes" else "the results of a sigmoid"
        raise Refusal(
            f"{args.model} ends in {what}, but --smooth needs logits or the probabilities of a "
            "softmax: leave --smooth out"
        )
    drawn = style(model.classes, model.colours, args.kept, args.background)
    out, seconds = Path(args.out), args.seconds or 10
    choice = Choice(out, shown, drawn, args.force, seconds, args.smooth)
    try_all(model, inputs, choice, faults)


def looks(args) -> tuple[str, ...] | None:
    """The looks of --show, or None for the default. Raises Refusal if other options do not fit."""
    from export.trial.looks import KEEPING, LOOKS

    shown = tuple(dict.fromkeys(args.show.split(","))) if args.show else ()
    for look in shown:
        cli.one_of(look, LOOKS, "look")
    if not args.inputs and args.camera is None:
        raise Refusal("nothing to try: name images, videos or folders, or add --camera 0")
    if args.seconds is not None and (args.camera is None or not 0 < args.seconds <= MOST_SECONDS):
        raise Refusal(f"--seconds is for --camera, above 0 and at most {MOST_SECONDS}")
    if args.kept and not KEEPING.intersection(shown):
        raise Refusal("--class is for cutout, blur and replace: add one of them to --show")
    if args.background and "replace" not in shown:
        raise Refusal("--background is for replace: add it to --show")
    if "replace" in shown and not args.background:
        raise Refusal("replace needs --background: an image, or a colour such as white or #00b140")
    return shown or None
