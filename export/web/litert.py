"""LiteRT.js for the page: npm packages at exact versions, checked before they are unpacked."""

import base64
import hashlib
import http.client
import io
import json
import os
import tarfile
import urllib.request
from pathlib import Path

from cli import Refusal
from files import beside, cache_folder, read_regular

VERSION = "2.5.3"
# Package: the SHA-512 of its archive, as npm has it, and the files that the page loads. Of the
# WebAssembly it loads one: compat is for browsers without relaxed SIMD.
PACKAGES = {
    "core": (
        "PlGmbMOq9WitX7FO0jhbdJw9GthatsyuCQXjTt/wJZo0FLaw48q4tz8IwqgqCIkviYGr9OFDL1kCnN4nzWoyJQ==",
        ("package.json", "dist/index.js", "wasm/litert_wasm_internal.js",
         "wasm/litert_wasm_internal.wasm", "wasm/litert_wasm_compat_internal.js",
         "wasm/litert_wasm_compat_internal.wasm"),
    ),
    "wasm-utils": (
        "4fJiw6tBQnIs+0jH/OQ16nYOiSl8/+zZnn5h2ul8aTKHi05sVqZW580Tmk78pC2kT39A9OYBVdFawteZ/sI1kQ==",
        ("package.json", "dist/index.js"),
    ),
}  # fmt: skip
# How one package imports the other, and by the path in the page's folder: a worker knows no import
# map, which would tell where a name is.
IMPORT, BY_PATH = b'"@litertjs/wasm-utils"', b'"../../wasm-utils/dist/index.js"'
REGISTRY = "https://registry.npmjs.org"
MOST_BYTES = 1 << 26  # of an archive or a file; the largest have 12 MB
TIMEOUT_S = 30
INSTALL = f"npm install @litertjs/core@{VERSION} @litertjs/wasm-utils@{VERSION}"
REMEDY = (
    f"Connect to the network, set npm_config_registry to a mirror, or type {INSTALL} where there "
    "is one and name that folder with --litert"
)


def read_packages(folder: str | None = None) -> dict[str, bytes]:
    """Path, such as core/dist/index.js, to content of every file that the page loads; imports are
    by path.

    folder: where `npm install` put the packages; None is the cache, filled from the npm registry.
    Raises Refusal when they cannot be had or are not the ones that are needed.
    """
    found = {}
    for name, (digest, files) in PACKAGES.items():
        read = installed(Path(folder), name) if folder else unpacked(archive(name, digest))
        found |= {f"{name}/{file}": read(file) for file in files}
    found["core/dist/index.js"] = found["core/dist/index.js"].replace(IMPORT, BY_PATH)
    return found


def installed(folder: Path, name: str):
    """A function from the name of a file to its content, of a package that npm has installed."""
    package = folder / "node_modules" / "@litertjs" / name
    if not (package / "package.json").exists():
        raise Refusal(f"{package} is missing: type {INSTALL} in {folder}")
    try:
        version = json.loads(read_regular(package / "package.json", MOST_BYTES))["version"]
    except (ValueError, KeyError, TypeError) as error:
        raise Refusal(f"{package / 'package.json'} is damaged: type {INSTALL} again") from error
    if version != VERSION:
        raise Refusal(f"{package} is version {version}; needed: {VERSION}. Type {INSTALL} there")
    return lambda file: read_regular(package / file, MOST_BYTES)


def unpacked(content: bytes):
    """The same function, of an archive."""
    tar = tarfile.open(fileobj=io.BytesIO(content))  # noqa: SIM115
    return lambda file: tar.extractfile(f"package/{file}").read()


def archive(name: str, digest: str) -> bytes:
    """The archive of a package from the cache, or else from the registry."""
    path = cache_folder() / f"litertjs-{name}-{VERSION}.tgz"
    if path.exists() and sha512(content := read_regular(path, MOST_BYTES)) == digest:
        return content
    url = f"{registry()}/@litertjs/{name}/-/{name}-{VERSION}.tgz"
    content = download(url)
    if sha512(content) != digest:
        raise Refusal(
            f"{url} is not the archive that is needed: its SHA-512 is {sha512(content)} instead "
            f"of {digest}. Nothing of it was unpacked. {REMEDY}"
        )
    with beside(path) as part:
        part.write_bytes(content)
    return content


def registry() -> str:
    """npm's own variable names another one."""
    found = os.environ.get("npm_config_registry") or REGISTRY  # noqa: SIM112
    if not found.startswith(("https://", "http://")):
        raise Refusal(f"npm_config_registry is {found!r}; needed: an address, such as {REGISTRY}")
    return found.rstrip("/")


def download(url: str) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as response:
            content = response.read(MOST_BYTES + 1)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise Refusal(f"{url} cannot be read: {error}. {REMEDY}") from error
    if len(content) > MOST_BYTES:
        raise Refusal(f"{url} has more than {MOST_BYTES} bytes. {REMEDY}")
    return content


def sha512(content: bytes) -> str:
    return base64.b64encode(hashlib.sha512(content).digest()).decode()
