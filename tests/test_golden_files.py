"""The golden files one by one, with runtimes whose outputs are known."""

import re

import numpy as np
import pytest
from PIL import Image
from tiny_sets import grey, write_set

from cli import Refusal
from export.proof import golden as module
from export.proof.golden import (
    difference,
    golden_faults,
    limited,
    pick_photo,
    read_tensor,
    resize_faults,
    write,
)
from export.proof.outputs import RESIZE_TEXTS

SIZE = (2, 3)


class Echo:
    """A runtime whose output is its input; logits of bytes have a scale of 2.

    other: that of the runtime's own kernels. emulated: in float and in half precision.
    """

    def __init__(self, change=lambda outputs: outputs, other=None, emulated=None):
        self.change, self.other = change, other or self
        self.emulated = emulated or {np.float32: self, np.float16: self}

    def run(self, inputs):
        return self.change(inputs)

    def decode(self, outputs):
        return outputs if outputs.dtype == np.float32 else np.float32(outputs) * 2


@pytest.fixture(autouse=True)
def echoes(monkeypatch):
    """`write` is given an Echo instead of a file."""
    monkeypatch.setattr(
        module, "Runtime", lambda echo, xnnpack=True: echo if xnnpack else echo.other
    )
    monkeypatch.setattr(module, "Emulation", lambda echo, kind: echo.emulated[kind])

    def least(made, echo, outputs):
        assert "labels" in made and isinstance(echo, Echo) and outputs.shape[0] == 1
        return 0.001

    monkeypatch.setattr(module, "least_tolerance", least)


def contract(dtype="float32", size=SIZE):
    tensor = {"shape": [1, *size, 3], "dtype": dtype}
    return {
        "input": tensor, "output": {**tensor, "values": "logits"},
        "mean": 127.5, "std": 127.5, "colour_order": "RGB",
        "resize": RESIZE_TEXTS["logits"], "labels": ["a", "b", "c"],
        "golden": limits(0.001, 0.995),
    }  # fmt: skip


def limits(tolerance, agreement):
    """XNNPACK's; the other kinds have none."""
    return {"xnnpack": {"tolerance": tolerance, "pixel_agreement": agreement}}


PHOTO = np.random.default_rng(0).integers(0, 256, (7, 8, 3), np.uint8)


@pytest.mark.parametrize(
    ("photo", "size", "wanted"),
    [
        ((60, 50), (40, 30), (60, 50)),  # as it is
        ((1280, 960), (100, 100), (640, 480)),  # half of it
        ((641, 320), (100, 100), (640, 320)),
        ((640, 640), (100, 100), (640, 640)),
        ((80, 60), (40, 20), (50, 60)),  # 80 would be halved: 1.25 times 40
        ((40, 30), (40, 20), (50, 30)),  # 40 would not be resized
        ((39, 41), (40, 40), (50, 41)),
        ((1600, 400), (320, 100), (400, 160)),  # 640 x 160, of which 640 would be halved
    ],
)
def test_sizes_of_photos_by_hand(photo, size, wanted):
    assert limited(np.zeros((*photo, 3), np.uint8), size).shape == (*wanted, 3)


def test_photos_are_averaged():
    photo = grey([[0, 0, 90] * 640]).repeat(3, 0)
    assert limited(photo, (1, 100)).tolist() == [[[30] * 3] * 640]  # of blocks of 3 x 3


def test_the_photo_on_which_the_least_visible_mistake_is_seen_best(tmp_path, monkeypatch):
    shades = [grey(np.full((5, 5), value)) for value in range(20)]
    masks = [np.zeros((5, 5))] * 20
    dataset = write_set(tmp_path / "set", ["a"], val=list(zip(shades, masks, strict=True)))
    names = [int(path.stem) for path, _ in dataset.pairs("val")][:16]
    shown = {name: {"range": 0.9, "order": 0.01} for name in range(20)}
    shown[names[3]] = {"range": 0.2, "order": 0.3}
    shown[names[9]] = {"range": 0.2, "order": 0.9}  # as good, but later
    shown[names[4]] = {"range": 0.1, "order": 0.9}
    late = next(name for name in range(20) if name not in names)
    shown[late] = {"range": 0.9, "order": 0.9}  # the seventeenth or later is not looked at
    asked = []

    def mistakes(made, runtime, photo):
        assert made == contract() and runtime == "runtime"
        asked.append(int(photo[0, 0, 0]))
        return shown[asked[-1]]

    monkeypatch.setattr(module, "mistakes", mistakes)
    photo, found = pick_photo(contract(), "runtime", dataset)
    assert asked == names and found == {"range": 0.2, "order": 0.3}
    assert photo.shape == (5, 5, 3) and photo.max() == photo.min() == names[3]


@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_what_is_written(tmp_path, dtype):
    entry = write(tmp_path / "golden", contract(dtype), Echo(), PHOTO)
    stored = {path.name: path for path in (tmp_path / "golden").iterdir()}
    assert {f"golden/{name}" for name in stored} == set(module.FILES) and len(stored) == 7
    image = np.array(Image.open(stored["image.png"]))
    assert image.shape == (*SIZE, 3)
    assert np.array_equal(np.array(Image.open(stored["photo.png"])), PHOTO)
    tensor = np.fromfile(stored["input.bin"], dtype).reshape(*SIZE, 3)
    wanted = image if dtype == "uint8" else (np.float32(image) - 127.5) / 127.5
    assert tensor == pytest.approx(wanted, abs=1e-6)
    assert stored["output.bin"].read_bytes() == stored["input.bin"].read_bytes()
    # The photo has the size of the image once it is prepared, and both are made of the same pixels.
    assert stored["photo_input.bin"].read_bytes() == stored["input.bin"].read_bytes()
    assert np.array_equal(np.array(Image.open(stored["mask.png"])), image.argmax(-1))
    assert np.array(Image.open(stored["photo_mask.png"])).shape == PHOTO.shape[:2]
    assert entry == {
        kind: {"tolerance": 0.001, "pixel_agreement": 0.995, "measured": how}
        for kind, how in module.MEASURED.items()
    }


@pytest.fixture(params=["float32", "uint8"])
def golden(request, tmp_path):
    """(folder, its contract)"""
    made = contract(request.param)
    made["golden"] = write(tmp_path / "golden", made, Echo(), PHOTO)
    return tmp_path / "golden", made


def change(path, dtype, at, add):
    values = np.fromfile(path, dtype)
    values[at] = float(values[at]) + add
    values.tofile(path)


def test_sound_files(golden):
    folder, made = golden
    assert golden_faults(folder, made, Echo()) == resize_faults(folder, made, Echo()) == []
    made["golden"] = limits(0.0, 1.0)
    assert golden_faults(folder, made, Echo()) == resize_faults(folder, made, Echo()) == []


def test_an_input_that_is_not_the_image(golden):
    folder, made = golden
    change(folder / "input.bin", made["input"]["dtype"], 0, 1)
    change(folder / "output.bin", made["input"]["dtype"], 0, 1)
    faults = golden_faults(folder, made, Echo())
    assert faults[0] == "input.bin is not image.png prepared by the contract"


def test_an_output_that_is_off(tmp_path):
    """By 0.0005 and 0.0015 of the largest logit; 0.001 is allowed."""
    made = contract()
    write(tmp_path / "golden", made, Echo(), PHOTO)
    stored = np.fromfile(tmp_path / "golden/output.bin", np.float32)
    for add, faulty in ((0.0005, False), (0.0015, True), (-0.0015, True), (np.nan, True)):
        wanted = stored.copy()
        wanted[np.argmax(stored)] += add
        wanted.tofile(tmp_path / "golden/output.bin")
        lines = golden_faults(tmp_path / "golden", made, Echo())
        shown = "nan" if add != add else "0.0015"
        said = rf"the output differs from output.bin by {shown}\S*; at most 0.001 is allowed"
        assert (len(lines) > 0) == faulty and (not faulty or re.fullmatch(said, lines[0])), lines


def test_bytes_must_be_equal(tmp_path):
    made = contract("uint8")
    write(tmp_path / "golden", made, Echo(), PHOTO)
    made["golden"] = limits(0.0, 1.0)
    change(tmp_path / "golden/output.bin", np.uint8, 0, 1)
    lines = golden_faults(tmp_path / "golden", made, Echo())
    assert lines[0] == "the output differs from output.bin by 1; at most 0 is allowed"


def test_a_mask_that_is_not_the_output(golden):
    folder, made = golden
    mask = np.array(Image.open(folder / "mask.png"))
    mask[0, 0] = (mask[0, 0] + 1) % 3
    Image.fromarray(mask).save(folder / "mask.png")
    assert golden_faults(folder, made, Echo()) == [
        "mask.png does not have the classes of the largest values of output.bin"
    ]


def test_a_grey_level_of_the_photo_is_allowed(golden):
    """Other programs round in another place."""
    folder, made = golden
    dtype = made["input"]["dtype"]
    level = 1 if dtype == "uint8" else 1 / 127.5
    values = np.fromfile(folder / "photo_input.bin", dtype)
    for at, sign in ((np.argmin(values), 1), (np.argmax(values), -1)):
        for levels, lines in (
            (1, []),
            (2, ["1 values of photo_input.bin differ from photo.png prepared by the contract"]),
        ):
            values.tofile(folder / "photo_input.bin")
            change(folder / "photo_input.bin", dtype, at, sign * levels * level)
            assert resize_faults(folder, made, Echo()) == lines


def test_a_photo_mask_that_is_off(tmp_path):
    """Of 20 x 50 pixels, 5 may be another class; 6 are 99.40 %."""
    made = contract("uint8", (20, 50))
    photo = np.random.default_rng(1).integers(0, 256, (20, 50, 3), np.uint8)
    write(tmp_path / "golden", made, Echo(), photo)
    path = tmp_path / "golden/photo_mask.png"
    right = np.array(Image.open(path))
    for wrong, lines in [
        (5, []),
        (6, ["the mask of photo.png has 99.40% pixel agreement with photo_mask.png; at least "
             "99.50% is needed"]),
    ]:  # fmt: skip
        mask = right.copy()
        mask[0, :wrong] = (mask[0, :wrong] + 1) % 3
        Image.fromarray(mask).save(path)
        assert resize_faults(tmp_path / "golden", made, Echo()) == lines
    for other in (right[:, :49], np.pad(right, ((0, 0), (0, 1)))):
        Image.fromarray(other).save(path)
        (line,) = resize_faults(tmp_path / "golden", made, Echo())
        assert line.startswith("the mask of photo.png has 0.00% pixel agreement")


def test_differences():
    assert difference(np.uint8([0, 250]), np.uint8([3, 251])) == 3  # no byte overflows
    assert difference(np.float32([1, -2]), np.float32([1, 2])) == 4
    assert np.isnan(difference(np.float32([1, np.nan]), np.float32([1, 2])))


def test_tensors_of_another_size(tmp_path):
    (tmp_path / "x.bin").write_bytes(np.float32([1, 2.5, -3]).astype("<f4").tobytes())
    tensor = {"shape": [1, 3], "dtype": "float32"}
    assert read_tensor(tmp_path / "x.bin", tensor).tolist() == [[1, 2.5, -3]]
    for shape in ([1, 4], [1, 2]):
        message = f"{tmp_path / 'x.bin'} has 12 bytes, which is not {shape} float32"
        with pytest.raises(Refusal, match=re.escape(message)):
            read_tensor(tmp_path / "x.bin", {**tensor, "shape": shape})
