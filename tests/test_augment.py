"""Every augmentation alone and all together: what holds for any image, mask and seed."""

import dataclasses
import itertools
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cli import Refusal
from data.augment import AUGMENTATIONS, LOOK, MIX, MOVE, augment, chance, cutmix, geometry, warp
from data.batches import training_batches
from data.dataset import read_dataset
from data.images import read_pair, resize
from data.layout import VOID
from data.shapes import write_shapes
from segnet.plan import Plan

ROOT = Path(__file__).parent.parent
SIZE = (32, 48)
names = st.sampled_from([row.name for row in AUGMENTATIONS])
of_kind = {
    kind: [row.name for row in AUGMENTATIONS if row.kind == kind] for kind in (MOVE, LOOK, MIX)
}
seeds = st.integers(0, 2**32 - 1)
sides = st.integers(1, 90)
strengths = st.floats(0, 2)


def blobs(rng, height, width, ids):
    """A mask of coarse squares."""
    cells = np.uint8(ids)[rng.integers(0, len(ids), (-(-height // 9), -(-width // 9)))]
    return cells.repeat(9, 0).repeat(9, 1)[:height, :width]


def random_pair(rng, height, width, ids=(0, 1, 2, VOID)):
    return rng.integers(0, 256, (height, width, 3), np.uint8), blobs(rng, height, width, ids)


@settings(max_examples=300)
@given(names | st.none(), seeds, sides, sides, strengths)
def test_sizes_values_seed_and_nothing_written_to(only, seed, height, width, strength):
    rng = np.random.default_rng(seed)
    pair, other = random_pair(rng, height, width), random_pair(rng, width, height, (3, 4))
    kept = [array.copy() for array in (*pair, *other)]
    results = [
        augment(*pair, np.random.default_rng(seed), SIZE, strength, lambda rng: other, only)
        for _ in range(2)
    ]
    (image, mask), again = results
    assert image.shape == (*SIZE, 3) and mask.shape == SIZE
    assert image.dtype == mask.dtype == np.uint8
    mixed = only in of_kind[MIX] or only is None
    allowed = set(np.unique(pair[1])) | {VOID} | (set(np.unique(other[1])) if mixed else set())
    assert set(np.unique(mask)) <= allowed
    assert np.array_equal(image, again[0]) and np.array_equal(mask, again[1])
    assert all(np.array_equal(a, b) for a, b in zip((*pair, *other), kept, strict=True))


def where_they_part(image, mask, ids, near=2):
    """Where the mask that was fed as image differs from the mask, but for `near` pixels at edges.

    Edges are those of the mask and of void, which also surrounds all: there the image is filled.
    """
    inner = cv2.copyMakeBorder(mask[1:-1, 1:-1], 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=VOID)
    around = np.ones((2 * near + 1, 2 * near + 1))
    edge = cv2.dilate(inner, around) != cv2.erode(inner, around)
    nearest = np.abs(image[..., :1].astype(int) - 60 * np.arange(len(ids))).argmin(-1)
    return (np.array(ids)[nearest] != mask) & (mask != VOID) & ~edge


@settings(max_examples=200)
@given(
    st.sampled_from(of_kind[MOVE] + of_kind[MIX]), seeds, st.integers(30, 90), st.integers(30, 90),
    st.floats(0.1, 2),
)  # fmt: skip
def test_image_and_mask_move_alike(only, seed, height, width, strength):
    rng = np.random.default_rng(seed)
    ids = [0, 1, 2, 3]
    first, second = (blobs(rng, height, width, part) for part in ([0, 1], [2, 3]))
    pairs = [(np.repeat(60 * mask[..., None], 3, -1), mask) for mask in (first, second)]
    moved = augment(*pairs[0], rng, (64, 64), strength, lambda rng: pairs[1], only)
    assert where_they_part(*moved, ids).sum() == 0


def test_the_check_above_sees_a_shift_of_three_pixels():
    mask = blobs(np.random.default_rng(0), 64, 64, [0, 1])
    image = np.repeat(60 * np.roll(mask, 3, 1)[..., None], 3, -1)
    assert where_they_part(image, mask, [0, 1]).sum() > 20


@given(st.sampled_from(of_kind[LOOK]), seeds, strengths)
def test_looks_leave_the_mask(only, seed, strength):
    rng = np.random.default_rng(seed)
    image, mask = random_pair(rng, *SIZE)
    assert np.array_equal(augment(image, mask, rng, SIZE, strength, None, only)[1], mask)


@given(seeds, sides, sides)
def test_strength_0_is_the_plain_resize(seed, height, width):
    rng = np.random.default_rng(seed)
    pair = random_pair(rng, height, width)
    image, mask = augment(*pair, rng, SIZE, 0.0, lambda rng: pytest.fail("a second pair"))
    assert np.array_equal(image, resize(pair[0], SIZE))
    y, x = ((np.arange(to) + 0.5) * of / to for to, of in zip(SIZE, (height, width), strict=True))
    assert np.array_equal(mask, pair[1][y.astype(int)[:, None], x.astype(int)])


@pytest.mark.parametrize("name", [row.name for row in AUGMENTATIONS])
def test_each_does_something(name):
    rng, size = np.random.default_rng(0), (160, 160)
    pair, other = random_pair(rng, *size, (0, 1)), random_pair(rng, *size, (2, 3))
    changed = [
        not np.array_equal(augment(*pair, rng, size, 1.0, lambda rng: other, name)[0], pair[0])
        for _ in range(10)
    ]
    assert sum(changed) > 5


def test_chances_and_strength_one():
    """At 1 no second image is read and nothing happens but what was measured to help."""
    by_name = {row.name: row for row in AUGMENTATIONS}
    assert chance(by_name["flip"], 1.0) == 0.5 and chance(by_name["JPEG"], 1.5) == 0.1
    assert chance(by_name["CutMix"], 1.5) == 0.1
    assert all(chance(row, 0.0) == 0 for row in AUGMENTATIONS)
    happens = {row.name for row in AUGMENTATIONS if chance(row, 1.0) > 0}
    assert happens == {"flip", "rotation", "scale and crop", "colour"}


def test_happening_as_often_as_its_chance():
    rng = np.random.default_rng(0)
    image, mask = np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8), np.uint8)
    read = []
    for _ in range(1000):
        augment(image, mask, rng, (8, 8), 2.0, lambda rng: (read.append(1), (image, mask))[1])
    assert 330 < len(read) < 470  # two of chance 0.2: 400, standard deviation 18


def test_a_flip_by_hand():
    image = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    mask = np.uint8([[0, 1], [2, VOID]])
    rng = np.random.default_rng(0)
    flipped = augment(image, mask, rng, (2, 2), only="flip")
    assert flipped[0].tolist() == [[[3, 4, 5], [0, 1, 2]], [[9, 10, 11], [6, 7, 8]]]
    assert flipped[1].tolist() == [[1, 0], [VOID, 2]]


def test_a_homography_by_hand():
    """(x, y) goes to (x, y) / (1 + x / 8): a pixel at 8 lands at 4."""
    mask = np.zeros((9, 9), np.uint8)
    mask[4, 8] = 1
    _, moved = warp(np.zeros((9, 9, 3), np.uint8), mask, np.array(
        [[1, 0, 0], [0, 1, 0], [1 / 8, 0, 1]], float), (9, 9))  # fmt: skip
    assert moved[2, 4] == 1


def test_a_large_image_is_averaged_and_not_skipped_through():
    """Columns black and white by turns, shrunk 16 times: grey, not either."""
    stripes = np.zeros((64, 512, 3), np.uint8)
    stripes[:, ::2] = 255
    mask = np.zeros((64, 512), np.uint8)
    shift = lambda frame, rng, reach: np.array([[1, 0, 0.3], [0, 1, 0], [0, 0, 1]])  # noqa: E731
    image, _ = geometry(stripes, mask, None, (4, 32), [shift])
    assert image[:, 2:-2].min() > 100 and image[:, 2:-2].max() < 155


@st.composite
def shrinking(draw):
    """An image's (H, W) and a matrix that shrinks it 1 to 20 times, turned or as it lies."""
    shape = draw(st.tuples(st.integers(50, 700), st.integers(50, 700)))
    zoom = max(SIZE) / max(shape) * draw(st.floats(0.7, 1.6))
    angle = draw(st.just(0.0) | st.floats(-0.3, 0.3))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    turn = zoom * turn @ np.diag([draw(st.sampled_from([-1, 1])), 1])
    middle, middle_of_it = ((np.array(sides[::-1]) - 1) / 2 for sides in (SIZE, shape))
    return shape, np.block([[turn, (middle - turn @ middle_of_it)[:, None]], [0, 0, 1]])


@settings(max_examples=100)
@given(shrinking())
def test_a_halved_image_lies_where_the_matrix_says(drawn):
    """Averages and bilinear samples of a ramp are the ramp: each pixel says whence it came."""
    shape, matrix = drawn
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    image, _ = warp(np.dstack([x, y, 0 * x]), np.zeros(shape, np.uint8), matrix, SIZE)
    there = np.mgrid[: SIZE[0], : SIZE[1]].reshape(2, -1)[::-1]
    wanted = (np.linalg.inv(matrix) @ np.vstack([there, there[:1] * 0 + 1]))[:2]
    zoom = np.sqrt(abs(np.linalg.det(matrix[:2, :2])))
    border = 2 / zoom
    inner = ((wanted > border) & (wanted < np.array(shape[::-1])[:, None] - border)).all(0)
    off = image[..., :2].reshape(-1, 2).T - wanted
    assert np.abs(off[:, inner] * zoom).max(initial=0) < 0.06  # of a pixel; OpenCV takes 32nds


@settings(max_examples=100)
@given(shrinking(), seeds)
def test_a_halved_image_and_its_mask_part_by_less_than_a_pixel(drawn, seed):
    """The mask, sampled once, fed as image too: they differ beside edges alone."""
    shape, matrix = drawn
    rng = np.random.default_rng(seed)
    large = -(-max(shape) // 50)
    mask = blobs(rng, *shape, [0, 1]).repeat(large, 0).repeat(large, 1)[: shape[0], : shape[1]]
    image, found = warp(np.repeat(60 * mask[..., None], 3, -1), mask, matrix, SIZE)
    assert set(np.unique(found)) <= {0, 1, VOID}
    assert not where_they_part(image, found, [0, 1], near=1).any()


def test_a_rare_class_stays_in_the_crop_and_grows():
    """Four pixels of ten thousand, in a corner; nothing from outside the image."""
    mask = np.zeros((100, 100), np.uint8)
    mask[2:4, 3:5] = 1
    image = np.zeros((100, 100, 3), np.uint8)
    rng = np.random.default_rng(0)
    crops = [
        augment(image, mask, rng, (100, 100), 2.0, None, "rare class crop")[1] for _ in range(200)
    ]
    assert all((crop == 1).any() and (crop != VOID).all() for crop in crops)
    # A zoom of 2 ** (1.5 u), u even in 0..1: its square is (8 - 1) / ln 8 = 3.37 in the mean.
    assert 3.0 < np.mean([(crop == 1).sum() / 4 for crop in crops]) < 3.8


def test_cutmix_is_a_box():
    rng = np.random.default_rng(1)
    for _ in range(20):
        found = cutmix(np.zeros((20, 30), np.uint8), rng, 1.0)
        y, x = np.nonzero(found)
        assert not len(y) or len(y) == (np.ptp(y) + 1) * (np.ptp(x) + 1)


def test_classmix_lays_whole_classes_on_top():
    mask, other = np.zeros((8, 8), np.uint8), blobs(np.random.default_rng(0), 8, 8, [3])
    other[:4], other[7] = 4, VOID
    image, others = np.zeros((8, 8, 3), np.uint8), np.full((8, 8, 3), 9, np.uint8)
    seen = set()
    for seed in range(20):
        rng = np.random.default_rng(seed)
        mixed = augment(image, mask, rng, (8, 8), 1.0, lambda rng: (others, other), "ClassMix")
        laid = mixed[0][..., 0] == 9
        assert np.array_equal(mixed[1], np.where(laid, other, mask))
        chosen = set(np.unique(mixed[1][laid]))
        assert len(chosen) == 1 and np.array_equal(laid, np.isin(other, list(chosen)))
        seen |= chosen
    assert seen == {3, 4}


@pytest.mark.parametrize("strength", [0.0, 1.0, 2.0])
def test_batches_with_mixing_do_not_depend_on_where_they_start(tmp_path, strength):
    write_shapes(tmp_path / "shapes", train=6, val=2)
    dataset = read_dataset(tmp_path / "shapes")
    batches = training_batches(dataset, (64, 64), 4, seed=3, strength=strength)
    whole = list(itertools.islice(batches, 6))
    for start in (1, 5):
        late = next(training_batches(dataset, (64, 64), 4, 3, start, strength))
        assert all(np.array_equal(a, b) for a, b in zip(whole[start], late, strict=True))
    if strength == 0:
        plain = [resize(read_pair(pair, dataset)[0], (64, 64)) for pair in dataset.pairs("train")]
        seen = np.rint((whole[0][0] + 1) * 127.5).astype(np.uint8)
        assert all(any(np.array_equal(one, other) for other in plain) for one in seen)


@pytest.mark.parametrize("strength", [-0.1, 2.5, float("nan")])
def test_plan_refuses_other_strengths(strength):
    with pytest.raises(Refusal, match=rf"--augment is {strength:g}; needed: 0 to 2"):
        Plan("datasets/x", augment=strength)


def test_a_plan_of_before_has_strength_1():
    old = dataclasses.asdict(Plan("datasets/x"))
    del old["augment"]
    assert Plan(**old).augment == 1.0


def preview(words, folder):
    command = [sys.executable, "-m", "data", "preview", "shapes", *words]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)


def test_preview(tmp_path):
    """Three images in training: a caption and three cells in each half, nine rows."""
    write_shapes(tmp_path / "shapes", train=3, val=1)
    before = sorted(tmp_path.rglob("*"))
    end = preview([], tmp_path)
    assert (end.returncode, end.stdout) == (0, "preview.png\n"), end.stderr
    assert set(tmp_path.rglob("*")) - set(before) == {tmp_path / "preview.png"}
    drawn = cv2.imread(str(tmp_path / "preview.png"), cv2.IMREAD_COLOR_RGB)
    assert drawn.shape[1] == 2 * (132 + 3 * 164) and drawn.shape[0] > 9 * 164
    dataset = read_dataset(tmp_path / "shapes")
    image, mask = read_pair(dataset.pairs("train")[0], dataset)
    background = cv2.resize(mask, (160, 160), interpolation=cv2.INTER_NEAREST_EXACT) == 0
    first = drawn[:160, 132 : 132 + 160]
    assert np.array_equal(first[background], resize(image, (160, 160))[background])
    again = preview([], tmp_path)
    assert again.returncode == 2
    assert "preview.png exists. Name another --out, or add --force" in again.stderr
    assert preview(["--force", "--augment", "0"], tmp_path).returncode == 0
    other = cv2.imread(str(tmp_path / "preview.png"), cv2.IMREAD_COLOR_RGB)
    rows = [other[164 * row : 164 * row + 160, 624 + 132 : 624 + 132 + 160] for row in range(5, 9)]
    assert all(np.array_equal(row, first) for row in rows)  # all together, at strength 0
    beyond = preview(["--augment", "3", "--out", "x.png"], tmp_path)
    assert beyond.returncode == 2 and "--augment is 3; needed: 0 to 2" in beyond.stderr
