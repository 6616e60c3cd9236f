"""python -m export try on images: what is drawn, what is read, what is refused."""

import os
import tracemalloc

import numpy as np
import pytest
from PIL import Image
from trials import COLOURS, OVER_RED, RED, half_red, named, tried

from cli import Refusal
from data.images import write_image
from export.trial import looks
from export.trial.inputs import find
from export.trial.inputs import named as names_of
from export.trial.loop import Choice, try_all
from export.trial.model import Tried

SHARE = "rest 50.0%, red 50.0%"


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The current folder, with model.tflite and a.png, whose right half is red."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.tflite").write_bytes(named())
    write_image(tmp_path / "a.png", half_red())
    return tmp_path


def test_an_image_by_default(here, capsys):
    assert tried("model.tflite", "a.png") == 0
    end = capsys.readouterr()
    assert end.out == f"a.png: {SHARE}\ntried\n"
    assert end.err == "model.tflite: input 8x8 (width x height), RGB from -1 to 1\n"
    assert sorted(os.listdir("tried")) == ["a-mask.png", "a-overlay.jpg"]
    mask = Image.open("tried/a-mask.png")
    assert mask.mode == "P" and mask.getpalette()[:6] == [*COLOURS[0], *COLOURS[1]]
    assert np.array_equal(np.array(mask), half_red()[..., 0] > 0)
    shown = np.array(Image.open("tried/a-overlay.jpg")).astype(int)
    assert np.abs(shown[:, 0] - 0).max() < 12 and np.abs(shown[:, 7] - OVER_RED).max() < 12


def test_every_look(here):
    Image.new("RGB", (4, 4), (1, 2, 3)).save("ground.png")
    words = "--show", "cutout,replace,blur", "--background", "ground.png", "--out", "out"
    assert tried("model.tflite", "a.png", *words) == 0
    assert sorted(os.listdir("out")) == ["a-blur.jpg", "a-cutout.png", "a-replace.jpg"]
    cutout = np.array(Image.open("out/a-cutout.png"))
    assert (cutout[:, :4] == 0).all() and (cutout[:, 4:] == (*RED, 255)).all()
    replaced = np.array(Image.open("out/a-replace.jpg")).astype(int)
    assert np.abs(replaced[:, 0] - (1, 2, 3)).max() < 12
    assert np.abs(replaced[:, 7] - RED).max() < 12


def test_classes_that_are_kept(here):
    assert tried("model.tflite", "a.png", "--show", "cutout", "--class", "rest") == 0
    cutout = np.array(Image.open("tried/a-cutout.png"))
    assert (cutout[:, :4] == (0, 0, 0, 255)).all() and (cutout[:, 4:] == 0).all()


def test_the_pixels_of_each_look():
    """Two pixels of class 0, one of 1, one of 2; the colours of 1 and 2 are 10 20 30, 99 0 255."""
    image = np.uint8([[[100, 101, 102], [0, 0, 0], [200, 50, 7], [255, 255, 255]]])
    mask = np.uint8([[0, 0, 1, 2]])
    style = looks.style(["a", "b", "c"], [[9, 9, 9], [10, 20, 30], [99, 0, 255]], ["c"], "#0102ff")
    drawn = {look: looks.draw(look, image, mask, style)[0].tolist() for look in looks.LOOKS}
    rest = [[100, 101, 102], [0, 0, 0]]
    assert drawn["overlay"] == [*rest, [105, 35, 18], [176, 127, 254]]
    assert drawn["mask"] == [0, 0, 1, 2]
    assert drawn["cutout"] == [[0] * 4] * 3 + [[255] * 4]
    assert drawn["replace"] == [[1, 2, 255]] * 3 + [[255] * 3]
    every = looks.style(["a", "b", "c"], style.colours, None, None)
    assert every.kept[:4].tolist() == [False, True, True, False]


def test_blur_spreads_nothing_of_what_is_kept():
    """Around a red square the grey stays as it is; stripes of 0 and 200 become their mean."""
    image = np.full((64, 96, 3), 100, np.uint8)
    image[:, 48:] = np.where(np.arange(48) % 2, 200, 0)[None, :, None]
    kept = np.zeros((64, 96, 1), bool)
    kept[20:40, 10:30] = True
    image[kept[..., 0]] = RED
    found = looks.blurred(image, kept).astype(int)
    rest = ~kept[..., 0]
    assert np.abs(found[:, :36] - 100)[rest[:, :36]].max() <= 1
    assert np.abs(found[:, 60:90] - 100).max() <= 3
    large = np.full((900, 1200, 3), 77, np.uint8)
    assert np.abs(looks.blurred(large, np.zeros((900, 1200, 1), bool)).astype(int) - 77).max() <= 1


def test_a_background_covers_the_image():
    columns = np.arange(8, dtype=np.uint8)[None, :, None].repeat(4, 0).repeat(3, 2)
    assert looks.covering(columns, (4, 4))[0, :, 0].tolist() == [2, 3, 4, 5]
    assert looks.covering(columns, (1, 2))[..., 0].tolist() == [[2, 6]]  # means of 0 to 3, 4 to 7
    assert looks.covering(columns, (2, 1)).shape == (2, 1, 3)


def test_exif_is_applied_and_masks_have_the_images_size(here, capsys):
    """Stored with the red half on the right; turned clockwise it is the lower half."""
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(half_red(32, 64)).save("b.jpg", exif=exif, quality=95)
    assert tried("model.tflite", "b.jpg") == 0
    mask = np.array(Image.open("tried/b-mask.png"))
    assert mask.shape == (64, 32)
    assert (mask[:28] == 0).all() and (mask[36:] == 1).all()
    overlay = Image.open("tried/b-overlay.jpg")
    assert overlay.size == (32, 64) and not overlay.getexif()
    assert np.abs(np.array(overlay)[60, 16].astype(int) - OVER_RED).max() < 12


def test_odd_inputs_are_listed_last_and_the_others_done(here, capsys):
    (here / "text.jpg").write_text("dear sir")
    (here / "cut.jpg").write_bytes(b"\xff\xd8\xff")
    os.mkdir("empty")
    assert tried("model.tflite", "text.jpg", "no.png", "a.png", "empty") == 1
    end = capsys.readouterr()
    assert end.out == f"a.png: {SHARE}\ntried\n"
    assert end.err.splitlines()[1:] == [
        "no such file or folder: no.png",
        "empty holds no image or video; known endings: .jpg, .jpeg, .png, .webp, .bmp, .mp4, .mov, "
        ".m4v, .3gp, .avi, .mkv, .webm, .mpg, .wmv",
        "text.jpg is not an image: replace or remove it",
    ]
    assert tried("model.tflite", "text.jpg", "no.png", "--out", "other") == 2
    end = capsys.readouterr()
    assert end.out == "" and end.err.splitlines()[1:] == [
        "no such file or folder: no.png",
        "error: text.jpg is not an image: replace or remove it",
    ]


def test_results_are_not_overwritten(here, capsys):
    assert tried("model.tflite", "a.png") == 0
    before = os.stat("tried/a-mask.png").st_ino
    assert tried("model.tflite", "a.png") == 2
    assert capsys.readouterr().err.endswith(
        "error: tried/a-overlay.jpg exists. Name another --out, or add --force\n"
    )
    assert os.stat("tried/a-mask.png").st_ino == before
    assert tried("model.tflite", "a.png", "--force") == 0
    assert os.stat("tried/a-mask.png").st_ino != before
    write_image(here / "a-mask.png", half_red())
    assert tried("model.tflite", "a.png", "a-mask.png", "--out", ".", "--force") == 2
    assert "a-mask.png is an input and would be overwritten" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("--show overlai", "there is no look 'overlai'. Did you mean overlay?"),
        ("--class red", "--class is for cutout, blur and replace: add one of them to --show"),
        ("--show blur --class rad", "there is no class 'rad'. Did you mean red?"),
        ("--background white", "--background is for replace: add it to --show"),
        ("--show replace", "replace needs --background: an image, or a colour such as white"),
        ("--show replace --background whitish", "--background whitish is neither a file nor a"),
        ("--classes a,b,c", "model.tflite gives 2 channels, but 3 classes are named: a, b, c"),
        ("--range 0 1", "model.tflite tells how it is fed: leave --range out"),
    ],
)
def test_options_that_do_not_fit(here, capsys, words, line):
    assert tried("model.tflite", "a.png", *words.split()) == 2
    assert f"error: {line}" in capsys.readouterr().err
    assert not os.path.exists("tried")


def test_names_of_results_differ():
    from pathlib import Path

    paths = [Path(path) for path in ("x/a.jpg", "y/A.jpg", "x/a.png", "b.png")]
    assert [item.name for item in names_of(paths)] == ["a.jpg", "A.jpg-2", "a.png", "b"]


def test_folders(tmp_path, capsys):
    for name in ("b.JPG", "a.mov", "c.heic", ".hidden.jpg", "notes.txt"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "deeper.jpg").mkdir()
    inputs, faults = find([str(tmp_path), str(tmp_path / "b.JPG")])
    assert [(item.path.name, item.is_video) for item in inputs] == [
        ("a.mov", True),
        ("b.JPG", False),
    ]
    assert faults == []
    line = f"note: 2 other files in {tmp_path} are left out: .heic, .txt\n"
    assert capsys.readouterr().err == line


def by_red(image):
    """As `named`, without a file."""
    return np.stack([np.zeros_like(image[..., 0]), image[..., 0] - 0.5], -1)


def test_memory_stays_flat(tmp_path, capsys):
    """The peak over 300 images is that of the first 30, to a fraction of one image of 120 kB."""
    write_image(tmp_path / "0.png", half_red(200, 200))
    for number in range(1, 300):
        os.link(tmp_path / "0.png", tmp_path / f"{number}.png")
    model = Tried(by_red, (8, 8), ["rest", "red"], COLOURS, "")
    style = looks.style(model.classes, COLOURS, None, None)
    inputs, _ = find([str(tmp_path)])
    tracemalloc.start()
    try:
        peaks = []
        for name, chosen in (("warm", inputs[:5]), ("few", inputs[:30]), ("all", inputs)):
            tracemalloc.reset_peak()
            try_all(model, chosen, Choice(tmp_path / name, None, style, False), [])
            peaks.append(tracemalloc.get_traced_memory()[1])
    finally:
        tracemalloc.stop()
    assert len(os.listdir(tmp_path / "all")) == 600
    assert peaks[2] < peaks[1] + 60_000 * 8  # names of results and what is printed


def test_an_interruption_leaves_what_is_done(tmp_path, capsys):
    for name in "ab":
        write_image(tmp_path / f"{name}.png", half_red())
    calls = []

    def second_time(image):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return by_red(image)

    model = Tried(second_time, (8, 8), ["rest", "red"], COLOURS, "")
    style = looks.style(model.classes, COLOURS, None, None)
    inputs, _ = find([str(tmp_path)])
    with pytest.raises(KeyboardInterrupt):
        try_all(model, inputs, Choice(tmp_path / "out", None, style, False), [])
    assert sorted(os.listdir(tmp_path / "out")) == ["a-mask.png", "a-overlay.jpg"]
    assert capsys.readouterr().err == "1 of 2 inputs are done; --force does them again\n"
    with pytest.raises(Refusal, match=r"a-overlay\.jpg exists"):
        try_all(model, inputs, Choice(tmp_path / "out", None, style, False), [])
