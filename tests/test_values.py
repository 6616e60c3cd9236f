"""What a mask file stores against what a viewer shows of it, pixel by pixel."""

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from cli import Refusal
from data.__main__ import import_options
from data.dataset import read_dataset
from data.formats import Drawn
from data.formats.classes import LEVELS, VOID_ALONE, LabelMap, read_as, with_void
from data.formats.imports import SplitOptions, import_source
from data.formats.values import FRAMES, IN_ALPHA, read_colours, read_ids
from data.formats.voc import SORTED, colour_of, read_voc

IDS = np.uint8([[0, 1, 1, 0], [0, 1, 1, 2], [2, 2, 0, 0]])
BINARY = np.uint8([[0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0]])
TWO = LabelMap(["ground", "cat"], {0: 0, 1: 1})
LEVEL = LabelMap(["ground", "cat"], {0: 0, 255: 1})
THREE = LabelMap(["ground", "cat", "dog"], {0: 0, 1: 1, 2: 2})
COLOURS = LabelMap(["ground", "cat"], {0: 0, 0xFF0000: 1}, [[0, 0, 0], [255, 0, 0]])


def mask_of(made) -> tuple[list, list[str]]:
    """(rows of the mask, texts of its notes)."""
    notes = [note.text for note in made.notes] if isinstance(made, Drawn) else []
    return (made.mask if isinstance(made, Drawn) else made).tolist(), notes


def saved(path: Path, image, **options) -> Path:
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(path, **options)
    return path


def refused(read, *args) -> str:
    with pytest.raises(Refusal) as caught:
        read(*args)
    return str(caught.value)


def palette(indices, *colours) -> Image.Image:
    image = Image.frombytes("P", indices.shape[::-1], indices.tobytes())
    image.putpalette([channel for colour in colours for channel in colour])
    return image


def greys(*levels):
    return [(level,) * 3 for level in levels]


@pytest.mark.parametrize("colour", [(0,), (255,), (0, 0, 0), (255, 255, 255), (9, 200, 1)])
def test_a_shape_in_alpha(tmp_path, colour):
    pixels = np.full((3, 4, len(colour) + 1), (*colour, 0), np.uint8)
    pixels[..., -1] = BINARY * 255
    path = saved(tmp_path / "m.png", pixels)
    assert mask_of(read_as(path, LEVEL)) == (BINARY.tolist(), [IN_ALPHA])
    assert "contains 255 in its alpha channel, which has no class" in refused(read_as, path, TWO)
    pixels[0, 0, -1] = 128
    saved(path, pixels)
    assert "contains 128 in its alpha channel, which has" in refused(read_as, path, LEVEL)
    if len(colour) == 3:
        assert "its shape in the alpha channel: list the classes" in refused(read_colours, path)


@pytest.mark.parametrize("alpha", [255, 7])
def test_alpha_without_a_shape(tmp_path, alpha):
    """Or beside one in the colours: these count."""
    pixels = np.dstack([IDS, IDS, IDS, np.full_like(IDS, alpha)])
    assert mask_of(read_as(saved(tmp_path / "m.png", pixels), THREE)) == (IDS.tolist(), [])
    pixels[..., 3] = np.where(IDS, 255, 0)
    assert mask_of(read_as(saved(tmp_path / "m.png", pixels), THREE)) == (IDS.tolist(), [])
    assert mask_of(read_as(saved(tmp_path / "l.png", pixels[..., 2:]), THREE)) == (IDS.tolist(), [])
    blank = np.dstack([IDS * 0 + 1] * 3 + [IDS * 0 + alpha])
    assert mask_of(read_as(saved(tmp_path / "b.png", blank), TWO))[0] == [[1] * 4] * 3


@pytest.mark.parametrize(("top", "label_map"), [(1, TWO), (255, LEVEL)])
@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int32, np.uint16, np.int16])
def test_tiffs_of_whole_numbers(tmp_path, kind, top, label_map):
    cv2.imwrite(str(tmp_path / "m.tif"), BINARY.astype(kind) * kind(top))
    assert mask_of(read_as(tmp_path / "m.tif", label_map)) == (BINARY.tolist(), [])


@pytest.mark.parametrize(("odd", "shown"), [(0.4, "0.4"), (np.nan, "nan"), (np.inf, "inf"),
                                            (1e30, "1e+30")])  # fmt: skip
def test_tiffs_of_fractions(tmp_path, odd, shown):
    path = saved(tmp_path / "m.tif", np.float32([[0, 1, odd]]))
    assert f"contains fractions or values that are no ids, such as {shown}; needed" in refused(
        read_as, path, TWO
    )


def test_two_values_in_every_form(tmp_path):
    """Stored as 0 and 1, shown as 0 and 255: whichever of them the classes name."""
    for name, image in {
        "bit.png": Image.fromarray(BINARY.astype(bool)),
        "bit.tif": Image.fromarray(BINARY.astype(bool)),
        "pair.png": palette(BINARY, *greys(0, 255)),
        "pair.gif": palette(BINARY, *greys(0, 255)),
    }.items():
        path = saved(tmp_path / name, image)
        assert mask_of(read_as(path, TWO)) == (BINARY.tolist(), [])
        assert mask_of(read_as(path, with_void(TWO))) == (BINARY.tolist(), [])
        assert mask_of(read_as(path, LEVEL)) == (BINARY.tolist(), [LEVELS])
        assert read_ids(path).tolist() == BINARY.tolist()
    path = saved(tmp_path / "bytes.png", BINARY * 255)
    assert mask_of(read_as(path, LEVEL)) == (BINARY.tolist(), [])
    assert mask_of(read_as(path, with_void(TWO))) == ((BINARY * -1.0).tolist(), [VOID_ALONE])
    assert "contains 255, which has no class" in refused(read_as, path, TWO)


def test_palettes_that_were_sorted_anew(tmp_path):
    """As programs that make PNGs smaller do: the most frequent first."""
    turned = np.uint8([2, 0, 1])[IDS]  # index 2 is shown as 0, index 0 as 1, index 1 as 2
    path = saved(tmp_path / "m.png", palette(turned, *greys(1, 2, 0)))
    message = refused(read_as, path, THREE)
    assert "stores 0 where its palette shows the grey level 1, and both are classes" in message
    levels = LabelMap(["ground", "cat", "dog"], {0: 0, 100: 1, 200: 2})
    path = saved(tmp_path / "n.png", palette(turned, *greys(100, 200, 0)))
    assert mask_of(read_as(path, levels)) == (IDS.tolist(), [LEVELS])
    bits = saved(tmp_path / "o.png", palette(1 - BINARY, *greys(255, 0)), bits=1)
    assert mask_of(read_as(bits, LEVEL)) == (BINARY.tolist(), [LEVELS])
    assert "both are classes" in refused(read_as, bits, with_void(TWO))
    # Colours say nothing of ids, and levels that do not tell the values apart say nothing either.
    for colours in ([(9, 0, 0), (0, 9, 0), (0, 0, 9)], greys(0, 0, 0), greys(7, 7, 0)):
        path = saved(tmp_path / "c.png", palette(IDS, *colours))
        assert mask_of(read_as(path, THREE)) == (IDS.tolist(), [])


def test_palettes_of_voc_that_were_sorted_anew(tmp_path):
    table = LabelMap([str(id_) for id_ in range(21)], {id_: id_ for id_ in range(21)})
    own = [tuple(colour_of(id_).to_bytes(3)) for id_ in range(256)]
    assert own[1] == (128, 0, 0) and own[2] == (0, 128, 0)  # by VOC's development kit
    path = saved(tmp_path / "m.png", palette(IDS, *own))
    assert mask_of(read_voc(path, table)) == (IDS.tolist(), [])
    path = saved(tmp_path / "n.png", palette(np.uint8([1, 0, 2])[IDS], own[1], own[0], own[2]))
    assert "stores the ids [0, 1, 2], but its palette has VOC's colours of [1, 0, 2]" in refused(
        read_voc, path, table
    )
    some = LabelMap(["ground", "cat", "dog"], {0: 0, 15: 1, 20: 2})
    path = saved(tmp_path / "o.png", palette(IDS, own[0], own[15], own[20]))
    assert mask_of(read_voc(path, some)) == (IDS.tolist(), [SORTED])


SQUARE = np.zeros((32, 48), np.uint8)
SQUARE[5:23, 6:33] = 1


@pytest.mark.parametrize(("ending", "options"), [("jpg", {"quality": 90}), ("webp", {}),
                                                 ("jpeg", {"quality": 60})])  # fmt: skip
def test_lossy_files_of_distant_values(tmp_path, ending, options):
    """Each pixel is right or void, and almost all are right."""
    path = saved(tmp_path / f"m.{ending}", SQUARE * 255, **options)
    stored = np.array(Image.open(path).convert("L"))
    changed = int((stored != SQUARE * 255).sum())
    assert changed > 0
    red = np.dstack([SQUARE * 255, SQUARE * 0, SQUARE * 0])
    for label_map, image in ((LEVEL, SQUARE * 255), (COLOURS, red)):
        saved(path, image, **options)
        made = read_as(path, label_map)
        assert ((made.mask == SQUARE) | (made.mask == -1)).all()
        assert (made.mask == SQUARE).mean() > 0.8
        (note,) = made.notes
        assert "whose compression changed values: they were put right to the nearest" in note.text
    saved(path, SQUARE * 255, **options)
    if ending != "webp":  # which Pillow stores as colour
        assert read_as(path, LEVEL).notes[0].pixels == changed


def test_lossy_files_of_close_values(tmp_path):
    """Artefacts between 0 and 4 would be read as the classes between them."""
    near = LabelMap(list("abcde"), {value: value for value in range(5)})
    path = saved(tmp_path / "m.jpg", SQUARE * 4, quality=95)
    message = f"{path} is a JPEG, which changes values of a mask"
    assert refused(read_as, path, near) == (
        f"{message}, and its classes are only 1 apart: save it as PNG"
    )
    assert refused(read_ids, path) == refused(read_colours, path) == f"{message}: save it as PNG"
    path = saved(tmp_path / "flat.jpg", SQUARE * 0)
    assert mask_of(read_as(path, near)) == ((SQUARE * 0).tolist(), [])
    lossless = saved(tmp_path / "m.webp", SQUARE * 4, lossless=True)
    assert mask_of(read_as(lossless, near)) == ((SQUARE * 4).tolist(), [])


def test_masks_of_several_frames(tmp_path):
    for ending in ("png", "tif", "gif"):
        other = [Image.fromarray(2 - IDS)]
        path = saved(tmp_path / f"m.{ending}", IDS, save_all=True, append_images=other)
        assert mask_of(read_as(path, THREE)) == (IDS.tolist(), [FRAMES])


def imported(tmp_path, masks: list[np.ndarray], *options):
    source = tmp_path / "source"
    for number, mask in enumerate(masks):
        for folder, values in (("images", np.full((*mask.shape, 3), number * 9)), ("masks", mask)):
            (source / folder).mkdir(parents=True, exist_ok=True)
            saved(source / folder / f"{number}.png", values.astype(np.uint8))
    (source / "classes.txt").write_text("ground\ncat\n")
    args = import_options("folder").parse_args([str(source), str(tmp_path / "out"), *options])
    account = import_source("folder", args, {}, SplitOptions(val=0.5))
    print(*account.notes, sep="\n")
    dataset = read_dataset(tmp_path / "out")
    pairs = [pair for split in ("train", "val") for pair in dataset.pairs(split)]
    return {mask.stem: np.array(Image.open(io.BytesIO(mask.read_bytes()))) for _, mask in pairs}


def test_white_masks_do_not_become_void(tmp_path, capsys):
    """255 is void in a list of names: a set in which it is all there is besides 0 is refused."""
    message = refused(imported, tmp_path, [BINARY * 255, BINARY[::-1] * 255])
    assert message == f"every mask {VOID_ALONE}"
    assert not (tmp_path / "out").exists()
    found = imported(tmp_path, [BINARY * 255] * 2, "--values", "0=ground", "255=cat")
    assert all(np.array_equal(mask, BINARY) for mask in found.values())
    capsys.readouterr()
    found = imported(tmp_path / "mixed", [BINARY * 255, BINARY])
    assert np.array_equal(found["0"], BINARY * 255) and np.array_equal(found["1"], BINARY)
    assert f"masks/0.png {VOID_ALONE}\n" in capsys.readouterr().out
