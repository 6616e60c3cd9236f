"""python -m export try on videos."""

import os
import struct
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from trials import OVER_RED, half_red, named, tried

from export.trial.containers import is_truncated
from export.trial.video import Video, mp4

ROOT = Path(__file__).parent.parent
RATE, FRAMES, SIZE = 25, 30, (48, 64)
CLOSE = 16  # of 255: compressed twice


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The current folder, with model.tflite and clip.mp4, whose right half is red."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.tflite").write_bytes(named())
    write("clip.mp4", "mp4v")
    return tmp_path


def write(path, codec, size=SIZE, frames=FRAMES):
    fourcc = cv2.VideoWriter_fourcc(*codec)
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, fourcc, RATE, size[::-1])
    for _ in range(frames):
        writer.write(np.ascontiguousarray(half_red(*size)[..., ::-1]))
    writer.release()


def read(path):
    """(frames (N, H, W, 3) RGB, frames a second)"""
    capture, frames = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG), []
    while (found := capture.read())[0]:
        frames.append(found[1][..., ::-1])
    return np.array(frames, int), capture.get(cv2.CAP_PROP_FPS)


def test_a_video_by_default(here, capsys):
    assert tried("model.tflite", "clip.mp4") == 0
    end = capsys.readouterr()
    assert end.out.startswith("clip.mp4: 30 frames in ")
    assert end.out.endswith(" frames a second; the sound is left out\ntried\n")
    assert "note" not in end.err and os.listdir("tried") == ["clip-overlay.mp4"]
    frames, rate = read("tried/clip-overlay.mp4")
    assert frames.shape == (FRAMES, *SIZE, 3) and rate == RATE
    assert np.abs(frames[:, :, :24]).max() < CLOSE
    assert np.abs(frames[:, :, 40:] - OVER_RED).max() < CLOSE


def test_masks_and_cutouts_of_a_video_are_numbered_images(here):
    assert tried("model.tflite", "clip.mp4", "--show", "mask,cutout,blur") == 0
    names = [f"{number:06}.png" for number in range(1, FRAMES + 1)]
    assert sorted(os.listdir("tried")) == ["clip-blur.mp4", "clip-cutout", "clip-mask"]
    assert sorted(os.listdir("tried/clip-mask")) == sorted(os.listdir("tried/clip-cutout")) == names
    mask = Image.open("tried/clip-mask/000030.png")
    assert mask.mode == "P"
    assert (np.array(mask)[:, :28] == 0).all() and (np.array(mask)[:, 36:] == 1).all()
    cutout = np.array(Image.open("tried/clip-cutout/000001.png"))
    assert (cutout[:, :28] == 0).all() and (cutout[:, 36:, 3] == 255).all()
    write("clip.mp4", "mp4v", frames=3)
    assert tried("model.tflite", "clip.mp4", "--show", "mask", "--force") == 0
    assert sorted(os.listdir("tried/clip-mask")) == names[:3]


def test_the_rotation_of_a_phone_is_applied(here):
    """Turned clockwise by the matrix of its track header (ISO/IEC 14496-12, 8.3.2), the red half
    is the lower one."""
    raw = bytearray((here / "clip.mp4").read_bytes())
    at = raw.find(b"tkhd") + 44
    assert struct.unpack_from(">9i", raw, at) == (1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    struct.pack_into(">9i", raw, at, 0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30)
    (here / "turned.mp4").write_bytes(raw)
    assert tried("model.tflite", "turned.mp4") == 0
    frames, _ = read("tried/turned-overlay.mp4")
    assert frames.shape == (FRAMES, SIZE[1], SIZE[0], 3)
    assert np.abs(frames[:, :24]).max() < CLOSE
    assert np.abs(frames[:, 40:] - OVER_RED).max() < CLOSE


def test_a_variable_frame_rate_is_told(here, capsys):
    """15 frames of 40 ms, then 15 of 80 ms: the table of times gets a second row of 8 bytes."""
    raw = bytearray((here / "clip.mp4").read_bytes())
    edit = raw.find(b"elst") + 12  # how long it is played
    struct.pack_into(">I", raw, edit, struct.unpack_from(">I", raw, edit)[0] * 3 // 2)
    start = raw.rfind(b"moov")  # after the frames, whose places stay as they are
    table = raw.find(b"stts", start)
    (_, rows, count, step) = struct.unpack_from(">4I", raw, table + 4)
    assert (rows, count) == (1, FRAMES)
    for name in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stts"):
        at = raw.find(name, start) - 4
        struct.pack_into(">I", raw, at, struct.unpack_from(">I", raw, at)[0] + 8)
    raw[table + 4 : table + 20] = struct.pack(">6I", 0, 2, 15, step, 15, 2 * step)
    (here / "uneven.mp4").write_bytes(raw)
    assert tried("model.tflite", "uneven.mp4") == 0
    told = "note: uneven.mp4: its frames are 40 to 80 ms apart (variable frame rate); in the result"
    assert told in capsys.readouterr().err
    assert len(read("tried/uneven-overlay.mp4")[0]) == FRAMES


def test_odd_videos_are_listed_and_the_others_done(here, capsys):
    raw = (here / "clip.mp4").read_bytes()
    (here / "cut.mp4").write_bytes(raw[: len(raw) // 2])
    (here / "text.mp4").write_text("dear sir, this is not a video")
    (here / "nothing.mp4").write_bytes(b"")
    os.mkfifo("pipe.mp4")
    names = [f"{name}.mp4" for name in ("cut", "text", "nothing", "pipe", "clip")]
    assert tried("model.tflite", *names) == 1
    end = capsys.readouterr()
    assert end.out.startswith("clip.mp4: 30 frames in")
    assert end.err.splitlines()[1:] == [
        "cut.mp4 is truncated: replace or remove it",
        "text.mp4 is damaged or not a video: replace or remove it",
        "nothing.mp4 is empty, 0 bytes",
        "pipe.mp4 is not a regular file",
    ]
    assert os.listdir("tried") == ["clip-overlay.mp4"]
    assert tried("model.tflite", "cut.mp4", "--out", "other") == 2


def test_what_ffmpeg_prints_is_hidden(here):
    """Of a file without an index, and of frames that are damaged: several lines each."""
    raw = (here / "clip.mp4").read_bytes()
    (here / "odd.mp4").write_bytes(raw.replace(b"moov", b"what"))
    at = raw.find(b"mdat") + 40
    (here / "noise.mp4").write_bytes(raw[:at] + b"\x55" * 200 + raw[at + 200 :])
    code = (
        "import pathlib, sys; from cli import Refusal; from export.trial.video import Video\n"
        "for name in sys.argv[1:]:\n"
        "    try: list(Video(pathlib.Path(name)).frames())\n"
        "    except Refusal as refusal: print(refusal)"
    )
    # In this process FFmpeg has begun to print.
    words = [sys.executable, "-c", code, here / "odd.mp4", here / "noise.mp4"]
    end = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert end.returncode == 0 and end.stderr == ""
    assert end.stdout.splitlines() == [
        f"{here}/odd.mp4 is damaged or not a video: replace or remove it",
        f"{here}/noise.mp4 is damaged: 1 of its 30 frames can be read. Replace or remove it",
    ]


@pytest.mark.parametrize(
    ("name", "codec"), [("a.mp4", "mp4v"), ("a.mov", "mp4v"), ("a.avi", "MJPG"), ("a.mkv", "FFV1")]
)
def test_truncated_files_of_every_container(tmp_path, name, codec):
    path = tmp_path / name
    write(path, codec)
    raw = path.read_bytes()
    assert not is_truncated(path)
    for left in (len(raw) - 1, len(raw) * 2 // 3):
        path.write_bytes(raw[:left])
        assert is_truncated(path)
    path.write_bytes(raw + bytes(99))  # what some cameras append
    assert not is_truncated(path)


@pytest.mark.parametrize(
    "raw", [b"", b"RIFF", b"\x1a\x45\xdf\xa3", b"\x1a\x45\xdf\xa3\x80", b"x" * 9]
)
def test_files_that_are_no_containers(tmp_path, raw):
    (tmp_path / "a").write_bytes(raw)
    assert not is_truncated(tmp_path / "a")


def test_a_live_recording_states_no_size(tmp_path):
    """An empty EBML header, then a segment of unknown size, or of 5 bytes of which 2 are there."""
    segment = b"\x1a\x45\xdf\xa3\x80" + b"\x18\x53\x80\x67"
    for size, truncated in ((b"\xff", False), (b"\x85", True), (b"\x82", False)):
        (tmp_path / "a").write_bytes(segment + size + b"xy")
        assert is_truncated(tmp_path / "a") == truncated


@pytest.mark.parametrize("rate", [29.97002997, 119.8765, 7.5])
def test_rates_that_the_codec_can_hold(tmp_path, rate):
    """An odd side loses its last row or column."""
    with mp4(tmp_path / "a.mp4", rate, (33, 65)) as add:
        for _ in range(5):
            add(np.zeros((33, 65, 3), np.uint8))
    frames, found = read(tmp_path / "a.mp4")
    assert frames.shape == (5, 32, 64, 3) and found == pytest.approx(rate, abs=0.006)


def test_fewer_frames_than_stated_are_told(here):
    video = Video(here / "clip.mp4")
    assert video.count == FRAMES and len(list(video.frames())) == FRAMES
    assert video.remarks(30) == []
    assert video.remarks(20) == ["it states 30 frames, of which 20 could be read"]


class Webcam:
    """What OpenCV gives for a camera of `RATE` frames a second; `left` frames until it fails."""

    left = 10_000

    def __init__(self, number):
        self.opened, self.due = number == 1, time.perf_counter()

    def isOpened(self):
        return self.opened

    def get(self, what):
        return {cv2.CAP_PROP_FPS: RATE}[what]

    def read(self):
        self.due += 1 / RATE
        time.sleep(max(0, self.due - time.perf_counter()))
        Webcam.left -= 1
        return Webcam.left >= 0, np.ascontiguousarray(half_red(*SIZE)[..., ::-1])


@pytest.fixture
def webcam(here, monkeypatch):
    capture = cv2.VideoCapture
    monkeypatch.setattr(
        "cv2.VideoCapture", lambda given, *api: Webcam(given) if api == () else capture(given, *api)
    )
    monkeypatch.setattr(Webcam, "left", 10_000)


def test_a_camera_is_recorded(webcam, capsys):
    assert tried("model.tflite", "--camera", "1", "--seconds", "0.6") == 0
    end = capsys.readouterr()
    assert end.out.startswith("camera 1: 1") and end.out.endswith("; without sound\ntried\n")
    assert "note" not in end.err
    frames, rate = read("tried/camera-1-overlay.mp4")
    assert 13 <= len(frames) <= 17 and rate == RATE  # 0.6 s at 25 a second
    assert np.abs(frames[:, :, 40:] - OVER_RED).max() < CLOSE


def test_cameras_that_fail(webcam, monkeypatch, capsys):
    assert tried("model.tflite", "--camera", "2", "clip.mp4") == 1
    end = capsys.readouterr()
    assert "clip.mp4: 30 frames" in end.out
    assert "camera 2 cannot be opened" in end.err and end.err.count("\n") == 2
    monkeypatch.setattr(Webcam, "left", 5)
    assert tried("model.tflite", "--camera", "1", "--out", "other") == 2
    assert "error: camera 1 stopped after 0.2 s" in capsys.readouterr().err
    assert not list(Path("other").iterdir())


def test_no_camera_here(here, capsys):
    if Path("/dev/video77").exists():
        pytest.skip("this machine has 78 cameras")
    assert tried("model.tflite", "--camera", "77") == 2
    assert capsys.readouterr().err.count("\n") == 2  # of the model and of the camera


@pytest.mark.parametrize(
    ("words", "said"),
    [((), "nothing to try"), (("clip.mp4", "--seconds", "3"), "--seconds is for --camera"),
     (("--camera", "0", "--seconds", "0"), "--seconds is for --camera, above 0")],
)  # fmt: skip
def test_options_of_a_camera(here, capsys, words, said):
    assert tried("model.tflite", *words) == 2
    assert said in capsys.readouterr().err
