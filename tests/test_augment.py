"""Properties of every augmentation, alone and combined, for any image, mask and seed."""

import dataclasses
import itertools

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cli import Refusal
from data.augment import (
    AUGMENTATIONS,
    GEOMETRIC,
    MIXING,
    PHOTOMETRIC,
    augment,
    cutmix,
    geometry,
    probability,
)
from data.batches import training_batches
from data.dataset import read_dataset
from data.images import read_pair, resize
from data.layout import VOID
from data.shapes import write_shapes
from data.warp import warp
from segnet.plan import Plan

SIZE = (32, 48)
names = st.sampled_from([row.name for row in AUGMENTATIONS])
of_kind = {
    kind: [row.name for row in AUGMENTATIONS if row.kind == kind]
    for kind in (GEOMETRIC, PHOTOMETRIC, MIXING)
}
seeds = st.integers(0, 2**32 - 1)
sides = st.integers(1, 90)
strengths = st.floats(0, 2)


def blobs(rng, height, width, ids):
    """A mask (height, width) of coarse random squares."""
    cells = np.uint8(ids)[rng.integers(0, len(ids), (-(-height // 9), -(-width // 9)))]
    return cells.repeat(9, 0).repeat(9, 1)[:height, :width]


def random_pair(rng, height, width, ids=(0, 1, 2, VOID)):
    return rng.integers(0, 256, (height, width, 3), np.uint8), blobs(rng, height, width, ids)


@settings(max_examples=300)
@given(names | st.none(), seeds, sides, sides, strengths)
def test_shapes_values_seed_and_unmodified_inputs(only, seed, height, width, strength):
    rng = np.random.default_rng(seed)
    pair, other = random_pair(rng, height, width), random_pair(rng, width, height, (3, 4))
    copies = [array.copy() for array in (*pair, *other)]
    results = [
        augment(*pair, np.random.default_rng(seed), SIZE, strength, lambda rng: other, only)
        for _ in range(2)
    ]
    (image, mask), again = results
    assert image.shape == (*SIZE, 3) and mask.shape == SIZE
    assert image.dtype == mask.dtype == np.uint8
    mixed = only in of_kind[MIXING] or only is None
    allowed = set(np.unique(pair[1])) | {VOID} | (set(np.unique(other[1])) if mixed else set())
    assert set(np.unique(mask)) <= allowed
    assert np.array_equal(image, again[0]) and np.array_equal(mask, again[1])
    assert all(np.array_equal(a, b) for a, b in zip((*pair, *other), copies, strict=True))


def misaligned(image, mask, ids, near=2):
    """(H, W) bool: where an image made from a mask differs from the mask, except near edges.

    Pixels within `near` pixels of an edge of the mask, of void or of the frame do not count.
    """
    inner = cv2.copyMakeBorder(mask[1:-1, 1:-1], 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=VOID)
    around = np.ones((2 * near + 1, 2 * near + 1))
    edge = cv2.dilate(inner, around) != cv2.erode(inner, around)
    nearest = np.abs(image[..., :1].astype(int) - 60 * np.arange(len(ids))).argmin(-1)
    return (np.array(ids)[nearest] != mask) & (mask != VOID) & ~edge


@settings(max_examples=200)
@given(
    st.sampled_from(of_kind[GEOMETRIC] + of_kind[MIXING]), seeds, st.integers(30, 90),
    st.integers(30, 90), st.floats(0.1, 2),
)  # fmt: skip
def test_image_and_mask_stay_aligned(only, seed, height, width, strength):
    rng = np.random.default_rng(seed)
    ids = [0, 1, 2, 3]
    first, second = (blobs(rng, height, width, part) for part in ([0, 1], [2, 3]))
    pairs = [(np.repeat(60 * mask[..., None], 3, -1), mask) for mask in (first, second)]
    moved = augment(*pairs[0], rng, (64, 64), strength, lambda rng: pairs[1], only)
    assert misaligned(*moved, ids).sum() == 0


def test_misaligned_detects_a_shift_of_three_pixels():
    mask = blobs(np.random.default_rng(0), 64, 64, [0, 1])
    image = np.repeat(60 * np.roll(mask, 3, 1)[..., None], 3, -1)
    assert misaligned(image, mask, [0, 1]).sum() > 20


@given(st.sampled_from(of_kind[PHOTOMETRIC]), seeds, strengths)
def test_photometric_augmentations_keep_the_mask(only, seed, strength):
    rng = np.random.default_rng(seed)
    image, mask = random_pair(rng, *SIZE)
    assert np.array_equal(augment(image, mask, rng, SIZE, strength, None, only)[1], mask)


@given(seeds, sides, sides)
def test_strength_0_only_resizes(seed, height, width):
    rng = np.random.default_rng(seed)
    pair = random_pair(rng, height, width)
    image, mask = augment(*pair, rng, SIZE, 0.0, lambda rng: pytest.fail("a second pair was read"))
    assert np.array_equal(image, resize(pair[0], SIZE))
    y, x = ((np.arange(to) + 0.5) * of / to for to, of in zip(SIZE, (height, width), strict=True))
    assert np.array_equal(mask, pair[1][y.astype(int)[:, None], x.astype(int)])


@pytest.mark.parametrize("name", [row.name for row in AUGMENTATIONS])
def test_each_augmentation_changes_the_image(name):
    rng, size = np.random.default_rng(0), (160, 160)
    pair, other = random_pair(rng, *size, (0, 1)), random_pair(rng, *size, (2, 3))
    changed = [
        not np.array_equal(augment(*pair, rng, size, 1.0, lambda rng: other, name)[0], pair[0])
        for _ in range(10)
    ]
    assert sum(changed) > 5


def test_probabilities():
    """Strength 1 applies only what was measured to help, and never reads a second image."""
    by_name = {row.name: row for row in AUGMENTATIONS}
    assert probability(by_name["flip"], 1.0) == 0.5 and probability(by_name["JPEG"], 1.5) == 0.1
    assert probability(by_name["CutMix"], 1.5) == 0.1
    assert all(probability(row, 0.0) == 0 for row in AUGMENTATIONS)
    applied = {row.name for row in AUGMENTATIONS if probability(row, 1.0) > 0}
    assert applied == {"flip", "rotation", "scale and crop", "colour"}


def test_mixing_frequency():
    rng = np.random.default_rng(0)
    image, mask = np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8), np.uint8)
    read = []
    for _ in range(1000):
        augment(image, mask, rng, (8, 8), 2.0, lambda rng: (read.append(1), (image, mask))[1])
    assert (
        330 < len(read) < 470
    )  # two augmentations of probability 0.2: mean 400, standard deviation 18


def test_a_flip_by_hand():
    image = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    mask = np.uint8([[0, 1], [2, VOID]])
    rng = np.random.default_rng(0)
    flipped = augment(image, mask, rng, (2, 2), only="flip")
    assert flipped[0].tolist() == [[[3, 4, 5], [0, 1, 2]], [[9, 10, 11], [6, 7, 8]]]
    assert flipped[1].tolist() == [[1, 0], [VOID, 2]]


def test_a_homography_by_hand():
    """(x, y) maps to (x, y) / (1 + x / 8), so x = 8 maps to 4."""
    mask = np.zeros((9, 9), np.uint8)
    mask[4, 8] = 1
    _, moved = warp(np.zeros((9, 9, 3), np.uint8), mask, np.array(
        [[1, 0, 0], [0, 1, 0], [1 / 8, 0, 1]], float), (9, 9))  # fmt: skip
    assert moved[2, 4] == 1


def test_downscaling_does_not_alias():
    """Alternating black and white columns, downscaled 16 times, become grey."""
    stripes = np.zeros((64, 512, 3), np.uint8)
    stripes[:, ::2] = 255
    mask = np.zeros((64, 512), np.uint8)
    shift = np.array([[1, 0, 0.3], [0, 1, 0], [0, 0, 1]])
    image, _ = geometry(stripes, mask, None, (4, 32), [lambda frame, rng, magnitude: shift])
    assert image[:, 2:-2].min() > 100 and image[:, 2:-2].max() < 155


@st.composite
def downscaling(draw):
    """The (H, W) of an image and a matrix that downscales it 1 to 20 times, rotated or not."""
    shape = draw(st.tuples(st.integers(50, 700), st.integers(50, 700)))
    zoom = max(SIZE) / max(shape) * draw(st.floats(0.7, 1.6))
    angle = draw(st.just(0.0) | st.floats(-0.3, 0.3))
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = zoom * rotation @ np.diag([draw(st.sampled_from([-1, 1])), 1])
    to_centre, from_centre = ((np.array(sides[::-1]) - 1) / 2 for sides in (SIZE, shape))
    return shape, np.block([[linear, (to_centre - linear @ from_centre)[:, None]], [0, 0, 1]])


@settings(max_examples=100)
@given(downscaling())
def test_halving_keeps_the_position(drawn):
    """Averaging and bilinear sampling preserve a ramp, so its values give the source position."""
    shape, matrix = drawn
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    image, _ = warp(np.dstack([x, y, 0 * x]), np.zeros(shape, np.uint8), matrix, SIZE)
    points = np.mgrid[: SIZE[0], : SIZE[1]].reshape(2, -1)[::-1]
    wanted = (np.linalg.inv(matrix) @ np.vstack([points, points[:1] * 0 + 1]))[:2]
    zoom = np.sqrt(abs(np.linalg.det(matrix[:2, :2])))
    border = 2 / zoom
    inner = ((wanted > border) & (wanted < np.array(shape[::-1])[:, None] - border)).all(0)
    error = image[..., :2].reshape(-1, 2).T - wanted
    assert np.abs(error[:, inner] * zoom).max(initial=0) < 0.06  # pixels; OpenCV uses 1/32


@settings(max_examples=100)
@given(downscaling(), seeds)
def test_halving_keeps_image_and_mask_aligned(drawn, seed):
    """An image made from the mask differs from the warped mask only next to edges."""
    shape, matrix = drawn
    rng = np.random.default_rng(seed)
    large = -(-max(shape) // 50)
    mask = blobs(rng, *shape, [0, 1]).repeat(large, 0).repeat(large, 1)[: shape[0], : shape[1]]
    image, found = warp(np.repeat(60 * mask[..., None], 3, -1), mask, matrix, SIZE)
    assert set(np.unique(found)) <= {0, 1, VOID}
    assert not misaligned(image, found, [0, 1], near=1).any()


def test_rare_class_crop_contains_the_class_enlarged():
    """Four pixels of ten thousand, in a corner; the crop stays inside the image."""
    mask = np.zeros((100, 100), np.uint8)
    mask[2:4, 3:5] = 1
    image = np.zeros((100, 100, 3), np.uint8)
    rng = np.random.default_rng(0)
    crops = [
        augment(image, mask, rng, (100, 100), 2.0, None, "rare class crop")[1] for _ in range(200)
    ]
    assert all((crop == 1).any() and (crop != VOID).all() for crop in crops)
    # The zoom is 2 ** (1.5 u), u uniform in 0..1; its mean square is (8 - 1) / ln 8 = 3.37.
    assert 3.0 < np.mean([(crop == 1).sum() / 4 for crop in crops]) < 3.8


def test_cutmix_is_a_box():
    rng = np.random.default_rng(1)
    for _ in range(20):
        found = cutmix(np.zeros((20, 30), np.uint8), rng, 1.0)
        y, x = np.nonzero(found)
        assert not len(y) or len(y) == (np.ptp(y) + 1) * (np.ptp(x) + 1)


def test_classmix_pastes_whole_classes():
    mask, other = np.zeros((8, 8), np.uint8), blobs(np.random.default_rng(0), 8, 8, [3])
    other[:4], other[7] = 4, VOID
    image, others = np.zeros((8, 8, 3), np.uint8), np.full((8, 8, 3), 9, np.uint8)
    seen = set()
    for seed in range(20):
        rng = np.random.default_rng(seed)
        mixed = augment(image, mask, rng, (8, 8), 1.0, lambda rng: (others, other), "ClassMix")
        pasted = mixed[0][..., 0] == 9
        assert np.array_equal(mixed[1], np.where(pasted, other, mask))
        chosen = set(np.unique(mixed[1][pasted]))
        assert len(chosen) == 1 and np.array_equal(pasted, np.isin(other, list(chosen)))
        seen |= chosen
    assert seen == {3, 4}


@pytest.mark.parametrize("strength", [0.0, 1.0, 2.0])
def test_batches_with_mixing_do_not_depend_on_the_start_step(tmp_path, strength):
    write_shapes(tmp_path / "shapes", train=6, val=2)
    dataset = read_dataset(tmp_path / "shapes")
    batches = training_batches(dataset, (64, 64), 4, seed=3, strength=strength)
    whole = list(itertools.islice(batches, 6))
    for start in (1, 5):
        resumed = next(training_batches(dataset, (64, 64), 4, 3, start, strength))
        assert all(np.array_equal(a, b) for a, b in zip(whole[start], resumed, strict=True))
    if strength == 0:
        plain = [resize(read_pair(pair, dataset)[0], (64, 64)) for pair in dataset.pairs("train")]
        seen = np.rint((whole[0][0] + 1) * 127.5).astype(np.uint8)
        assert all(any(np.array_equal(one, other) for other in plain) for one in seen)


@pytest.mark.parametrize("strength", [-0.1, 2.5, float("nan")])
def test_plan_refuses_invalid_strengths(strength):
    with pytest.raises(Refusal, match=rf"--augment is {strength:g}; needed: (0 to 2|a finite)"):
        Plan("datasets/x", augment=strength)


def test_a_plan_without_augment_has_strength_1():
    old = dataclasses.asdict(Plan("datasets/x"))
    del old["augment"]
    assert Plan(**old).augment == 1.0
