"""A small web server for one folder: on this machine, or by HTTPS for phones on the network."""

import sys
import threading
import time
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socket import SHUT_RDWR, socket
from socketserver import TCPServer

from cli import Refusal

MOST_CONNECTIONS = 32  # at once; browsers open six to a server
IDLE_S = 10  # seconds that a client may be silent
LONGEST_S = 120  # seconds that a connection may last: LiteRT.js has 9 MB
CHUNK = 1 << 16
TYPES = {
    ".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8", ".json": "application/json", ".svg": "image/svg+xml",
    ".png": "image/png", ".jpg": "image/jpeg", ".wasm": "application/wasm",
}  # fmt: skip
OTHER_TYPE = "application/octet-stream"
HEADERS = {
    # The page is isolated from those of other origins; browsers then give it exact clocks.
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    # For the worker, which is not under the policy that the page states for itself.
    "Content-Security-Policy": "default-src 'self' blob:; script-src 'self' 'wasm-unsafe-eval'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}
BUSY = b"HTTP/1.0 503 Service Unavailable\r\nContent-Length: 0\r\nRetry-After: 1\r\n\r\n"


class Server(ThreadingHTTPServer):
    """Answers GET and HEAD for the files that are in `folder` now, and 404 for all else.

    At most MOST_CONNECTIONS are served at once; others get 503, over TLS they are closed.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], folder: Path, context=None):
        """context: an ssl.SSLContext for HTTPS. Raises Refusal if the address cannot be had."""
        self.root, self.context = Path(folder).resolve(), context
        self.files = listed(self.root)
        self.open = {}  # a client's address -> when it came, by time.monotonic, and its socket
        self.lock = threading.Lock()
        try:
            super().__init__(address, Handler)
        except (OSError, OverflowError) as error:
            raise Refusal(
                f"cannot serve on {address[0]} port {address[1]}: {error}. Choose another --port"
            ) from error

    @property
    def url(self) -> str:
        scheme = "https" if self.context else "http"
        return f"{scheme}://{self.server_address[0]}:{self.server_port}/"

    def server_bind(self):
        TCPServer.server_bind(self)  # HTTPServer's would look up the name, which may take long
        self.server_name, self.server_port = self.server_address[:2]

    def process_request(self, request, client_address):
        with self.lock:
            has_room = len(self.open) < MOST_CONNECTIONS
            if has_room:
                self.open[client_address] = time.monotonic(), request
        if has_room:
            super().process_request(request, client_address)
            return
        with suppress(OSError):
            if not self.context:
                request.settimeout(0)
                request.send(BUSY)
        self.shutdown_request(request)

    def process_request_thread(self, request, client_address):
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self.lock:
                self.open.pop(client_address, None)

    def finish_request(self, request, client_address):
        request.settimeout(IDLE_S)
        if self.context:
            # The handshake waits until the connection can be ended from outside.
            request = self.context.wrap_socket(request, True, do_handshake_on_connect=False)
            with self.lock:
                self.open[client_address] = self.open[client_address][0], request
        with request:
            if self.context:
                request.do_handshake()
            super().finish_request(request, client_address)

    def service_actions(self):
        """Ends, twice a second, the connections that last too long."""
        late = time.monotonic() - LONGEST_S
        with self.lock:
            for begun, request in self.open.values():
                if begun < late:
                    with suppress(OSError):
                        socket.shutdown(request, SHUT_RDWR)  # not that of TLS, which is not locked

    def handle_error(self, request, client_address):
        """A client that goes away is no fault; anything else is shown as a bug."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    server_version, sys_version = "segnet", ""
    timeout = IDLE_S

    def do_GET(self):
        self.answer(with_body=True)

    def do_HEAD(self):
        self.answer(with_body=False)

    def answer(self, with_body: bool) -> None:
        # The path is looked up as it came: whatever is not the plain name of a file is not found.
        path = self.server.files.get(self.path.partition("?")[0])
        if path is None or not is_inside(path, self.server.root):
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        with open(path, "rb") as file:
            size = path.stat().st_size
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", TYPES.get(path.suffix, OTHER_TYPE))
            self.send_header("Content-Length", str(size))
            self.end_headers()
            while with_body and (content := file.read(CHUNK)):
                self.wfile.write(content)

    def end_headers(self):
        for name, value in HEADERS.items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, *args):
        """Prints nothing: the terminal shows the address."""


def listed(root: Path) -> dict[str, Path]:
    """Path in the address to file, of the files in a folder that are visible and inside it."""
    files = {}
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root)
        if not any(part.startswith(".") for part in name.parts) and is_inside(path, root):
            files[f"/{name.as_posix()}"] = path
    return files | ({"/": files["/index.html"]} if "/index.html" in files else {})


def is_inside(path: Path, root: Path) -> bool:
    """Whether a path is a regular file of the folder, with all links followed."""
    return path.is_file() and path.resolve().is_relative_to(root)
