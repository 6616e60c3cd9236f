"""benchmarks.resizers: the rules, by hand on a row of pixels."""

import numpy as np
import pytest

from benchmarks.resizers import RULES, WHERE

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
