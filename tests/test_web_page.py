"""python -m export web: the folder that it writes, and LiteRT.js from the registry."""

import base64
import hashlib
import io
import json
import re
import tarfile
import threading
from contextlib import contextmanager
from html.parser import HTMLParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from commands import run
from kits import ROOT, contract, scene

from cli import Refusal
from data.images import write_image
from export.web import litert, make

FILES = {name: name.encode() for name in litert.PACKAGES["core"][1]}


def archive(files, version=litert.VERSION):
    """An npm package's .tgz."""
    files = {**files, "package.json": json.dumps({"version": version}).encode()}
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return raw.getvalue()


def integrity(content):
    return base64.b64encode(hashlib.sha512(content).digest()).decode()


@contextmanager
def registry(content, asked):
    """A registry that answers everything with `content` and notes the paths."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(200 if content else 404)
            self.send_header("Content-Length", str(len(content) + 5 * content.startswith(b"cut")))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/npm/"
        server.shutdown()


@pytest.fixture(autouse=True)
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "segnet"


def test_packages_come_from_the_registry_once(monkeypatch, empty_cache):
    files = {**FILES, "dist/index.js": b'import { a } from "@litertjs/wasm-utils";'}
    whole, asked = archive(files), []
    both = {name: (integrity(whole), FILES) for name in ("core", "wasm-utils")}
    monkeypatch.setattr(litert, "PACKAGES", both)
    with registry(whole, asked) as address:
        monkeypatch.setenv("npm_config_registry", address)
        found = litert.read_packages()
        assert asked == [
            "/npm/@litertjs/core/-/core-2.5.3.tgz",
            "/npm/@litertjs/wasm-utils/-/wasm-utils-2.5.3.tgz",
        ]
        by_path = b'import { a } from "../../wasm-utils/dist/index.js";'
        assert found["core/dist/index.js"] == by_path and len(found) == 2 * len(FILES)
        assert litert.read_packages() == found and len(asked) == 2
        damaged = empty_cache / "litertjs-core-2.5.3.tgz"
        damaged.write_bytes(damaged.read_bytes()[:-1])
        assert litert.read_packages() == found and len(asked) == 3


def test_another_archive_is_refused_before_it_is_unpacked(monkeypatch, empty_cache):
    other = archive(FILES)
    monkeypatch.setattr(tarfile, "open", None)
    with registry(other, []) as address:
        monkeypatch.setenv("npm_config_registry", address)
        with pytest.raises(Refusal) as refused:
            litert.read_packages()
    said = str(refused.value)
    assert f"its SHA-512 is {integrity(other)} instead of PlGmbMOq9W" in said
    assert "Nothing of it was unpacked" in said and "--litert" in said
    assert not empty_cache.exists()


@pytest.mark.parametrize("content", [b"", b"cut short"])
def test_what_a_registry_may_do_is_refused(monkeypatch, content):
    with registry(content, []) as address:
        monkeypatch.setenv("npm_config_registry", address)
        with pytest.raises(Refusal, match=r"npm install @litertjs/core@2\.5\.3 .*--litert"):
            litert.read_packages()


def test_without_a_network_it_says_what_to_do(monkeypatch):
    with registry(b"", []) as address:
        pass  # nothing listens there now
    monkeypatch.setenv("npm_config_registry", address)
    with pytest.raises(Refusal, match=r"cannot be read: .*refused.*Connect to the network"):
        litert.read_packages()
    monkeypatch.setenv("npm_config_registry", "file:///etc")
    with pytest.raises(Refusal, match="needed: an address, such as https"):
        litert.read_packages()


def test_packages_that_npm_installed(tmp_path):
    for name, (_, files) in litert.PACKAGES.items():
        for file in files:
            path = tmp_path / "node_modules" / "@litertjs" / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b'{"version": "2.5.3"}' if file == "package.json" else file.encode())
    found = litert.read_packages(tmp_path)
    assert found["wasm-utils/dist/index.js"] == b"dist/index.js"
    package = tmp_path / "node_modules" / "@litertjs" / "core" / "package.json"
    for text, said in (('{"version": "2.5.4"}', "is version 2.5.4; needed: 2.5.3"),
                       ("[]", "is damaged"), ("{", "is damaged")):  # fmt: skip
        package.write_text(text)
        with pytest.raises(Refusal, match=said):
            litert.read_packages(tmp_path)
    package.unlink()
    with pytest.raises(Refusal, match=r"core is missing: type npm install @litertjs/core@2\.5\.3"):
        litert.read_packages(tmp_path)


def test_versions_are_those_of_the_clients_and_the_kit():
    for name in litert.PACKAGES:
        assert f"@litertjs/{name}@{litert.VERSION}" in (ROOT / "Makefile").read_text()
    kit = (ROOT / "export/kit/templates/web/segnet.js.j2").read_text()
    assert f"@litertjs/core {litert.VERSION}" in kit


class Links(HTMLParser):
    """What a page loads, and its policy."""

    def __init__(self, text):
        super().__init__()
        self.found, self.policy, self.title, self.tag = [], "", "", ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.found += [values[name] for name in ("src", "href") if name in values]
        self.tag = tag
        if values.get("http-equiv") == "Content-Security-Policy":
            self.policy = values["content"]

    def handle_data(self, data):
        if self.tag == "title":
            self.title += data

    def handle_endtag(self, tag):
        self.tag = ""


@pytest.fixture
def page(tmp_path):
    """The folder of a kit that is named as no folder should be."""
    kit = tmp_path / "<b>&amp; 'kit'"
    (kit / "golden").mkdir(parents=True)
    (kit / "model.tflite").write_bytes(b"model")
    write_image(kit / "golden" / "photo.png", scene((20, 30), 1))
    (kit / "contract.json").write_text(json.dumps(contract("float32")))
    packages = {f"{name}/{file}": file.encode()
                for name, (_, files) in litert.PACKAGES.items() for file in files}  # fmt: skip
    make.write_page(tmp_path / "page", kit, None, packages)
    return tmp_path / "page"


def test_the_page_loads_only_files_of_its_folder(page):
    links = Links((page / "index.html").read_text())
    assert links.title == "<b>&amp; 'kit'"
    assert {"page.css", "page/page.js", "icon.svg", "golden/photo.png"} == set(links.found)
    found = set(links.found)
    for module in page.glob("page/*.js"):
        for target in re.findall(r"(?:from |import\(|URL\()'(\.[^']*)'", module.read_text()):
            found.add((module.parent / target).resolve().relative_to(page.resolve()).as_posix())
    assert len(found) > 12 and all((page / path).exists() for path in found)
    for path in page.rglob("*"):
        if path.suffix in (".html", ".js", ".css") and "litert" not in path.parts:
            assert not re.search(r"https?://(?!www\.w3\.org)", path.read_text()), path


def test_the_policy_allows_its_own_files(page):
    links = Links((page / "index.html").read_text())
    rules = dict(rule.strip().split(" ", 1) for rule in links.policy.split(";"))
    assert rules["default-src"] == "'none'" and rules["connect-src"] == "'self'"
    assert rules["script-src"].split() == ["'self'", "'wasm-unsafe-eval'"]
    assert not re.search(r"\*|unsafe-inline|'unsafe-eval'|https?:", links.policy)
    text = (page / "index.html").read_text()
    assert not re.search(r"\sstyle=|\son\w+=|<style", text)


def test_the_web_modules_are_those_of_the_kit(page):
    from export.kit.render import rendered

    texts = rendered(contract("float32"))
    names = [name for name in texts if name.startswith("web/")]
    assert len(names) == 11
    assert all((page / name).read_text(encoding="utf-8") == texts[name] for name in names)
    assert (page / "model.tflite").read_bytes() == b"model"


def test_a_folder_that_exists_is_refused(page, tmp_path):
    with pytest.raises(Refusal, match="exists: name a new or an empty folder"):
        make.write_page(page, tmp_path / "<b>&amp; 'kit'", None, {})


def test_samples_of_the_dataset(finished, tmp_path):
    """A third and two thirds into the images of val, no larger than a golden photo."""
    from data.images import read_image

    names = make.write_samples(tmp_path, finished / "run")
    assert names == ["golden/photo.png", "samples/1.jpg", "samples/2.jpg"]
    images = sorted((finished / "shapes" / "val" / "images").iterdir())
    for name, path in zip(names[1:], (images[2], images[4]), strict=True):
        found, wanted = (read_image(p).astype(int) for p in (tmp_path / name, path))
        assert found.shape == wanted.shape and np.abs(found - wanted).mean() < 8


def test_runs_without_a_whole_kit_are_refused(finished, tmp_path):
    end = run("export", "web", finished / "run", "--recipe", "int8")
    assert end.returncode == 2
    assert f"python -m export {finished / 'run'} --recipe int8 first" in end.stderr
    end = run("export", "web", tmp_path)
    assert end.returncode == 2 and "is not a run: plan.json is missing" in end.stderr
    (tmp_path / "contract.json").write_text(json.dumps(contract("float32")))
    end = run("export", "web", tmp_path)
    assert end.returncode == 2 and "cannot be used: " in end.stderr
