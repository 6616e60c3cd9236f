"""benchmarks.flicker: the share of pixels that change, by hand."""

import numpy as np
import pytest

from benchmarks import flicker

SIZE = (60, 80)


def texture(seed=0, size=SIZE):
    """Noise that DIS can follow, (*size, 3) uint8."""
    import cv2

    rough = np.random.default_rng(seed).integers(0, 256, (size[0] // 4, size[1] // 4, 3))
    return cv2.resize(rough.astype(np.uint8), size[::-1], interpolation=cv2.INTER_CUBIC)


def counted(masks, fields, usable=None):
    count = flicker.Count(3)
    for mask, field in zip(masks, fields, strict=True):
        share = None if field is None else flicker.inside(field) if usable is None else usable
        count.add(flicker.Step(None, mask, field, share), mask)
    return count


@pytest.mark.parametrize("move", [(3, -2), (0.5, 0.25), (-2.5, 1.75)])
def test_a_mask_that_moves_with_the_image_does_not_flicker(move):
    """A half plane, a mask known at every position: class 1 where x + move > 30 and y > 20."""
    x, y = np.moveaxis(flicker.grid(SIZE), -1, 0)
    masks = [((x + n * move[0] > 30) & (y + n * move[1] > 20)).astype(np.uint8) for n in (0, 1)]
    field = flicker.grid(SIZE) + np.float32(move)
    count = counted(masks, [None, field])
    assert count.changed == 0 and count.usable > 0.9 * x.size
    standing = counted(masks, [None, flicker.grid(SIZE)])
    assert standing.changed > 0


def test_a_flipped_block_has_exactly_its_share():
    mask = np.zeros(SIZE, np.uint8)
    mask[:, 40:] = 1
    other = np.roll(mask, 2, 1)  # comes from two pixels further left
    other[10:16, 20:27] = 2
    field = flicker.grid(SIZE) - np.float32([2, 0])
    count = counted([mask, other], [None, field])
    assert (count.changed, count.usable) == (6 * 7, 60 * 78)  # two columns come from outside
    half = np.zeros(SIZE, bool)
    half[:13, 2:] = True
    count = counted([mask, other], [None, field], half)
    assert (count.changed, count.usable) == (3 * 7, 13 * 78)


def test_flow_finds_a_known_movement_and_leaves_out_what_changed():
    image = texture(size=(120, 160))
    moved = np.roll(image, (2, 5), (0, 1))
    moved[40:60, 40:60] = 255, 0, 255
    field, usable = flicker.followed(image, moved)
    found = field - flicker.grid(image.shape[:2])
    assert usable.mean() > 0.7 and not usable[44:56, 44:56].any()
    assert np.abs(np.median(found[usable], 0) - [-5, -2]).max() < 0.1


def test_a_shaken_image_and_its_truth_move_as_stated():
    """Far from edges of the truth no pixel changes class; noise and light change the image."""
    image, truth = texture(size=(160, 200)), np.zeros((160, 200), np.uint8)
    truth[:, 100:] = 1
    steps = list(flicker.shaken(image, truth, 20, np.random.default_rng(0)))
    assert steps[0].image.shape == (112, 152, 3) and steps[0].field is None
    count = counted([step.truth for step in steps], [step.field for step in steps])
    # the truth is of whole pixels, so a pixel beside its edge may change
    assert count.changed / count.usable < 1.5 / 152 and count.usable > 0.95 * count.pixels
    shifts = [np.abs(step.field - flicker.grid((112, 152))).max() for step in steps[1:]]
    assert 0.1 < np.mean(shifts) < 3


def test_driving_moves_the_walls_as_far_as_stated():
    """Half a metre of 8: what is x beside the eye comes from x / (1 + 0.5 * x / (8 * width))."""
    image, truth = texture(size=(160, 200)), np.zeros((160, 200), np.uint8)
    truth[:, 150:] = 1
    steps = list(flicker.driven(image, truth, 5, np.random.default_rng(0), 0.5, 0))
    count = counted([step.truth for step in steps], [step.field for step in steps])
    assert count.changed / count.usable < 1.5 / 200 and count.usable > 0.85 * count.pixels
    row = np.mean([np.diff(step.field[72, :, 0]) for step in steps[1:]], 0)
    beside = 90 / (1 + 0.5 * 90 / (8 * 200))
    assert abs(row[100:190].sum() - beside) < 1.5  # the eye trembles besides


def test_a_way_is_compared_with_the_first():
    """Blinking masks: every pixel changes each time, or half of them."""

    def blinking(rows):
        number = iter(range(9))
        return lambda image: np.pad(
            np.full((rows, 4), next(number) % 2, np.uint8), ((0, 4 - rows), (0, 0))
        )

    image = texture(size=(4, 4))
    still = flicker.grid((4, 4))
    steps = [flicker.Step(image, np.zeros((4, 4), np.uint8), field, np.ones((4, 4), bool))
             for field in (None, still, still)]  # fmt: skip
    ways = {"alone": lambda: blinking(4), "half": lambda: blinking(2)}
    counts = flicker.measure(ways, [steps, steps], ["a", "b"])
    assert [count.changed for count in counts.values()] == [64, 32]
    assert [count.usable for count in counts.values()] == [64, 64]
    assert "50.000% (0.50)" in counts["half"].line("half", counts["alone"], ["a", "b"])
