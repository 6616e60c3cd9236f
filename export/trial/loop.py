"""Tries a model on one input after the other; what cannot be read is listed last."""

import sys
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cli import Refusal, Verdict, plain, say
from data.images import read_image
from export.trial.inputs import Input
from export.trial.looks import LOOKS, STILL, Style, draw, save
from export.trial.model import Tried
from export.trial.video import Camera, Video, mp4
from files import folder_beside, held, writing

OF_IMAGES, OF_VIDEOS = ("overlay", "mask"), ("overlay",)  # looks by default
MOST_NAMED = 5  # classes in a line


class Choice(NamedTuple):
    """looks: None for the default. force: overwrites results. seconds: of a camera. smooth: the
    masks of videos."""

    out: Path
    looks: tuple[str, ...] | None
    style: Style
    force: bool
    seconds: float = 10
    smooth: bool = False

    def results(self, item: Input) -> dict[str, Path]:
        """The file of each look; of a video, the folder of those that a video cannot hold."""
        looks = self.looks or (OF_VIDEOS if item.is_video else OF_IMAGES)
        endings = LOOKS
        if item.is_video:
            endings = {look: "" if look in STILL else ".mp4" for look in LOOKS}
        return {look: self.out / f"{item.name}-{look}{endings[look]}" for look in looks}


def try_all(model: Tried, inputs: list[Input], choice: Choice, faults: list[str]) -> None:
    """Prints a line for each input. faults: of inputs that were not found.

    Raises Verdict with a line for each input that could not be read, Refusal if none could.
    """
    from tqdm import tqdm

    faults, done = list(faults), 0
    with held(choice.out):
        check_results(inputs, choice)
        with writing(choice.out):
            choice.out.mkdir(parents=True, exist_ok=True)
        try:
            for item in tqdm(inputs, unit="input", leave=False, disable=None):
                try:
                    line = (try_video if item.is_video else try_image)(model, item, choice)
                except Refusal as refusal:
                    faults.append(str(refusal))
                    continue
                done += 1
                tqdm.write(plain(f"{item.path}: {line}"), file=sys.stdout)
        except KeyboardInterrupt:
            say(f"{done} of {len(inputs)} inputs are done; --force does them again")
            raise
    if not done:
        for line in faults[:-1]:
            say(line)
        raise Refusal(faults[-1])
    print(plain(str(choice.out)))
    if faults:
        raise Verdict("\n".join(faults))


def check_results(inputs: list[Input], choice: Choice) -> None:
    """Raises Refusal if results would overwrite an input, or without --force anything."""
    sources = {item.path.resolve() for item in inputs}
    for item in inputs:
        for path in choice.results(item).values():
            if path.resolve() in sources:
                raise Refusal(f"{path} is an input and would be overwritten: name another --out")
            if path.exists() and not choice.force:
                raise Refusal(f"{path} exists. Name another --out, or add --force")


def try_image(model: Tried, item: Input, choice: Choice) -> str:
    """Which classes it shows, in words."""
    image = read_image(item.path)
    mask = model.mask(image)
    for look, path in choice.results(item).items():
        save(path, look, draw(look, image, mask, choice.style), choice.style)
    counts = np.bincount(mask.ravel(), minlength=len(model.classes))
    order = [at for at in np.argsort(-counts, kind="stable") if counts[at]][:MOST_NAMED]
    return ", ".join(f"{model.classes[at]} {counts[at] / mask.size:.1%}" for at in order)


def try_video(model: Tried, item: Input, choice: Choice) -> str:
    """How long it took, in words."""
    from tqdm import tqdm

    began, count, sinks = time.perf_counter(), 0, {}
    video = Video(item.path) if item.camera is None else Camera(item.camera, choice.seconds)
    mask_of = model.steady() if choice.smooth else model.mask
    with (
        ExitStack() as stack,
        tqdm(desc=item.name, total=video.count or None, unit="frame", leave=False, disable=None)
        as bar,
    ):  # fmt: skip
        for image in video.frames():
            if not sinks:
                for look, path in choice.results(item).items():
                    opened = sink(path, look, choice.style, video.rate, image.shape[:2])
                    sinks[look] = stack.enter_context(opened)
            mask = mask_of(image)
            for look, write in sinks.items():
                write(draw(look, image, mask, choice.style))
            count += 1
            bar.update()
    seconds = time.perf_counter() - began
    for line in video.remarks(count):
        say(f"note: {item.path}: {line}")
    return f"{count} frames in {seconds:.1f} s, {count / seconds:.1f} frames a second; " + (
        "the sound is left out" if item.camera is None else "without sound"
    )


@contextmanager
def sink(path: Path, look: str, style: Style, rate: float, size: tuple[int, int]):
    """Yields a function that takes what is drawn of each frame."""
    if look not in STILL:
        with mp4(path, rate, size) as write:
            yield write
        return
    count = 0
    with folder_beside(path) as folder:

        def write(drawn):
            nonlocal count
            count += 1
            save(folder / f"{count:06}.png", look, drawn, style)

        yield write
