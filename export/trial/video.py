"""Reads videos a frame at a time, and writes them without sound."""

import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np

from cli import Refusal
from export.trial.containers import is_truncated
from files import beside

CODEC = "mp4v"  # MPEG-4 part 2, which OpenCV's wheels can write on every system; H.264 they cannot
MOST_RATE = 240  # frames a second; a higher one is a container's clock, not a camera's
UNEVEN = 1.5  # ratio of the longest interval between frames to the shortest


class Video:
    """count: frames as the container states them, which may be an estimate. rate: a second."""

    def __init__(self, path: Path):
        self.path = path
        self.intervals = [np.inf, 0.0]  # ms, the shortest and the longest so far
        check_file(path)
        silence()
        # Frames are turned as the rotation in the file says; that is the default of OpenCV.
        self.capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
        if not self.capture.isOpened():
            raise Refusal(f"{path} is damaged or not a video: replace or remove it")
        self.rate = self.capture.get(cv2.CAP_PROP_FPS)
        self.count = max(0, int(self.capture.get(cv2.CAP_PROP_FRAME_COUNT)))
        if not 0 < self.rate <= MOST_RATE:
            raise Refusal(
                f"{path} states {self.rate:g} frames a second; needed: at most {MOST_RATE}. "
                f"Convert it first: ffmpeg -i {path.name} -r 30 converted.mp4"
            )

    def frames(self) -> Iterator[np.ndarray]:
        """(H, W, 3) uint8 RGB, upright. Raises Refusal if half of them cannot be read, or if
        their sizes differ."""
        shape, before, read = None, None, 0
        while (found := self.capture.read())[0]:
            image, now = found[1], self.capture.get(cv2.CAP_PROP_POS_MSEC)
            shape = shape or image.shape
            if image.shape != shape:
                came, first = (f"{s[1]}x{s[0]}" for s in (image.shape, shape))
                raise Refusal(f"{self.path}: its frames change from {first} to {came}; convert it")
            if before is not None:
                least, most = self.intervals
                self.intervals = [min(least, now - before), max(most, now - before)]
            before, read = now, read + 1
            yield cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
        if read <= self.count / 2:  # an estimate or an edit explains a few
            raise Refusal(
                f"{self.path} is damaged: {read} of its {self.count} frames can be read. "
                "Replace or remove it"
            )

    def remarks(self, read: int) -> list[str]:
        """What is odd about the frames, after the last of `read` frames, a sentence each."""
        least, most = self.intervals
        lines = []
        if most > UNEVEN * least:
            lines.append(
                f"its frames are {least:.0f} to {most:.0f} ms apart (variable frame rate); in the "
                f"result all are {1000 / self.rate:.0f} ms apart"
            )
        if read < 0.98 * self.count:
            lines.append(f"it states {self.count} frames, of which {read} could be read")
        return lines


class Camera:
    """Has what `Video` has."""

    def __init__(self, number: int, seconds: float):
        silence()
        self.number, self.seconds = number, seconds
        self.capture = cv2.VideoCapture(number)
        if not self.capture.isOpened():
            raise Refusal(
                f"camera {number} cannot be opened: there is none of that number, another program "
                "uses it, or this one may not. The first camera is 0"
            )
        rate = self.capture.get(cv2.CAP_PROP_FPS)
        self.rate = rate if 0 < rate <= MOST_RATE else 30.0
        self.count = round(seconds * self.rate)
        self.took = 0.0

    def frames(self) -> Iterator[np.ndarray]:
        """(H, W, 3) uint8 RGB. Raises Refusal if the camera stops before its time."""
        began = time.perf_counter()
        while self.took < self.seconds:
            found, image = self.capture.read()
            if not found:
                raise Refusal(f"camera {self.number} stopped after {self.took:.1f} s")
            yield cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
            self.took = time.perf_counter() - began

    def remarks(self, read: int) -> list[str]:
        """What is odd about the result: it plays faster or slower than what was seen."""
        rate = read / self.took
        if 0.9 < rate / self.rate < 1.1:
            return []
        return [f"{rate:.1f} frames a second were taken; the result plays {self.rate:g} a second"]


def check_file(path: Path) -> None:
    try:
        found = os.stat(path)
        if not stat.S_ISREG(found.st_mode):  # a pipe would block
            raise Refusal(f"{path} is not a regular file")
        if not found.st_size:
            raise Refusal(f"{path} is empty, 0 bytes")
        truncated = is_truncated(path)
    except OSError as error:
        raise Refusal(f"{path} cannot be read: {error.strerror}") from error
    if truncated:
        raise Refusal(f"{path} is truncated: replace or remove it")


def silence() -> None:
    """Refusals say what FFmpeg and OpenCV would print of a damaged file, in many lines."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


@contextmanager
def mp4(path: Path, rate: float, size: tuple[int, int]) -> Iterator[Callable]:
    """Yields a function that writes a frame (H, W, 3) uint8 RGB of `size` (H, W).

    The codec needs even sides: an odd last row or column is left out.
    """
    height, width = (max(2, side // 2 * 2) for side in size)
    written = 0
    # MPEG-4 part 2 has 16 bits for the clock, which more decimals of the rate would exceed.
    options = cv2.CAP_FFMPEG, cv2.VideoWriter_fourcc(*CODEC), round(rate, 2), (width, height)

    def write(image):
        nonlocal written
        writer.write(np.ascontiguousarray(image[:height, :width, ::-1]))
        written += 1

    with beside(path) as part:
        writer = cv2.VideoWriter(str(part), *options)
        if not writer.isOpened():
            raise Refusal(f"{path} cannot be written as a video of {width}x{height}")
        try:
            yield write
        finally:
            writer.release()
        found = cv2.VideoCapture(str(part), cv2.CAP_FFMPEG).get(cv2.CAP_PROP_FRAME_COUNT)
        if found != written:  # the writer does not tell of a full disk
            raise Refusal(f"cannot write {path}: {found:.0f} of {written} frames are in the file. "
                          "Free some space")  # fmt: skip
