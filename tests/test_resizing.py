"""The rules of resizing, by hand on a row of pixels, and a file under each of them."""

import numpy as np
import pytest
from tiny_sets import write_set

from data.resizing import RULES, WHERE
from export.proof import resized
from export.proof.score import miou_by_rule

# 0 30 60 90 120 150 to two pixels. Their centres lie at 1 and 4 of the source: 30 and 120. Without
# a filter only the pixels at 1 and 4 count; averaging takes 0..60 and 90..150. From the corner the
# places are 0 and 3. The antialiased triangle is 3 wide on both sides: weights 3 to 1 of 9 at the
# distances 0, 1, 2, cut off at the edge. Nearest takes floor(i * 3).
ROW = np.repeat(np.uint8([0, 30, 60, 90, 120, 150])[None, :, None], 3, 2)
WANTED = {
    "area": [30, 120],
    "bilinear": [30, 120],
    "bilinear from the corner": [0, 90],
    "bilinear antialiased": [(0 * 2 + 30 * 3 + 60 * 2 + 90) / 8, (60 + 90 * 2 + 120 * 3 + 300) / 8],
    "nearest": [0, 90],
}


@pytest.mark.parametrize("rule", WANTED)
def test_rules_by_hand(rule):
    small = RULES[rule](np.repeat(ROW, 4, 0), (4, 2))
    assert small.shape == (4, 2, 3) and small.dtype == np.uint8
    assert np.abs(small - np.float32(WANTED[rule])[:, None]).max() <= 0.51


@pytest.mark.parametrize("rule", RULES)
def test_a_constant_stays(rule):
    for size in ((5, 7), (40, 31), (16, 20)):
        small = RULES[rule](np.full((16, 20, 3), 77, np.uint8), size)
        assert small.shape == (*size, 3) and (small == 77).all()


def test_each_rule_has_a_place():
    assert RULES.keys() == WHERE.keys()


@pytest.fixture
def dataset(tmp_path):
    """An image of ROW; the left half is of the class a, the right of b."""
    image, mask = np.repeat(ROW, 4, 0), np.repeat([[0, 0, 0, 1, 1, 1]], 4, 0)
    return write_set(tmp_path / "set", ["a", "b"], train=[(image, mask)], val=[(image, mask)] * 3)


def bright(image):
    """Logits: b where the byte is above 10."""
    return np.stack([0 * image[..., 0], image[..., 0] * 127.5 + 117.5], -1)


def test_miou_by_rule_by_hand(dataset):
    """Of WANTED: what is 30 and 120 is b everywhere, IoU 0 and 1/2. With 0 and 90 the logits of b
    are -10 and 80; between the centres at 1 and 4 they rise through 0 at 1 + 3 / 9, so that columns
    0 and 1 are a: IoU 2/3 and 3/4. The last is the other way round at the left."""
    found = miou_by_rule(bright, dataset, "val", (4, 2), RULES, 3)
    half = (0 + 1 / 2) / 2
    two = (2 / 3 + 3 / 4) / 2
    assert found["area"] == found["bilinear"] == found["bilinear antialiased"] == half
    assert found["nearest"] == found["bilinear from the corner"] == pytest.approx(two)


def test_at_most_some_images_are_judged(dataset, monkeypatch):
    seen = []
    monkeypatch.setattr(resized, "RULES", {"area": lambda *_: seen.append(1) or RULES["area"](*_)})
    assert resized.resize_figures(bright, dataset, "val", (4, 2))["resize_images"] == len(seen) == 3
    monkeypatch.setattr(resized, "IMAGES", 2)
    assert resized.resize_figures(bright, dataset, "val", (4, 2))["resize_images"] == 2
    assert len(seen) == 5
