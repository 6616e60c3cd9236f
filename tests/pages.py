"""Pages of python -m export web in headless Chromium, driven by `clients/page_client.mjs`."""

import json
import shutil
import subprocess
import threading

import numpy as np
import pytest
from kits import ROOT, model, write_kit
from test_phone_platforms import NODE

from data.images import read_image
from export.web.litert import read_packages
from export.web.make import write_page
from export.web.serve import Server

CLIENT = ROOT / "tests" / "clients" / "page_client.mjs"
LITERT = ROOT / ".clients" / "node"
DRIVER = ROOT / ".clients" / "page" / "node_modules"
CHROMIUM = shutil.which("chromium")
CAMERA = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
WEBGPU = ["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"]
READY = ["status", "^Ready"]
SHOWN = ["status", "picture is shown"]
GOLDEN = ["click", ".sample >> nth=0"]
PATIENCE_S = 180

needs_chromium = [
    pytest.mark.skipif(NODE is None, reason="node is not installed"),
    pytest.mark.clients,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
    pytest.mark.skipif(not LITERT.exists(), reason="make .clients/node/done, which needs npm"),
    pytest.mark.skipif(not DRIVER.exists(), reason="make .clients/page/done, which needs npm"),
]


def page_of(folder, kind, content):
    """The page of a kit that has this .tflite; kind: of its input and output."""
    kit = write_kit(folder / "kit", kind, content)
    write_page(folder / "page", kit, None, read_packages(LITERT))
    return folder / "page"


# Recipe to the kind of its input and output in `kits`.
@pytest.fixture(scope="module", params=["float32", "float16", "int8", "int8-full"])
def any_page(request, tmp_path_factory):
    kind = "float32" if request.param == "float16" else request.param
    return page_of(tmp_path_factory.mktemp("page"), kind, model(request.param))


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return page_of(tmp_path_factory.mktemp("page"), "float32", model("float32"))


def shown(folder, *steps, **scenario):
    """What the client saw of the page: JSON, see there. No error, no request elsewhere."""
    with Server(("127.0.0.1", 0), folder) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            return shown_at(server.url, *steps, **scenario)
        finally:
            server.shutdown()


def shown_at(address, *steps, **scenario):
    """The same of a page that is served."""
    given = {"address": address, "chromium": CHROMIUM, "steps": steps, **scenario}
    command = [NODE, str(CLIENT), str(DRIVER), json.dumps(given)]
    end = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)
    assert end.returncode == 0, end.stderr
    found = json.loads(end.stdout)
    assert "failed" not in found, (found["failed"], found["said"], found["errors"])
    assert found["errors"] == [] and found["elsewhere"] == [], found
    return found


def golden_agreement(golden, screen, colours):
    """The fraction of a screenshot of the golden photo whose colours are those of photo_mask.png.

    screen: a path of the canvas' pixels at full opacity, see `golden_shot`.
    """
    photo = read_image(golden / "photo.png").astype(int)
    mask = read_image(golden / "photo_mask.png")[..., 0]
    kinds = [photo, *(np.broadcast_to(colour, photo.shape) for colour in colours[1:])]
    found = read_image(screen).astype(int)
    nearest = np.argmin([np.abs(found - kind).sum(-1) for kind in kinds], 0)
    return (nearest == mask).mean()


def golden_shot(path):
    """Steps that write the canvas' pixels of the golden photo to a PNG."""
    return [READY, ["set", "#opacity", "100"], GOLDEN, SHOWN, ["pixels", str(path)]]


def said(found):
    return [line for _, line in found["said"]]
