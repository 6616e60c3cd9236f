"""Runs a .tflite file with LiteRT.js in headless Chromium.

browser_client.py wasm|webgpu MODEL INPUT OUTPUT
"""

import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

HERE = Path(__file__).resolve().parent
MODULES = HERE.parents[1] / ".clients" / "node" / "node_modules"
FLAGS = """--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync
    --disable-background-networking --disable-component-update""".split()
WEBGPU_FLAGS = ["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"]
TYPES = {".html": "text/html", ".js": "text/javascript", ".mjs": "text/javascript"}
TYPES[".wasm"] = "application/wasm"
# The beginning of a page whose modules import LiteRT.js.
HEAD = """<!doctype html><meta charset="utf-8">
<script type="importmap">
{"imports": {"@litertjs/wasm-utils": "/@litertjs/wasm-utils/dist/index.js"}}</script>
"""
LIMIT_S = 120  # seconds until the page must have posted its result


def handler(files: dict[str, Path | bytes], posts: queue.Queue) -> type:
    """Serves `files`, their paths or contents, and the npm packages.

    Puts (path, body) of every POST in `posts`. The headers isolate the page from those of other
    origins, for which the browser gives it a clock of 5 microseconds instead of 100.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            path = files.get(self.path, MODULES / self.path.lstrip("/"))
            if not isinstance(path, bytes) and not path.is_file():
                self.send_error(404)
                return
            body = path if isinstance(path, bytes) else path.read_bytes()
            ending = ".html" if self.path == "/" else Path(self.path).suffix
            self.send_response(200)
            self.send_header("Content-Type", TYPES.get(ending, "application/octet-stream"))
            self.send_header("Cross-Origin-Opener-Policy", "same-origin")
            self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            posts.put((self.path, body))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args):
            pass

    return Handler


def browse(
    address: str, flags: list[str], posts: queue.Queue, limit_s: float = LIMIT_S
) -> tuple[str, bytes]:
    """Opens the page at `address`; returns the path and the body of its first POST."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = ["chromium", *flags, f"--user-data-dir={profile}", address]
        browser = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        try:
            return posts.get(timeout=limit_s)
        finally:
            os.killpg(browser.pid, signal.SIGKILL)
            browser.wait()


def main(accelerator: str, model: str, source: str, target: str) -> int:
    page = HERE / "browser_client.html"
    files = {"/": page, "/litert_js.mjs": HERE / "litert_js.mjs"}
    files |= {"/model": Path(model), "/input": Path(source)}
    posts = queue.Queue()
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(files, posts))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}/#{accelerator}"
    flags = FLAGS + (WEBGPU_FLAGS if accelerator == "webgpu" else [])
    path, body = browse(address, flags, posts)
    core = json.loads((MODULES / "@litertjs/core/package.json").read_text())["version"]
    found = subprocess.run(["chromium", "--version"], capture_output=True, text=True).stdout
    browser = " ".join(found.split()[:2])
    report = {"version": f"LiteRT.js {core} {accelerator}, {browser}"}
    if path == "/output":
        Path(target).write_bytes(body)
    else:
        report["refused"] = [body.decode()]
    print(json.dumps(report))
    return int("refused" in report)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
