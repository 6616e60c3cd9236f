"""The page of python -m export web in headless Chromium."""

import shutil
import struct

import cv2
import kits
import numpy as np
import pytest
from kits import model
from pages import (
    CAMERA,
    GOLDEN,
    READY,
    SHOWN,
    WEBGPU,
    any_page,
    golden_agreement,
    golden_shot,
    needs_chromium,
    page,
    page_of,
    said,
    shown,
)  # fmt: skip

__all__ = ["any_page", "page"]  # fixtures
pytestmark = needs_chromium


def test_the_golden_mask_is_right(any_page, tmp_path):
    """The colours on the screen, at full opacity, are those of photo_mask.png."""
    found = shown(any_page, *golden_shot(tmp_path / "screen.png"))
    assert "Segmenter wasm passed its self-test" in found["console"]
    assert found["runtime"].startswith("On wasm (CPU), ")
    assert found["runtime"].endswith("This browser offers no WebGPU.")
    colours = kits.contract("float32")["colours"]
    # Of the masks of random weights much is at an edge.
    assert golden_agreement(any_page / "golden", tmp_path / "screen.png", colours) >= 0.99


def test_a_webgpu_that_is_slower_is_not_used(page):
    """SwiftShader computes rightly, but on the CPU."""
    found = shown(page, READY, GOLDEN, SHOWN, flags=WEBGPU)
    assert "Segmenter webgpu passed its self-test" in found["console"]
    assert "WebGPU is not used: it is slower: " in found["runtime"]
    assert found["state"]["accelerator"] == "wasm"


def video(path, size=(240, 320), frames=30):
    """An uncompressed video, which the browser takes for the camera: a square that moves."""
    height, width = size
    with open(path, "wb") as file:
        file.write(b"YUV4MPEG2 W%d H%d F30:1 Ip A1:1 C420jpeg\n" % (width, height))
        for frame in range(frames):
            image = np.full((height, width, 3), 90, np.uint8)
            cv2.rectangle(image, (8 * frame, 60), (8 * frame + 80, 180), (20, 200, 240), -1)
            file.write(b"FRAME\n" + cv2.cvtColor(image, cv2.COLOR_BGR2YUV_I420).tobytes())
    return path


def test_frames_a_second_of_a_camera(tmp_path, monkeypatch):
    monkeypatch.setattr(kits, "SIZE", (256, 256))
    monkeypatch.setattr(kits, "PHOTO", (330, 410))
    folder = page_of(tmp_path, "float32", model("float32"))
    flags = [*CAMERA, f"--use-file-for-fake-video-capture={video(tmp_path / 'camera.y4m')}"]
    steps = [READY, ["click", "#camera"], ["status", "The camera is on"], ["wait", 4000]]
    steps += [["read", "rate", "#rate"], ["read", "network", "#network"]]
    found = shown(folder, *steps, flags=flags, permissions=["camera"])
    print(f"256x256 on wasm: {found['rate']} frames/s, network {found['network']}")
    assert float(found["rate"]) > 3
    assert found["state"]["look"] == "overlay"


def big_picture(path):
    """A JPEG of 12 megapixels."""
    rng = np.random.default_rng(0)
    small = rng.integers(0, 230, (30, 40, 3)).astype(np.uint8)
    assert cv2.imwrite(str(path), cv2.resize(small, (4000, 3000), interpolation=cv2.INTER_CUBIC))
    return str(path)


def test_nothing_heavy_is_on_the_main_thread(page, tmp_path):
    """Browsers call a task of more than 50 ms long; the client asks for those."""
    picture = big_picture(tmp_path / "large.jpg")
    steps = [READY, ["longest", "start"], ["upload", picture], SHOWN, ["longest", "picture"]]
    steps += [["read", stage, f"#{stage}"] for stage in ("read", "network", "show")]
    steps += [["click", "#camera"], ["status", "The camera is on"], ["wait", 500]]
    steps += [["longest", "camera"], ["wait", 2000], ["longest", "frames"]]
    found = shown(page, *steps, flags=CAMERA, permissions=["camera"])
    assert found["runtime"].count(", in a worker.") == 1
    stages = ", ".join(f"{stage} {found[stage]}" for stage in ("read", "network", "show"))
    print(f"12 megapixels: {stages}, the longest task {found['picture']} ms")
    assert found["picture"] < 100 and found["frames"] < 100


def test_a_browser_whose_workers_cannot_draw(page, tmp_path):
    steps = [READY, GOLDEN, SHOWN, ["click", "#camera"], ["status", "The camera is on"]]
    steps += [["wait", 1500], ["read", "rate", "#rate"]]
    found = shown(page, *steps, isOld=True, flags=CAMERA, permissions=["camera"])
    assert "on the page's own thread, because this browser draws only there." in found["runtime"]
    assert float(found["rate"]) > 3


def test_flip_where_there_are_two_cameras(page):
    on = ["status", "The camera is on"]
    steps = [READY, ["click", "#camera"], on, ["wait", 500]]
    hidden = ["run", "document.getElementById('flip').hidden"]
    for count in (1, 2):
        flags = [f"{CAMERA[0]}=device-count={count}", CAMERA[1]]
        assert shown(page, *steps, hidden, flags=flags, permissions=["camera"])["run"] == (
            count < 2
        )
    more = [["click", "#flip"], ["wait", 1500], ["read", "rate", "#rate"]]
    found = shown(page, *steps, *more, flags=flags, permissions=["camera"])
    assert said(found).count("The camera is on") == 2 and float(found["rate"]) > 3


def clip(path):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"VP80"), 25, (160, 120))
    for frame in range(50):
        writer.write(np.full((120, 160, 3), 5 * frame, np.uint8))
    writer.release()
    return str(path)


TURNED = {  # degrees clockwise to the matrix of a track, ISO/IEC 14496-12, 6.2.2, and the red edge
    90: ((0, 1, 0, -1, 0, 0, 160, 0, 1), "top"),
    180: ((-1, 0, 0, 0, -1, 0, 320, 160, 1), "right"),
}


@pytest.mark.parametrize("degrees", TURNED)
def test_a_video_of_a_turned_phone_is_upright(page, tmp_path, degrees):
    """A video with a red left edge, which is to be shown turned."""
    file, screen = tmp_path / "turned.mp4", str(tmp_path / "screen.png")
    writer = cv2.VideoWriter(str(file), cv2.VideoWriter.fourcc(*"vp09"), 10, (320, 160))
    image = np.full((160, 320, 3), 90, np.uint8)
    image[:, :100] = 0, 0, 255
    for _ in range(20):
        writer.write(image)
    writer.release()
    raw, (matrix, edge) = bytearray(file.read_bytes()), TURNED[degrees]
    start = raw.index(b"tkhd") + 4 + 40  # of version 0
    bits = (16, 16, 30)  # of the fraction
    raw[start : start + 36] = struct.pack(">9i", *(x << bits[i % 3] for i, x in enumerate(matrix)))
    file.write_bytes(raw)
    steps = [READY, ["set", "#opacity", "0"], ["upload", str(file)]]
    steps += [["status", "The video is playing"], ["wait", 1000], ["pixels", screen]]
    shown(page, *steps)
    found = cv2.imread(screen).astype(int)
    assert found.shape[:2] == ((320, 160) if degrees == 90 else (160, 320))
    height, width = found.shape[:2]
    edges = {"top": (5, width // 2), "bottom": (-5, width // 2)}
    edges |= {"left": (height // 2, 5), "right": (height // 2, -5)}
    red = [name for name, at in edges.items() if found[at][2] - found[at][0] > 150]
    assert red == [edge]


def test_a_video_file_and_one_that_is_none(page, tmp_path):
    file = clip(tmp_path / "clip.webm")
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    steps = [READY, ["upload", str(tmp_path / "broken.mp4")]]
    steps += [["status", "broken.mp4 is no picture or video that this browser can read"]]
    steps += [["upload", str(tmp_path / "broken.png")], ["status", "broken.png is no picture"]]
    steps += [["upload", file], ["status", "The video is playing"], ["wait", 1500]]
    found = shown(page, *steps, ["read", "rate", "#rate"])
    assert float(found["rate"]) > 3


@pytest.mark.parametrize("kind", ["drop", "paste"])
def test_files_are_dropped_and_pasted(page, tmp_path, kind):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    photo = str(page / "golden" / "photo.png")
    steps = [READY, ["give", kind, None, None], ["give", kind, photo, "image/png"], SHOWN]
    steps += [["give", kind, clip(tmp_path / "clip.webm"), "video/webm"]]
    steps += [["status", "The video is playing"], ["wait", 1000], ["read", "rate", "#rate"]]
    steps += [["give", kind, str(broken), "image/png"], ["status", "broken.png is no picture"]]
    found = shown(page, *steps, ["run", "document.body.className"])
    assert float(found["rate"]) > 3 and found["run"] == ""
    assert "Found: " in said(found)[-3]


def test_without_a_camera_it_says_why_and_goes_on_with_files(page, tmp_path):
    steps = [READY, ["click", "#camera"], ["status", "open a picture or a video instead"]]
    steps += [["upload", str(page / "golden" / "photo.png")], SHOWN]
    assert any("There is no camera" in line for line in said(shown(page, *steps)))
    found = shown(page, *steps, flags=["--use-fake-device-for-media-stream"])
    assert any("The camera was refused" in line for line in said(found))


def test_a_hidden_page_pauses(page):
    count = """() => {
      const post = Worker.prototype.postMessage;
      globalThis.sent = 0;
      Worker.prototype.postMessage = function counted(...words) {
        sent += 1;
        post.apply(this, words);
      };
    }"""
    hide = """async () => {
      Object.defineProperty(document, 'hidden', { configurable: true, get: () => %s });
      document.dispatchEvent(new Event('visibilitychange'));
      await new Promise((resolve) => setTimeout(resolve, 600));
      const before = sent;
      await new Promise((resolve) => setTimeout(resolve, 1200));
      return sent - before;
    }"""
    steps = [READY, ["click", "#camera"], ["status", "The camera is on"], ["run", f"({count})()"]]
    for hidden, is_right in (("true", lambda n: n == 0), ("false", lambda n: n > 3)):
        run = ["run", f"({hide % 'true'})()"]
        runs = [run] if hidden == "true" else [run, ["run", f"({hide % 'false'})()"]]
        found = shown(page, *steps, *runs, flags=CAMERA, permissions=["camera"])
        assert is_right(found["run"]), (hidden, found["run"])


def test_a_corrupt_model_is_named(page, tmp_path):
    folder = shutil.copytree(page, tmp_path / "page")
    raw = bytearray((folder / "model.tflite").read_bytes())
    raw[len(raw) // 2] ^= 64
    (folder / "model.tflite").write_bytes(raw)
    found = shown(folder, ["status", "This does not work"], ["wait", 200])
    assert said(found)[-1].startswith("This does not work: model.tflite is damaged: its SHA-256")
    assert found["state"] == {"state": "failed"}


def test_it_can_be_used_with_the_keyboard(page):
    steps = [READY, GOLDEN, SHOWN, ["run", "document.querySelector('[value=overlay]').focus()"]]
    found = shown(page, *steps, ["press", "ArrowRight"])
    assert found["state"]["look"] == "blur"
    steps = [READY, ["run", "document.querySelector('.sample').focus()"], ["press", "Enter"], SHOWN]
    found = shown(page, *steps, ["run", "document.getElementById('screen').ariaLabel"])
    assert found["run"].startswith("Found: ") and "%" in found["run"]


def test_controls_are_large_and_accessible(page):
    steps, sizes = [READY, GOLDEN, SHOWN], [(390, 844), (844, 390), (1200, 800), (320, 640)]
    for scheme in ("light", "dark"):
        for width, height in sizes:
            name = f"{scheme} {width}x{height}"
            steps += [["size", width, height], ["scheme", scheme], ["wait", 300]]
            steps += [["targets", f"{name} targets"], ["axe", f"{name} axe"]]
    found = shown(page, *steps)
    for name, values in found.items():
        if name.endswith("axe"):
            assert [each for each in values if each[1] in ("serious", "critical")] == [], name
        if name.endswith("targets"):
            assert len(values) == 8  # three looks, two sliders, a sample, two buttons
            for each in values:
                assert each["height"] >= 44 and each["width"] >= 44, (name, each)
                assert each["inside"], (name, each)
    assert sum(name.endswith("axe") for name in found) == 2 * len(sizes)
