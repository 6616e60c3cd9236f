"""Several processes and devices: which images each reads, and training that gives the same."""

from itertools import chain

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli import Refusal
from data import batches
from data.dataset import read_dataset
from data.shapes import write_shapes
from segnet import place
from segnet.cluster import Cluster
from segnet.place import Place


@given(st.integers(1, 40), st.integers(1, 4), st.integers(1, 3))
def test_every_image_of_a_batch_has_one_reader(count, processes, each):
    """In order, and no device has more than one image more than it must."""
    members = [Cluster(rank, processes, processes * each) for rank in range(processes)]
    read = [list(range(count)[member.share(count)]) for member in members]
    assert [*chain(*read)] == list(range(count))
    most = -(-count // (processes * each)) * each
    assert max(map(len, read)) <= most


@pytest.mark.parametrize("processes", [1, 2, 3, 4])
def test_an_epoch_over_processes(processes, monkeypatch):
    """13 images in batches of 6: each is seen once an epoch, in the order of one process."""

    class Numbers:
        mirror, classes, colours = None, ["a"], [[0, 0, 0]]

        def pairs(self, split):
            return list(range(13))

    monkeypatch.setattr(batches, "read_pair", lambda pair, _: (pair, pair))
    monkeypatch.setattr(batches, "ids_when_flipped", lambda _: None)
    monkeypatch.setattr(
        batches, "augment", lambda number, *_: (np.full((1, 1, 3), number), np.full((1, 1), number))
    )

    def seen(rank):
        share = Cluster(rank, processes, processes).share
        stream = batches.training_stream(Numbers(), (1, 1), 6, seed=4, share=share)
        found = [stream[step] for step in range(6)]  # two epochs
        assert [count for _, _, count in found] == [4, 4, 5] * 2
        return [masks.ravel().tolist() for _, masks, _ in found]

    steps = [[*chain(*parts)] for parts in zip(*map(seen, range(processes)), strict=True)]
    epochs = [[*chain(*steps[:3])], [*chain(*steps[3:])]]
    assert epochs == [[*batches.order(4, epoch, 13)] for epoch in (0, 1)]
    assert [sorted(epoch) for epoch in epochs] == [list(range(13))] * 2


@pytest.mark.parametrize("processes", [1, 2, 3, 4])
def test_validation_images_have_one_reader(processes, tmp_path):
    """In the batches of one process: seven images in batches of two are three of them and one."""
    write_shapes(tmp_path, train=1, val=7)
    dataset = read_dataset(tmp_path)

    def batches_of(rank, processes):
        part = Cluster(rank, processes, processes).part
        pairs = batches.evaluation_pairs(dataset, "val", (32, 32), 2, part)
        return [[image.name for image, _ in each] for _, _, each in pairs]

    whole = batches_of(0, 1)
    assert [len(each) for each in whole] == [2, 2, 2, 1]
    parts = [batches_of(rank, processes) for rank in range(processes)]
    assert sorted(chain(*parts)) == whole


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"processes": 2, "rank": 2, "coordinator": "a:1"}, "--rank is 2 of --processes 2"),
        ({"processes": 2}, "several processes need --coordinator HOST:PORT"),
        ({"coordinator": "a:1"}, "several processes need --coordinator HOST:PORT"),
        ({"devices": "0"}, "--devices is '0'; needed: all, or a number from 1"),
        ({"devices": "two"}, "--devices is 'two'; needed: all, or a number from 1"),
    ],
)
def test_options_that_cannot_be(options, message):
    with pytest.raises(Refusal, match=message):
        Place(**options)


@pytest.mark.parametrize(
    ("options", "environment", "gpu", "jax", "wanted"),
    [
        ({}, "", False, True, "tensorflow"),
        ({}, "", True, True, "jax"),
        ({}, "", True, False, "tensorflow"),
        ({}, "jax", False, True, "jax"),
        ({"backend": "tensorflow"}, "jax", True, True, "tensorflow"),
        ({"processes": 2, "coordinator": "a:1"}, "", False, True, "jax"),
    ],
)
def test_the_backend(options, environment, gpu, jax, wanted, monkeypatch):
    monkeypatch.setattr(place, "BACKEND", environment)
    monkeypatch.setattr(place, "has_accelerator", lambda: gpu)
    monkeypatch.setattr(place, "find_spec", lambda name: jax or None)
    assert place.choose(Place(**options)) == wanted


def test_tensorflow_trains_in_one_process():
    with pytest.raises(Refusal, match=r"train on jax, not on tensorflow\. Type --backend jax"):
        place.choose(Place("tensorflow", processes=2, coordinator="a:1"))
    with pytest.raises(Refusal, match="train on jax, not on tensorflow"):
        place.choose(Place("tensorflow", devices="2"))
