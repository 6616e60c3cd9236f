"""python -m export serve --lan: the certificate, HTTPS and the QR code."""

import http.client
import re
import shutil
import ssl
import subprocess
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from test_serve import asked, serving, site, status

from cli import Refusal
from export.web import command, lan

__all__ = ["site"]  # a fixture
needs_openssl = pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not installed")


@needs_openssl
def test_https_with_a_certificate_for_the_address(site, tmp_path):
    context, digest = lan.certificate(tmp_path, "127.0.0.1")
    with serving(site, context) as server:
        trusting = ssl.create_default_context(cafile=tmp_path / "cert.pem")
        client = http.client.HTTPSConnection(*server.server_address, context=trusting, timeout=5)
        client.request("GET", "/web/segnet.js")
        assert client.getresponse().read() == b"export {}"
        client.close()
        plain = asked(server, b"/")  # of HTTP: no handshake
        assert status(plain) is None
        assert server.url.startswith("https://127.0.0.1:")
    words = ["openssl", "x509", "-in", str(tmp_path / "cert.pem"), "-noout", "-fingerprint"]
    said = subprocess.run([*words, "-sha256"], capture_output=True, text=True).stdout
    assert said.strip().partition("=")[2] == digest
    assert (tmp_path / "key.pem").stat().st_mode & 0o077 == 0


def test_lan_without_openssl_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(Refusal, match=r"needs the program openssl.*apt install openssl"):
        lan.certificate(tmp_path, "192.0.2.7")


@needs_openssl
def test_the_command_shows_the_address_and_its_qr_code(site, tmp_path, monkeypatch, capsys):
    """The code is read back by OpenCV's detector from the half blocks that the terminal shows."""
    monkeypatch.setattr(lan, "own_address", lambda: "127.0.0.1")
    args = SimpleNamespace(run=site, lan=True, port=0)
    with command.opened(args, tmp_path) as server:
        assert server.url == f"https://127.0.0.1:{server.server_port}/"
    shown = capsys.readouterr()
    assert shown.out == f"{server.url}\n" and re.search(r"\nSHA-256 [0-9A-F:]{95}\n", shown.err)
    halves = {" ": (0, 0), "\u2580": (255, 0), "\u2584": (0, 255), "\u2588": (255, 255)}
    rows = [row for row in shown.err.splitlines() if set(row) <= halves.keys()]
    lines = [[halves[block][half] for block in row] for row in rows if row for half in (0, 1)]
    image = np.kron(np.array(lines, np.uint8), np.ones((8, 8), np.uint8))
    image = np.pad(image, 64, constant_values=255)
    assert cv2.QRCodeDetector().detectAndDecode(image)[0] == server.url
