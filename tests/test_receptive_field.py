"""The dilation article's nets, their patches, and the study that can be stopped."""

import sys

import numpy as np
import pytest

from benchmarks import patches as patching
from benchmarks import receptive_field as study
from benchmarks import receptive_nets as nets
from benchmarks.receptive_nets import NETS, Layer, Net
from cli import Refusal
from data.dataset import read_dataset, write_names
from data.images import read_mask, write_image

TINY = (Layer(4), Layer(6, 5))
LAYOUTS = ("dilated", "strided", "large", "cascade", "depthwise")


@pytest.fixture(scope="module")
def tf_keras():
    from segnet.backend import seed_everything

    seed_everything(0)
    import tf_keras

    return tf_keras


def noise(count):
    return np.random.default_rng(0).uniform(-1, 1, (count, 32, 32, 3)).astype(np.float32)


# Nets


def test_published_parameters():
    counts = {name: nets.parameters(net.layers, 10) for name, net in NETS.items()}
    assert (counts["dilated"], counts["large"]) == (25_474, 172_930)
    assert counts["plain"] == counts["strided"] == counts["dilated"]
    assert counts["cascade"] == pytest.approx(86_404, rel=0.002)  # its layout is not published
    # By hand: six depthwise layers, of 9 weights, bias and norm a channel, on top of the dilated.
    assert counts["depthwise"] == 25_474 + (9 + 3) * (2 * 16 + 24 + 32 + 2 * 48)


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("plain", [3, 5, 7, 9]),
        ("dilated", [3, 7, 13, 21]),
        ("wide", [3, 7, 13, 21]),
        ("large", [3, 7, 13, 21]),
        ("strided", [3, 7, 15, 23]),
        ("cascade", [3, 5, 7, 9, 11, 13, 15, 17, 19, 21]),
        ("depthwise", [3, 5, 7, 9, 11, 13, 15, 17, 19, 21]),
    ],
)
def test_receptive_fields(name, fields):
    layers = NETS[name].layers
    ends = range(1, len(layers) + 1)
    assert [nets.receptive_field(layers[:end]) for end in ends] == fields


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_net_is_what_its_rows_say(tf_keras, name):
    """Its weights are counted, and by the gradient of its logits it sees the square it should."""
    import tensorflow as tf

    model, images = nets.build(NETS[name], 10), tf.constant(noise(4))
    counted = sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
    assert counted == nets.parameters(NETS[name].layers, 10) == nets.nonzero(model)
    with tf.GradientTape() as tape:
        tape.watch(images)
        logits = tf.reduce_sum(model(images)[:, 0])
    seen = np.any(tape.gradient(logits, images).numpy() != 0, axis=(0, 3))
    half = nets.receptive_field(NETS[name].layers) // 2
    for side in (seen.any(0), seen.any(1)):
        assert np.flatnonzero(side).tolist() == [*range(15 - half, 15 + half + 1)]


@pytest.mark.parametrize(("name", "at"), [("dilated", 15), ("strided", 3), ("depthwise", 15)])
def test_the_centre_of_same_padding(tf_keras, name, at):
    """All of the patch with `same` padding, read at the centre: 3 is pixel 15 at stride 4."""
    model = nets.build(NETS[name], 10)
    x = whole = tf_keras.Input((32, 32, 3))
    for layer in model.layers[2:-1]:  # without crop and reshape
        config = layer.get_config()
        padded = {**config, "padding": "same"} if "padding" in config else config
        kind = tf_keras.layers.Conv2D if "Dilated" in type(layer).__name__ else type(layer)
        twin = kind.from_config(padded)
        x = twin(x)
        twin.set_weights(layer.get_weights())
    expected = tf_keras.Model(whole, x)(noise(3))[:, at, at]
    np.testing.assert_allclose(model(noise(3)), expected, atol=1e-4 * np.ptp(expected))


# Sparsity


@pytest.mark.parametrize(("name", "kept"), [("cascade_sparse", 21_601), ("large_sparse", 25_940)])
def test_published_share_is_kept(tf_keras, name, kept):
    """Learnable numbers but for zeros, after tfmot's constant sparsity."""
    trained = nets.sparsified(NETS[name], nets.build(NETS[name], 10), 0)
    trained.model(noise(2), training=True)
    assert nets.nonzero(trained.finish(trained.model)) == kept


def patches_of_two_colours(count):
    labels = np.arange(count) % 2
    images = np.random.default_rng(0).integers(0, 128, (count, 32, 32, 3), np.uint8)
    images[labels == 1, ..., 0] += 128
    return images, labels


COLOURS = {"train": patches_of_two_colours(256), "val": patches_of_two_colours(64)}


def test_training_learns_and_keeps_its_sparsity(tf_keras):
    """tfmot rounds in each of the three layers."""
    row = study.train(Net("tiny", TINY, kept=200), 0, COLOURS, 2, 10)
    assert row["parameters"] == pytest.approx(200, abs=2)
    assert row["accuracy"] > 0.9 and row["seed"] == 0
    right = np.unpackbits(np.frombuffer(bytes.fromhex(row["right"]), np.uint8))
    assert right.mean() == row["accuracy"]


def test_at_most_two_weights_a_kernel(tf_keras):
    net = Net("tiny", TINY, most=2)
    model = nets.build(net, 2)
    trained = nets.sparsified(net, model, dense_steps=1)
    study.compile_model(model, 10)
    for step in range(3):
        model.train_on_batch(noise(8), np.arange(8) % 2)
        trained.after()
        counts = [np.count_nonzero(kernel, axis=(0, 1)) for kernel in nets.kernels(model)[:2]]
        expected = ([9, 25], [2, 2], [2, 2])[step]
        assert [count.min() for count in counts] == [count.max() for count in counts] == expected
    before = nets.kernels(model)[1].numpy()
    model.train_on_batch(noise(8), np.arange(8) % 2)
    moved = nets.kernels(model)[1].numpy()
    trained.after()
    after = nets.kernels(model)[1].numpy()
    assert np.count_nonzero(before) == 2 * 24 < np.count_nonzero(moved)
    left = np.sort(np.abs(moved).reshape(25, 24), axis=0)[-2:]
    assert np.array_equal(np.sort(np.abs(after).reshape(25, 24), axis=0)[-2:], left)


# Patches


def test_balanced():
    """Of 30: class 7 has 4, so classes 3 and 5 share 26; class 9 was not asked for."""
    labels = np.repeat([3, 5, 7, 9], [40, 20, 4, 40])
    places = patching.balanced(labels, [3, 5, 7], 30, np.random.default_rng(0))
    assert np.bincount(labels[places], minlength=10).tolist() == [0, 0, 0, 13, 0, 13, 0, 4, 0, 0]
    assert len(set(places)) == 30
    places = patching.balanced(labels, [3, 5, 7], 3000, np.random.default_rng(0))
    assert places.tolist() == [*range(64)]


def test_most_frequent():
    counts = np.array([5, 9, 0, 7, 1, 8, 8, 8, 8, 8, 8, 8])
    assert patching.most_frequent(counts).tolist() == [0, 1, 3, 5, 6, 7, 8, 9, 10, 11]
    assert patching.most_frequent(np.array([0, 3, 0, 2])).tolist() == [1, 3]


@pytest.fixture
def folder(tmp_path):
    """Images whose red is 20 times the class; 4 and void stand at the edge, 3 is rare."""
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
        # 9 x 19 places an image fit a patch, all are asked for.
        assert len(labels) == 2 * 9 * 19 and (labels == 3).sum() == 2 * 3
    again, _ = patching.read_patches(folder)
    assert study.digest(again) == study.digest(patches)


def test_patches_lie_in_the_image_at_their_pixel(folder):
    dataset = read_dataset(folder)
    spots = patching.centres(dataset, "train", [0, 3], 4, np.random.default_rng(0))
    masks = [read_mask(pair[1], dataset) for pair in dataset.pairs("train")]
    assert np.bincount(spots[:, 3]).tolist() == [8, 0, 0, 6]  # at most 2 x 4 / 2 an image
    for number, y, x, class_ in spots:
        assert masks[number][y, x] == class_
        assert 15 <= y <= 40 - 17 and 15 <= x <= 50 - 17


def test_images_too_small_for_a_patch(folder):
    for split in ("train", "val"):
        for name in "ab":
            write_image(folder / split / "images" / f"{name}.png", np.zeros((31, 60, 3), "u1"))
            write_image(folder / split / "masks" / f"{name}.png", np.zeros((31, 60), "u1"))
    with pytest.raises(Refusal, match="set/train has no 32x32 patches of two classes"):
        patching.read_patches(folder)


def record(*labels):
    """An image whose red tells the row, green the column, blue the label."""
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
    """Coarse and fine label; the fine one counts."""
    (tmp_path / "train.bin").write_bytes(record(9, 0) + record(8, 1) + record(7, 2))
    (tmp_path / "test.bin").write_bytes(record(7, 2) + record(9, 0))
    patches, classes = patching.read_patches(tmp_path)
    assert classes == 3
    check_cifar(patches, (3, 2))


@pytest.mark.parametrize("name", ["meta", "batches.meta"])
def test_pickles_are_refused(tmp_path, name):
    (tmp_path / name).write_bytes(b"cos\nsystem\n")
    with pytest.raises(Refusal, match="Fetch the binary version"):
        patching.read_patches(tmp_path)


# The study


def row(net, seed, accuracy, right="ff"):
    return {
        "net": net, "seed": seed, "parameters": 25_474, "accuracy": accuracy, "right": right,
        "epoch_seconds": 2.0 + seed,
    }  # fmt: skip


def test_a_study_goes_on_where_it_was_stopped(folder, tmp_path, monkeypatch, capsys):
    trained = []

    def train(net, seed, patches, classes, epochs):
        if (net.name, seed) == stop:
            raise KeyboardInterrupt
        trained.append((net.name, seed))
        return row(net.name, seed, 0.5 + seed / 10, right=43 * "ff")

    def run(*more):
        words = ["--data", folder, "--out", tmp_path / "out", "--nets", "dilated", "plain"]
        monkeypatch.setattr(sys, "argv", ["receptive_field", *map(str, [*words, *more])])
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
        ("ffff", "ff00", "holds"),  # 16 and 8 of 16 right
        ("ff00", "ffff", "does not hold"),
        ("fffe", "ffff", "not decided"),
    ],
)
def test_verdict(better, other, word):
    """Eight of sixteen differ: half of them, two standard errors are 2 x 0.5 / 4 = 25 points."""
    shares = [bin(int(bits, 16)).count("1") / 16 for bits in (better, other)]
    rows = [[row(n, 0, s, b)] for n, s, b in zip("ab", shares, (better, other), strict=True)]
    said = study.verdict(*rows, patches=16)
    assert said.startswith(word + ";")
    if word != "not decided":
        sign = "+" if word == "holds" else "-"
        assert said.endswith(f"{sign}50.0 points where 25.0 are noise")


def test_seeds_that_differ_are_noise():
    better = [row("a", 0, 1.0, "ffff"), row("a", 1, 0.0, "0000")]
    other = [row("b", 0, 0.25, "f000"), row("b", 1, 0.25, "f000")]
    assert study.verdict(better, other, 16).startswith("not decided;")
    assert study.verdict(better, other, 16).endswith("+25.0 points where 100.0 are noise")


def test_claims_need_both_nets():
    rows = [row("dilated", 0, 0.5, "f0"), row("plain", 0, 0.0, "00"), row("wide", 0, 0.5, "f0")]
    said = study.judged(rows, 8).splitlines()
    assert [line.split(":")[0] for line in said] == [
        "- A larger receptive field helps", "- More channels on it help"
    ]  # fmt: skip
    assert "not decided" in said[1] and {claim.better for claim in study.CLAIMS} <= set(NETS)
    assert {claim.other for claim in study.CLAIMS} <= set(NETS)
