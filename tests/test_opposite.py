"""Opposite filters: the cosine similarity by hand, opposite pairs against noise."""

import math

import numpy as np
import pytest

from benchmarks import opposite


def test_most_opposite_by_hand():
    # The columns have angles of 0, 90, 135 and 45 degrees; their lengths do not matter.
    filters = np.array([[2.0, 0.0, -1.0, 1.0], [0.0, 3.0, 1.0, 1.0]])
    half = math.sqrt(0.5)
    assert opposite.most_opposite(filters) == pytest.approx([-half, 0.0, -half, 0.0], abs=1e-12)


def test_opposite_pairs_differ_from_noise():
    noise = np.random.default_rng(1).standard_normal((1, 1, 64, 16))
    layers = {
        "pairs": [np.concatenate([noise, -2 * noise], -1)],
        "noise": [noise],
        "depthwise": [np.ones((3, 3, 8, 1))],
        "norm": [np.ones(8)],
    }
    pairs, alone = opposite.rows(layers)
    assert (pairs["layer"], pairs["inputs"], pairs["filters"]) == ("pairs", 64, 32)
    assert pairs["cosine"] == pytest.approx(-1)
    assert -0.5 < pairs["random"] < -0.1
    assert alone["cosine"] == pytest.approx(alone["random"], abs=0.1)
