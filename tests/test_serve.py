"""python -m export serve: nothing but the folder's files, however it is asked."""

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager, suppress

import numpy as np
import pytest
from commands import run

from cli import Refusal
from export.web import serve
from export.web.serve import MOST_CONNECTIONS, Server

SECRET = b"outside of the folder"


@contextmanager
def serving(folder, context=None):
    with Server(("127.0.0.1", 0), folder, context) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def site(tmp_path):
    """A folder of the page beside a secret, with links, a pipe and a hidden file in it."""
    folder = tmp_path / "site"
    (folder / "web").mkdir(parents=True)
    (tmp_path / "secret.txt").write_bytes(SECRET)
    (tmp_path / "site-2").mkdir()  # its name begins as that of the folder
    (tmp_path / "site-2" / "secret.txt").write_bytes(SECRET)
    (folder / "index.html").write_text("<!doctype html>")
    (folder / "model.tflite").write_bytes(b"model")
    (folder / "web" / "segnet.js").write_text("export {}")
    (folder / "core.wasm").write_bytes(b"\0asm")
    (folder / ".hidden").write_bytes(SECRET)
    (folder / "out.txt").symlink_to(tmp_path / "secret.txt")
    (folder / "beside.txt").symlink_to(tmp_path / "site-2" / "secret.txt")
    (folder / "up").symlink_to(tmp_path)
    (folder / "in.js").symlink_to(folder / "web" / "segnet.js")
    os.mkfifo(folder / "pipe")
    return folder


def asked(server, target, method="GET", more=b""):
    """The whole answer to a request with this target, byte for byte."""
    with socket.create_connection(server.server_address, timeout=5) as client:
        line = method.encode() + b" " + target + b" HTTP/1.1\r\nHost: x\r\n"
        with suppress(ConnectionError):  # an answer may come before all is sent
            client.sendall(line + more + b"\r\n")
        parts = []
        with suppress(ConnectionError):
            while part := client.recv(1 << 16):
                parts.append(part)
    return b"".join(parts)


def status(answer):
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/") else None


@pytest.mark.parametrize(
    ("target", "kind", "body"),
    [
        ("/", "text/html; charset=utf-8", b"<!doctype html>"),
        ("/index.html?x=/../secret.txt", "text/html; charset=utf-8", b"<!doctype html>"),
        ("/web/segnet.js", "text/javascript; charset=utf-8", b"export {}"),
        ("/in.js", "text/javascript; charset=utf-8", b"export {}"),
        ("/core.wasm", "application/wasm", b"\0asm"),
        ("/model.tflite", "application/octet-stream", b"model"),
    ],
)
def test_files_and_their_headers(site, target, kind, body):
    with serving(site) as server:
        for method, wanted in (("GET", body), ("HEAD", b"")):
            client = http.client.HTTPConnection(*server.server_address, timeout=5)
            client.request(method, target)
            answer = client.getresponse()
            assert (answer.status, answer.read()) == (200, wanted)
            assert answer.headers["Content-Type"] == kind
            assert answer.headers["Content-Length"] == str(len(body))
            assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
            assert answer.headers["Cross-Origin-Embedder-Policy"] == "require-corp"
            assert answer.headers["Content-Security-Policy"].startswith("default-src 'self' blob:;")
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            client.close()


ODD = [
    "/../secret.txt", "/web/../../secret.txt", "/%2e%2e/secret.txt", "/..%2fsecret.txt",
    "/%252e%252e/secret.txt", "/..\\secret.txt", "/..%5csecret.txt", "/out.txt", "/beside.txt",
    "/up/secret.txt", "/up/site-2/secret.txt", "/.hidden", "/%2ehidden", "/pipe", "/web", "/web/",
    "//secret.txt", "/index.html%00", "/index.html\0", "/web//segnet.js", "/./index.html",
    "/INDEX.HTML", "secret.txt", "../secret.txt", "*", "http://x/../secret.txt", "/~root", "/C:/x",
    "/%c0%ae%c0%ae/secret.txt", "/\u2025/secret.txt", "/index.html/", "/index.html/../index.html",
]  # fmt: skip


@pytest.mark.parametrize("target", ODD)
def test_odd_paths_are_not_found(site, target):
    with serving(site) as server:
        absolute = str(site.parent / "secret.txt")
        for each in (target, target.replace("/secret.txt", absolute)):
            answer = asked(server, each.encode())
            assert status(answer) in (400, 404), answer
            assert SECRET not in answer


def odd_paths(site, count):
    """Paths of pieces that have led out of other servers' folders, bytes among them."""
    rng = np.random.default_rng(0)
    pieces = [b"..", b".", b"%2e%2e", b"%2f", b"/", b"/", b"\\", b"%5c", b"%00", b"\0", b"up",
              b"web", b"secret.txt", b"out.txt", b"index.html", b"..;", b"%", b"%zz", b"?", b"#",
              b"\xff", b"%c0%af", b"~", b"*", b":", b"site-2", os.fsencode(site.parent),
              b"file://", b"&", b"A" * 300]  # fmt: skip
    for _ in range(count):
        yield b"/" * bool(rng.integers(8)) + b"".join(
            pieces[i] for i in rng.integers(0, len(pieces), rng.integers(1, 9))
        )


def test_ten_thousand_odd_paths(site):
    """Asked of the handler itself, which is what a connection leads to."""
    known = {b"/", b"/index.html", b"/in.js"}
    with Server(("127.0.0.1", 0), site) as server:
        seen = set()
        for target in odd_paths(site, 10_000):
            answer = handled(server, b"GET " + target + b" HTTP/1.0\r\n\r\n")
            assert SECRET not in answer, target
            if status(answer) == 200:
                assert target.partition(b"?")[0].lstrip(b"/") in {k[1:] for k in known}, target
            else:
                assert status(answer) in (400, 404, 414, None), (target, answer)
            seen.add(status(answer))
    assert {200, 404} <= seen


def handled(server, request):
    """The answer to the bytes of a request, without a network."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(request)
        ours.shutdown(socket.SHUT_WR)
        serve.Handler(theirs, ("", 0), server)
        theirs.shutdown(socket.SHUT_WR)
        parts = []
        while part := ours.recv(1 << 16):
            parts.append(part)
    return b"".join(parts)


@pytest.mark.parametrize(
    "method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "get", "X" * 99]
)
def test_other_methods_do_nothing(site, method):
    before = sorted(site.rglob("*"))
    with serving(site) as server:
        answer = asked(server, b"/index.html", method, b"Content-Length: 0\r\n")
    assert status(answer) == 501
    assert sorted(site.rglob("*")) == before


@pytest.mark.parametrize(
    "more", [b"A" * 70_000 + b": x\r\n", b"".join(b"H%d: x\r\n" % i for i in range(200))]
)
def test_too_long_headers_are_refused(site, more):
    with serving(site) as server:
        assert status(asked(server, b"/", more=more)) in (431, None)
        assert status(asked(server, b"/" + b"a" * 70_000)) in (414, None)
        assert status(asked(server, b"/")) == 200


def test_a_file_that_becomes_a_link_is_not_found(site):
    with serving(site) as server:
        assert status(asked(server, b"/model.tflite")) == 200
        (site / "model.tflite").unlink()
        (site / "model.tflite").symlink_to(site.parent / "secret.txt")
        assert status(asked(server, b"/model.tflite")) == 404


def test_more_connections_than_the_limit_get_503(site):
    with serving(site) as server:
        held = [socket.create_connection(server.server_address) for _ in range(MOST_CONNECTIONS)]
        for client in held:
            client.sendall(b"GET / HTTP/1.1\r\n")  # and no more
        wait(lambda: len(server.open) == MOST_CONNECTIONS)
        assert status(asked(server, b"/")) == 503
        held.pop().close()
        wait(lambda: len(server.open) < MOST_CONNECTIONS)
        assert status(asked(server, b"/")) == 200
        for client in held:
            client.close()


def wait(is_so):
    for _ in range(200):
        if is_so():
            return
        threading.Event().wait(0.02)
    raise AssertionError("it does not come")


def test_slow_clients_are_sent_away(site, monkeypatch):
    """One is silent; one sends a byte now and then and is ended after LONGEST_S."""
    monkeypatch.setattr(serve.Handler, "timeout", 0.3)
    monkeypatch.setattr(serve, "LONGEST_S", 0.8)
    with serving(site) as server:
        silent = socket.create_connection(server.server_address, timeout=5)
        assert silent.recv(1) == b""
        slow = socket.create_connection(server.server_address, timeout=5)
        sent = 0
        with suppress(ConnectionError):
            while sent < 100 and not ended(slow):
                slow.sendall(b"G")
                sent += 1
                threading.Event().wait(0.1)
        assert 3 < sent < 50
        wait(lambda: not server.open)


def ended(client):
    client.settimeout(0.01)
    try:
        return client.recv(1) == b""
    except TimeoutError:
        return False


def test_the_command_prints_the_address_and_ends_with_ctrl_c(site):
    command = [sys.executable, "-m", "export", "serve", str(site), "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    address = process.stdout.readline().strip()
    host, port = re.fullmatch(r"http://(127\.0\.0\.1):(\d+)/", address).groups()
    client = http.client.HTTPConnection(host, int(port), timeout=5)
    client.request("GET", "/model.tflite")
    assert client.getresponse().read() == b"model"
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=10) == 0


def test_what_cannot_be_served_is_refused(site, tmp_path):
    (site / "model.tflite").unlink()
    end = run("export", "serve", site)
    assert end.returncode == 2 and "is not a folder of python -m export web" in end.stderr
    end = run("export", "serve", tmp_path / "none")
    assert end.returncode == 2 and "is not a run" in end.stderr
    end = run("export", "serve", site, "--port", "70000")
    assert end.returncode == 2 and "needed: 0 to 65535" in end.stderr
    with serving(site) as server, pytest.raises(Refusal, match="Choose another --port"):
        Server(server.server_address, site)
