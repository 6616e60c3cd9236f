"""python -m benchmarks.frame KIT [KIT...]: milliseconds from a frame to its overlay, by stage.

The code of kits in Python, in Node.js, in headless Chromium and, for Kotlin, on a JVM, on one
thread, with the network's own time apart. The rounds of several kits, such as one of older code,
are interleaved, and the places take turns. `exact` is the path of stills: the mask at the frame's
size; `live` that of video: the mask at the network's; `smooth` is `live` with Smooth. A JVM has
neither the network nor Android's scaler: the masks are made of golden/output.bin, and java.awt's
bilinear scaler is timed as `read`.
"""

import contextlib
import json
import os
import queue
import shutil
import statistics
import subprocess
import tempfile
import threading
from http.server import ThreadingHTTPServer
from pathlib import Path

import cli
from files import write_json

SIZES = [(640, 480), (1280, 720), (4000, 3000)]  # width, height
STAGES = ("read", "tensor", "network", "mask", "colours")
TURNS = 3
JVM_WARM_ROUNDS = 200  # until its compiler has optimised the code
JVM_STAGES = {
    "exact": ("tensor", "mask", "colours"),
    "live": ("read", "tensor", "colours"),
    "smooth": ("read", "tensor", "colours"),
}
LARGE = 4e6  # pixels, from which one round in five is run
HERE = Path(__file__).parent
CORE = HERE.parent / ".clients/node/node_modules/@litertjs/core"
KOTLIN = HERE.parent / ".clients/kotlin/node_modules/kotlin-compiler"
NODE = """
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { runInThisContext } from 'node:vm';
const { core, frame, kits, sizes, rounds } = JSON.parse(process.argv[2]);
// LiteRT.js expects these globals of a web worker and of CommonJS.
Object.assign(globalThis, {
  self: globalThis, require: createRequire(`${core}/`),
  __dirname: `${core}/wasm/`, __filename: `${core}/wasm/litert.js`,
  importScripts: (path) => runInThisContext(readFileSync(path, 'utf8'), { filename: path }),
  ImageData: class { // of its pixels, or of its size alone
    constructor(...given) {
      const [width, height] = given.slice(-2);
      const data = given.length === 3 ? given[0] : new Uint8ClampedArray(4 * width * height);
      Object.assign(this, { data, width, height });
    }
  },
});
const litert = await import(`${core}/dist/index.js`);
await litert.loadLiteRt(`${core}/wasm/`);
const { measure } = await import(frame);
const read = ({ name, path }) =>
  ({ name, web: `${path}/web/segnet.js`, model: readFileSync(`${path}/model.tflite`) });
console.log(JSON.stringify(await measure(litert, kits.map(read), sizes, rounds)));
process.exit(0);
"""
PAGE = """<script type="module">
const post = (path, body) => fetch(path, { method: 'POST', body });
try {
  const { kits, sizes, rounds } = await (await fetch('/options.json')).json();
  const litert = await import('/@litertjs/core/dist/index.js');
  await litert.loadLiteRt('/@litertjs/core/wasm/');
  const { measure } = await import('/frame.mjs');
  const read = async ({ name }, index) => {
    const model = new Uint8Array(await (await fetch(`/${index}/model.tflite`)).arrayBuffer());
    return { name, web: `/${index}/web/segnet.js`, model };
  };
  const loaded = await Promise.all(kits.map(read));
  await post('/rows', JSON.stringify(await measure(litert, loaded, sizes, rounds)));
} catch (error) {
  await post('/error', String(error.stack));
}
</script>"""


def main() -> None:
    parser = cli.parser(
        "python -m benchmarks.frame", "Time the code of kits from a frame to its overlay, by stage."
    )
    parser.add_argument("kits", nargs="+", type=Path, metavar="KIT", help="folders of kits")
    parser.add_argument(
        "--places", nargs="+", choices=PLACES, default=list(PLACES), help="(default all)"
    )
    parser.add_argument("--rounds", type=int, default=60, metavar="N", help="(default 60)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all times as JSON")
    args = parser.parse_args()
    for kit in args.kits:
        if not (kit / "web/segnet.js").exists():
            raise cli.Refusal(f"{kit} is not a kit: web/segnet.js is missing")
    rows = measured(args.kits, args.places, args.rounds)
    if args.json:
        write_json(args.json, rows)
    print(table(rows))
    print(f"medians of up to {args.rounds} interleaved rounds, one thread, in milliseconds")
    print("rest: all but the network; ratio: rest to the network, on a JVM to Python's")


def measured(paths: list[Path], places: list[str], rounds: int) -> list[dict]:
    """Rows of place, kit, path, width, height and times, which come of TURNS of all places."""
    kits = [{"name": str(kit), "path": str(kit.resolve())} for kit in paths]
    rows = {}
    for turn in range(TURNS):
        for place in places:
            cli.say(f"turn {turn + 1} of {TURNS}: {place} ...")
            for row in PLACES[place](kits, -(-rounds // TURNS)):
                times = row.pop("times")
                kept = rows.setdefault((place, *row.values()), {"place": place, **row, "times": {}})
                for stage, ms in times.items():
                    kept["times"].setdefault(stage, []).extend(ms)
    return sorted(rows.values(), key=lambda row: places.index(row["place"]))


def in_python(kits: list[dict], rounds: int) -> list[dict]:
    from export.proof.frame import PATHS, load, times

    codes, rows = [load(Path(kit["path"])) for kit in kits], []
    for width, height in SIZES:
        count = rounds if width * height < LARGE else -(-rounds // 5)
        for row in times(codes, [(width, height)], count, paths=(*PATHS, "smooth")):
            rows.append({"kit": kits[row.pop("code")]["name"], **row})
    return rows


def in_node(kits: list[dict], rounds: int) -> list[dict]:
    need_litert_js()
    options = {"core": str(CORE), "frame": str(HERE / "frame.mjs"), "kits": kits,
               "sizes": SIZES, "rounds": rounds}  # fmt: skip
    flags = ["--experimental-wasm-relaxed-simd", "--input-type=module", "-"]
    command = ["node", *flags, json.dumps(options)]
    end = subprocess.run(command, input=NODE, capture_output=True, text=True)
    if end.returncode:
        raise RuntimeError(end.stderr)
    return json.loads(end.stdout.splitlines()[-1])


def in_chromium(kits: list[dict], rounds: int) -> list[dict]:
    from tests.clients.browser_client import FLAGS, HEAD, browse, handler

    need_litert_js()
    options = json.dumps({"kits": kits, "sizes": SIZES, "rounds": rounds})
    files = {"/": (HEAD + PAGE).encode(), "/options.json": options.encode(),
             "/frame.mjs": HERE / "frame.mjs"}  # fmt: skip
    for number, kit in enumerate(kits):
        for path in Path(kit["path"]).rglob("*"):
            if path.is_file():
                files[f"/{number}/{path.relative_to(kit['path']).as_posix()}"] = path
    posts = queue.Queue()
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(files, posts))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    path, body = browse(f"http://127.0.0.1:{server.server_port}/", FLAGS, posts, limit_s=1800)
    server.shutdown()
    if path != "/rows":
        raise RuntimeError(body.decode())
    return json.loads(body)


def on_jvm(kits: list[dict], rounds: int) -> list[dict]:
    """One process for each kit; they take turns."""
    if not (KOTLIN / "bin/kotlinc").exists() or shutil.which("java") is None:
        raise cli.Refusal(f"{KOTLIN} or java is missing: run make .clients/kotlin/done")
    rows = []
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as open_ones:
        programs = [open_ones.enter_context(jvm(kit, Path(folder, str(number))))
                    for number, kit in enumerate(kits)]  # fmt: skip
        for width, height in SIZES:
            shape = {"width": width, "height": height}
            found = [{"kit": kit["name"], "path": path, **shape, "times": {}}
                     for kit in kits for path in JVM_STAGES]  # fmt: skip
            large = width * height >= LARGE
            count = -(-rounds // 5) if large else rounds
            for turn in range(-JVM_WARM_ROUNDS // (5 if large else 1), count):
                for index, row in enumerate(found):
                    program = programs[index // len(JVM_STAGES)]
                    program.stdin.write(f"{row['path']} {width} {height}\n")
                    program.stdin.flush()
                    laps = map(float, program.stdout.readline().split())
                    for stage, ms in zip(JVM_STAGES[row["path"]], laps, strict=True):
                        if turn >= 0:
                            row["times"].setdefault(stage, []).append(ms)
            rows += found
    return rows


@contextlib.contextmanager
def jvm(kit: dict, classes: Path):
    """The process of frame.kt, compiled with those files of a kit that need no Android."""
    code = Path(kit["path"], "android/app/src/main/kotlin/segnet")
    files = [code / f"{name}.kt" for name in ("Contract", "Live", "Mask", "Resize", "Smooth")]
    compile_ = ["bash", KOTLIN / "bin/kotlinc", "-nowarn", "-d", classes, HERE / "frame.kt", *files]
    subprocess.run(compile_, check=True)
    path = f"{classes}{os.pathsep}{KOTLIN / 'lib/kotlin-stdlib.jar'}"
    command = ["java", "-XX:+UseSerialGC", "-cp", path, "segnet.FrameKt",
               Path(kit["path"], "golden/output.bin")]  # fmt: skip
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as it:
        yield it
        it.stdin.close()


def need_litert_js() -> None:
    if not CORE.exists():
        raise cli.Refusal(f"{CORE} is missing: run make .clients/node/done")


PLACES = {"python": in_python, "node": in_node, "chromium": in_chromium, "jvm": on_jvm}


def table(rows: list[dict]) -> str:
    """The median of each stage, their sum, the sum without the network, and its ratio to it."""
    lines = [
        "".join(f"{stage:>9}" for stage in (*STAGES, "all", "rest", "ratio"))
        + "  place     path   frame, kit"
    ]
    where = ("kit", "path", "width", "height")
    networks = {tuple(row[name] for name in where): statistics.median(row["times"]["network"])
                for row in rows if row["place"] == "python"}  # fmt: skip
    for row in rows:
        found = {stage: statistics.median(ms) for stage, ms in row["times"].items()}
        whole = sum(found.values())
        rest = whole - found.get("network", 0)
        network = found.get("network") or networks.get(tuple(row[name] for name in where))
        shown = [*map(found.get, STAGES), whole, rest, network and rest / network]
        lines.append(
            "".join(f"{'-':>9}" if value is None else f"{value:9.2f}" for value in shown)
            + f"  {row['place']:9} {row['path']:6} {row['width']}x{row['height']}, {row['kit']}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    cli.run(main)
