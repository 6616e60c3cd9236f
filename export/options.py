"""The options of python -m export runs/NAME."""

import cli

ABOUT = """Exports a finished run for phones, as a kit: a .tflite, its contract (how to feed the
file and read its output), test data, app code and a report. Before a kit is written, the gate
compares the file with the trained model, checks its operators and refuses it if a limit is broken.

python -m export runs/NAME            writes the kit runs/NAME/export/float32 and
                                      the page runs/NAME/export/report.html
python -m export runs/NAME --recipe all    writes a kit for every recipe
python -m export runs/NAME --output classes    writes runs/NAME/export/float32-classes
python -m export recipes              lists the recipes
python -m export verify KIT           checks a kit on this machine
python -m export try MODEL INPUT...   shows what a model finds in your images and videos
python -m export web runs/NAME        writes a page that runs the model in a browser
python -m export serve runs/NAME      shows that page; --lan to phones on the network
python -m export score MODEL          scores a run or a .tflite on a split of a dataset
python -m export review runs/NAME     lists the images whose masks are most likely wrong
python -m export fit --data DIR --latency-ms X    proposes a network for a latency budget
python -m export costs --out FILE     measures how long operators take, for fit"""


def export_options():
    parser = cli.parser("python -m export", ABOUT)
    parser.add_argument("run", metavar="runs/NAME", help="a finished run")
    parser.add_argument(
        "--recipe", default="float32", metavar="R[,R...]",
        help="recipes by name, or all (default float32)",
    )  # fmt: skip
    parser.add_argument(
        "--target", default="xnnpack", metavar="T[,T...]",
        help="what the file must run on entirely: xnnpack, gpu, coreml, npu (default xnnpack)",
    )  # fmt: skip
    parser.add_argument(
        "--lower", default="table", metavar="NAME",
        help="lowering, how CReLU and deconvolutions are written in TFLite operators: signs, "
        "mirrored or depthwise, a +, and depth_to_space, transpose_conv or late_bias; table is the "
        "first that the targets support, auto the fastest on this machine (default table)",
    )  # fmt: skip
    parser.add_argument(
        "--max-drop", type=float, default=1.0, metavar="X",
        help="points (hundredths) of mIoU that a file may lose against the trained model "
        "(default 1.0)",
    )  # fmt: skip
    parser.add_argument(
        "--output", default="logits", metavar="NAME",
        help="what the file gives: logits, the scores of the classes; probabilities, it ends in "
        "softmax; classes, it ends in argmax, int32; classes8, the same as uint8 (default logits)",
    )  # fmt: skip
    add_recipe_options(parser)
    parser.add_argument("--json", action="store_true", help="print the reports as JSON")
    return parser


def add_recipe_options(parser) -> None:
    """Options of the int8 recipes and of those that are fine-tuned."""
    parser.add_argument(
        "--keep-float", nargs="+", default=(), metavar="LAYER",
        help="layers that int8 and int8-full keep in float; names as in the report's quantisation "
        "error by layer",
    )  # fmt: skip
    parser.add_argument(
        "--repair", action="store_true",
        help="find the few layers of int8 and int8-full that must stay in float to meet "
        "--max-drop, and keep them in float",
    )  # fmt: skip
    parser.add_argument(
        "--sparsity", type=float, default=0.7, metavar="X",
        help="fraction of weights that sparse recipes set to zero in a pruned layer (default 0.7)",
    )  # fmt: skip
    parser.add_argument(
        "--epochs", type=int, metavar="N",
        help="epochs of fine-tuning (default: as many as the recipe is known to need)",
    )  # fmt: skip
