"""Properties for any input: augmentation, mask files, metric, lowering and metadata."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from data.dataset import Dataset
from data.images import read_mask
from data.layout import VOID
from data.warp import warp
from export.graph.deploy import subpixel
from export.tflite.metadata import add_metadata, read_metadata
from segnet.metrics import confusion, scores, to_mask

seeds = st.integers(0, 2**32 - 1)
sides = st.integers(8, 90)


def random_mask(rng, height, width, classes):
    """A mask of coarse random squares of classes and void."""
    ids = np.array([*range(classes), VOID], np.uint8)
    cells = ids[rng.integers(0, len(ids), (-(-height // 6), -(-width // 6)))]
    return cells.repeat(6, 0).repeat(6, 1)[:height, :width]


@given(seeds, sides, sides, st.floats(-20, 20), st.floats(-20, 20))
def test_integer_shift(seed, height, width, right, down):
    """Pixels that leave the frame are lost; pixels that enter it are void."""
    right, down = round(right), round(down)
    mask = random_mask(np.random.default_rng(seed), height, width, 3)
    shift = np.float64([[1, 0, right], [0, 1, down], [0, 0, 1]])
    _, moved = warp(np.zeros((height, width, 3), np.uint8), mask, shift, (height, width))
    wanted = np.full_like(mask, VOID)
    for y in range(height):
        for x in range(width):
            if 0 <= y - down < height and 0 <= x - right < width:
                wanted[y, x] = mask[y - down, x - right]
    assert np.array_equal(moved, wanted)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seeds, sides, sides, st.sampled_from(["L", "P", "1"]), st.integers(2, 200))
def test_mask_files_are_read_as_written(tmp_path, seed, height, width, mode, classes):
    rng = np.random.default_rng(seed)
    classes = 2 if mode == "1" else classes
    ids = rng.integers(0, classes, (height, width), np.uint8)
    image = Image.fromarray(ids * 255).convert("1") if mode == "1" else Image.fromarray(ids)
    if mode == "P":
        image = Image.frombytes("P", (width, height), ids.tobytes())
        image.putpalette(rng.permutation(768).astype(np.uint8).tolist())
    image.save(tmp_path / "mask.png")
    void = classes - 1  # the last id on disk is void
    read = read_mask(tmp_path / "mask.png", Dataset(tmp_path, ["x"] * (classes - 1), [], void))
    assert np.array_equal(read, np.where(ids == void, VOID, ids))


@given(seeds, st.integers(2, 6))
def test_iou_equals_that_of_sets(seed, classes):
    rng = np.random.default_rng(seed)
    truth = random_mask(rng, 20, 30, classes)
    predicted = rng.integers(0, classes, truth.shape, np.uint8)
    names = [str(number) for number in range(classes)]
    found = scores(confusion(truth, predicted, classes), names)
    scored = {tuple(at) for at in np.argwhere(truth != VOID)}
    for number, name in enumerate(names):
        one, two = (
            {tuple(at) for at in np.argwhere(m == number)} & scored for m in (truth, predicted)
        )
        assert found["iou"][name] == (len(one & two) / len(one | two) if one else None)


@given(seeds, sides, sides)
def test_a_mask_at_the_output_size_is_the_argmax(seed, height, width):
    logits = np.random.default_rng(seed).normal(size=(height, width, 4)).astype(np.float32)
    assert np.array_equal(to_mask(logits, (height, width)), logits.argmax(-1))


@given(seeds, st.integers(1, 4), st.integers(1, 4), st.sampled_from([2, 4, 6]))
def test_deconvolution_equals_convolution_and_depth_to_space(seed, cin, cout, kernel):
    """Both are computed in loops from their definitions."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(3, 4, cin))
    weights = rng.normal(size=(kernel, kernel, cout, cin))
    pad = (kernel - 2) // 2
    wanted = np.zeros((6 + 2 * pad, 8 + 2 * pad, cout))
    for i in range(3):
        for j in range(4):  # each input pixel adds its kernel to the output at twice its position
            wanted[2 * i : 2 * i + kernel, 2 * j : 2 * j + kernel] += weights @ x[i, j]
    wanted = wanted[pad : pad + 6, pad : pad + 8]
    small = subpixel(weights)
    side = small.shape[0]
    border = side - 1
    padded = np.pad(x, [(border, border), (border, border), (0, 0)])
    blocks = np.zeros((2 * (3 + border), 2 * (4 + border), cout))
    for i in range(3 + border):
        for j in range(4 + border):
            window = padded[i : i + side, j : j + side]
            block = np.einsum("yxc,yxco->o", window, small).reshape(2, 2, cout)
            blocks[2 * i : 2 * i + 2, 2 * j : 2 * j + 2] = block
    found = blocks[border : border + 6, border : border + 8]
    assert np.allclose(found, wanted)


names = st.text(
    st.characters(blacklist_categories=("Cs", "Cc", "Zl", "Zp")), min_size=1, max_size=20
)


@pytest.fixture(scope="module")
def flatbuffer():
    import keras

    from export.graph.convert import to_tflite

    x = keras.Input((4, 4, 3), batch_size=1)
    return to_tflite(keras.Model(x, keras.layers.Conv2D(2, 1)(x)))


@settings(max_examples=20)
@given(st.lists(names, min_size=2, max_size=5))
def test_labels_in_any_script_survive_the_metadata(flatbuffer, labels):
    packed = add_metadata(flatbuffer, labels)
    assert read_metadata(packed)["labels"] == labels
    assert add_metadata(flatbuffer, labels) == packed
