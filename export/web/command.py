"""The options of python -m export web and python -m export serve."""

import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path

import cli
from cli import Refusal

WEB = """Writes a folder with a page that shows what a kit's model finds: in the camera of a phone
or a computer, in pictures and in videos. Everything that it needs is in the folder: it works on any
web server, asks nothing of any other, and what it sees stays on the device.

The runtime, LiteRT.js, is downloaded once from the npm registry and checked."""
SERVE = """Serves the page of python -m export web, which is made for the purpose if a run or a kit
is named. It can be opened on this machine only; with --lan on any device of the same network, by
HTTPS, without which browsers give no camera. Ctrl-C ends it."""
PORT = 8000


def add_model(parser) -> None:
    parser.add_argument(
        "--recipe", default="float32", metavar="R", help="the run's kit (default float32)"
    )
    parser.add_argument(
        "--litert", metavar="DIR",
        help="folder in which npm installed LiteRT.js (default: it is downloaded)",
    )  # fmt: skip


def write(argv: list[str]) -> None:
    parser = cli.parser("python -m export web", WEB)
    parser.add_argument("run", metavar="runs/NAME|KIT", help="an exported run, or a kit")
    add_model(parser)
    parser.add_argument(
        "--out", metavar="DIR", help="the folder to write (default runs/NAME/export/web-RECIPE)"
    )
    args = parser.parse_args(argv)
    print(make(args, args.out))


def make(args, out: str | None) -> Path:
    """Writes the folder of a run or a kit; returns its path."""
    from export.web.litert import read_packages
    from export.web.make import find_kit, write_page

    kit, run = find_kit(args.run, args.recipe)
    out = Path(out or kit.with_name(f"web-{kit.name}"))
    write_page(out, kit, run, read_packages(args.litert))
    return out


def serve(argv: list[str]) -> None:
    parser = cli.parser("python -m export serve", SERVE)
    parser.add_argument(
        "run", metavar="runs/NAME|KIT|DIR", help="an exported run, a kit, or a folder of export web"
    )
    add_model(parser)
    parser.add_argument("--lan", action="store_true", help="for other devices on the network")
    parser.add_argument(
        "--port", type=int, default=PORT, metavar="N", help=f"0 takes a free one (default {PORT})"
    )
    args = parser.parse_args(argv)
    if not 0 <= args.port <= 65535:
        raise Refusal(f"--port is {args.port}; needed: 0 to 65535")
    with (
        tempfile.TemporaryDirectory() as spare,
        opened(args, Path(spare)) as server,
        suppress(KeyboardInterrupt),
    ):
        server.serve_forever()


@contextmanager
def opened(args, spare: Path):
    """The server, after its address is printed. spare: an empty folder for what is made."""
    from export.web import lan
    from export.web.serve import Server

    folder = Path(args.run)
    if not (folder / "index.html").exists():
        folder = make(args, spare / "page")
    elif not (folder / "model.tflite").exists():
        raise Refusal(f"{folder} is not a folder of python -m export web: it has no model.tflite")
    address, context = "127.0.0.1", None
    if args.lan:
        address = lan.own_address()
        context, digest = lan.certificate(spare, address)
    with Server((address, args.port), folder, context) as server:
        print(server.url, flush=True)
        if args.lan:
            for line in lan.qr_code(server.url):
                cli.say(line)
            cli.say("The browser warns of a certificate that it does not know. Go on if it is")
            cli.say(f"SHA-256 {digest}")
        yield server
