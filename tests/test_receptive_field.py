"""The dilation article's study: its patches, resuming it, and its verdicts."""

import sys

import numpy as np
import pytest

from benchmarks import patches as patching
from benchmarks import receptive_field as study
from benchmarks.receptive_nets import NETS
from cli import Refusal
from data.dataset import read_dataset, write_names
from data.images import read_mask, write_image

# Patches


def test_balanced():
    """Of 30 labels class 7 has only 4, so classes 3 and 5 share 26; class 9 is not wanted."""
    labels = np.repeat([3, 5, 7, 9], [40, 20, 4, 40])
    indices = patching.balanced(labels, [3, 5, 7], 30, np.random.default_rng(0))
    assert np.bincount(labels[indices], minlength=10).tolist() == [0, 0, 0, 13, 0, 13, 0, 4, 0, 0]
    assert len(set(indices)) == 30
    indices = patching.balanced(labels, [3, 5, 7], 3000, np.random.default_rng(0))
    assert indices.tolist() == [*range(64)]


def test_most_frequent():
    counts = np.array([5, 9, 0, 7, 1, 8, 8, 8, 8, 8, 8, 8])
    assert patching.most_frequent(counts).tolist() == [0, 1, 3, 5, 6, 7, 8, 9, 10, 11]
    assert patching.most_frequent(np.array([0, 3, 0, 2])).tolist() == [1, 3]


@pytest.fixture
def folder(tmp_path):
    """A dataset whose red is 20 times the class; class 4 and void are at the edge, 3 is rare."""
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        for name in "ab":
            mask = rng.integers(0, 3, (40, 50), np.uint8)
            mask[:15], mask[:, :15] = 4, 255
            mask[20, 20:23] = 3
            red = np.where(mask == 255, 255, 20 * mask).astype(np.uint8)
            image = np.stack([red, np.zeros_like(red), np.full_like(red, 9)], -1)
            write_image(tmp_path / "set" / split / "images" / f"{name}.png", image)
            write_image(tmp_path / "set" / split / "masks" / f"{name}.png", mask)
    write_names(tmp_path / "set", list("vwxyz"), [[i, i, i] for i in range(5)])
    return tmp_path / "set"


def test_a_patch_has_the_class_of_its_centre(folder):
    patches, classes = patching.read_patches(folder)
    assert classes == 5
    for images, labels in patches.values():
        assert images.shape[1:] == (32, 32, 3) and images.dtype == np.uint8
        assert np.array_equal(images[:, 15, 15, 0], 20 * labels)
        assert (images[..., 2] == 9).all()
        # Each image has room for 9 x 19 patches, and all of them are drawn.
        assert len(labels) == 2 * 9 * 19 and (labels == 3).sum() == 2 * 3
    again, _ = patching.read_patches(folder)
    assert study.digest(again) == study.digest(patches)


def test_patches_are_inside_the_image(folder):
    dataset = read_dataset(folder)
    spots = patching.centres(dataset, "train", [0, 3], 4, np.random.default_rng(0))
    masks = [read_mask(pair[1], dataset) for pair in dataset.pairs("train")]
    assert np.bincount(spots[:, 3]).tolist() == [8, 0, 0, 6]  # at most 2 * 4 / 2 per image
    for number, y, x, class_ in spots:
        assert masks[number][y, x] == class_
        assert 15 <= y <= 40 - 17 and 15 <= x <= 50 - 17


def test_images_smaller_than_a_patch(folder):
    for split in ("train", "val"):
        for name in "ab":
            write_image(folder / split / "images" / f"{name}.png", np.zeros((31, 60, 3), "u1"))
            write_image(folder / split / "masks" / f"{name}.png", np.zeros((31, 60), "u1"))
    with pytest.raises(Refusal, match="set/train has no 32x32 patches of two classes"):
        patching.read_patches(folder)


def record(*labels):
    """A record whose red is the row, green the column and blue 100 plus the label."""
    rows, columns = np.mgrid[:32, :32]
    return bytes(labels) + rows.astype("u1").tobytes() + columns.astype("u1").tobytes() + (
        bytes([100 + labels[-1]]) * 1024
    )  # fmt: skip


def check_cifar(patches, counts):
    for (images, labels), count in zip(patches.values(), counts, strict=True):
        assert len(images) == len(labels) == count
        assert (images[:, 7, :, 0] == 7).all() and (images[:, :, 5, 1] == 5).all()
        assert np.array_equal(images[:, 3, 4, 2] - 100, labels)


def test_cifar_10(tmp_path):
    for number in range(1, 6):
        content = record(number % 2) + record(2) + record(3)
        (tmp_path / f"data_batch_{number}.bin").write_bytes(content)
    (tmp_path / "test_batch.bin").write_bytes(record(1) + record(3) + record(0))
    patches, classes = patching.read_patches(tmp_path)
    assert classes == 4
    check_cifar(patches, (15, 3))
    (tmp_path / "data_batch_3.bin").write_bytes(content[:-1])
    with pytest.raises(Refusal, match=r"data_batch_3.bin has 9218 bytes; needed: a multiple of 30"):
        patching.read_patches(tmp_path)
    (tmp_path / "data_batch_3.bin").unlink()
    with pytest.raises(Refusal, match=r"data_batch_3.bin cannot be read"):
        patching.read_patches(tmp_path)


def test_cifar_100(tmp_path):
    """A record has a coarse and a fine label, of which the fine one is used."""
    (tmp_path / "train.bin").write_bytes(record(9, 0) + record(8, 1) + record(7, 2))
    (tmp_path / "test.bin").write_bytes(record(7, 2) + record(9, 0))
    patches, classes = patching.read_patches(tmp_path)
    assert classes == 3
    check_cifar(patches, (3, 2))


@pytest.mark.parametrize("name", ["meta", "batches.meta"])
def test_pickles_are_refused(tmp_path, name):
    (tmp_path / name).write_bytes(b"cos\nsystem\n")
    with pytest.raises(Refusal, match="Download the binary version"):
        patching.read_patches(tmp_path)


# The study


def row(net, seed, accuracy, right="ff"):
    return {
        "net": net, "seed": seed, "parameters": 25_474, "accuracy": accuracy, "right": right,
        "epoch_seconds": 2.0 + seed,
    }  # fmt: skip


def test_an_interrupted_study_resumes(folder, tmp_path, monkeypatch, capsys):
    trained = []

    def train(net, seed, patches, classes, epochs):
        if (net.name, seed) == stop:
            raise KeyboardInterrupt
        trained.append((net.name, seed))
        return row(net.name, seed, 0.5 + seed / 10, right=43 * "ff")

    def run(*more):
        args = ["--data", folder, "--out", tmp_path / "out", "--nets", "dilated", "plain"]
        monkeypatch.setattr(sys, "argv", ["receptive_field", *map(str, [*args, *more])])
        study.main()

    monkeypatch.setattr(study, "train", train)
    monkeypatch.setattr(study, "announce", lambda *_: None)
    stop = ("dilated", 1)
    with pytest.raises(KeyboardInterrupt):
        run()
    assert trained == [("dilated", 0), ("plain", 0)]
    stop = None
    run()
    assert trained[2:] == [("dilated", 1), ("plain", 1)]
    assert "| dilated | 25,474 | 21 | 55.0 (50.0 to 60.0) | 2 | 2.5 |" in capsys.readouterr().out
    run()
    assert len(trained) == 4
    with pytest.raises(Refusal, match=r"another study: epochs is 40 there, 5 here. Name a new"):
        run("--epochs", "5")
    with pytest.raises(Refusal, match=r"no net 'plian'. Did you mean plain"):
        run("--nets", "plian")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["results.json"]


@pytest.mark.parametrize(
    ("better", "other", "word"),
    [
        ("ffff", "ff00", "holds"),  # 16 and 8 of 16 patches are right
        ("ff00", "ffff", "does not hold"),
        ("fffe", "ffff", "not decided"),
    ],
)
def test_verdict(better, other, word):
    """Where eight of sixteen patches differ, two standard errors are 2 * 0.5 / 4 = 25 points."""
    rows = [
        [row(net, 0, bin(int(bits, 16)).count("1") / 16, bits)]
        for net, bits in (("a", better), ("b", other))
    ]
    verdict = study.verdict(*rows, patches=16)
    assert verdict.startswith(word + ";")
    if word != "not decided":
        sign = "+" if word == "holds" else "-"
        assert verdict.endswith(f"{sign}50.0 points, noise 25.0")


def test_differences_between_seeds_are_noise():
    better = [row("a", 0, 1.0, "ffff"), row("a", 1, 0.0, "0000")]
    other = [row("b", 0, 0.25, "f000"), row("b", 1, 0.25, "f000")]
    verdict = study.verdict(better, other, 16)
    assert verdict.startswith("not decided;") and verdict.endswith("+25.0 points, noise 100.0")


def test_claims_need_both_nets():
    rows = [row("dilated", 0, 0.5, "f0"), row("plain", 0, 0.0, "00"), row("wide", 0, 0.5, "f0")]
    lines = study.verdicts(rows, 8).splitlines()
    assert [line.split(":")[0] for line in lines] == [
        "- A larger receptive field helps",
        "- More channels at the same receptive field help",
    ]
    assert "not decided" in lines[1] and {claim.better for claim in study.CLAIMS} <= set(NETS)
    assert {claim.other for claim in study.CLAIMS} <= set(NETS)
