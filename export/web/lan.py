"""What a phone on the same network needs to open the page: an address, HTTPS and a QR code."""

import hashlib
import io
import shutil
import socket
import ssl
import subprocess
from pathlib import Path

from cli import Refusal

DAYS = 7  # that a certificate is valid
ELSEWHERE = ("192.0.2.1", 9)  # an address for documentation (RFC 5737); nothing is sent to it


def own_address() -> str:
    """The IPv4 address of this machine on its network. Raises Refusal without one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(ELSEWHERE)  # of UDP: it only chooses the network card
        except OSError as error:
            raise Refusal(
                f"this machine has no address on a network: {error}. Connect it, or leave --lan out"
            ) from error
        return probe.getsockname()[0]


def certificate(folder: Path, address: str) -> tuple[ssl.SSLContext, str]:
    """A TLS context with a new certificate for `address`, and its SHA-256 as browsers show it.

    The key is written to `folder`, which only this person may read. Raises Refusal without openssl.
    """
    openssl = shutil.which("openssl")
    if not openssl:
        raise Refusal(
            "--lan needs the program openssl for its certificate: install it (Debian: apt install "
            "openssl), or leave --lan out"
        )
    key, cert = Path(folder, "key.pem"), Path(folder, "cert.pem")
    words = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
             "-nodes", "-sha256", "-days", str(DAYS), "-subj", "/CN=segnet",
             "-addext", f"subjectAltName=IP:{address}", "-addext", "extendedKeyUsage=serverAuth",
             "-keyout", str(key), "-out", str(cert)]  # fmt: skip
    end = subprocess.run(words, capture_output=True, text=True, errors="replace")
    if end.returncode:
        said = (end.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise Refusal(f"openssl made no certificate: {said}. Update openssl to 1.1.1 or later")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(cert.read_text())).hexdigest().upper()
    return context, ":".join(digest[i : i + 2] for i in range(0, len(digest), 2))


def qr_code(url: str) -> list[str]:
    """The lines of the address as a QR code of block characters, for a terminal."""
    import segno

    drawn = io.StringIO()
    segno.make(url, error="m", micro=False).terminal(drawn, compact=True)
    return drawn.getvalue().splitlines()
