"""TensorFlow Datasets: local datasets, class names and damaged files."""

import importlib.util

import numpy as np
import pytest
from PIL import Image
from sources import read_source, written

from cli import Refusal


def test_tfds_not_installed(tmp_path):
    if importlib.util.find_spec("tensorflow_datasets"):
        pytest.skip("it is installed")
    with pytest.raises(Refusal, match="pip install tensorflow-datasets"):
        read_source("tfds", "oxford_iiit_pet", "--values", "1=pet")


def local_set(tfds, folder, masks, mask_feature):
    """Writes the TFDS dataset `small` to `folder`: three images of 8x10 pixels and their masks, two
    in the split train and one in test. Returns the images."""
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 10, 3), np.uint8)

    class Small(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            features = {"image": tfds.features.Image(shape=(None, None, 3)),
                        "segmentation_mask": mask_feature,
                        "name": tfds.features.Text()}  # fmt: skip
            features = tfds.features.FeaturesDict(features)
            return tfds.core.DatasetInfo(builder=self, features=features)

        def _split_generators(self, manager):
            return {"train": self.each(0, 2), "test": self.each(2, 3)}

        def each(self, first, last):
            for index in range(first, last):
                example = {"image": images[index], "segmentation_mask": masks[index]}
                yield index, example | {"name": "x"}

        def _generate_examples(self):
            raise NotImplementedError

    Small(data_dir=folder).download_and_prepare()
    return images


def test_tfds_of_a_local_builder(tmp_path):
    tfds = pytest.importorskip("tensorflow_datasets")
    masks = np.arange(240).reshape(3, 8, 10, 1).astype(np.uint8) % 3
    feature = tfds.features.Image(shape=(None, None, 1))
    images = local_set(tfds, tmp_path, masks, feature)
    values = ("--values", "0=ground", "1=pet", "2=void", "--data-dir", str(tmp_path))
    found = read_source("tfds", "small:1.0.0", *values)
    assert found.classes == ["ground", "pet"]
    assert [item.split for item in found.items] == ["train", "train", "test"]
    order = [int(np.where((images == np.array(Image.open(i.image))).all((1, 2, 3)))[0][0])
             for i in found.items]  # fmt: skip
    assert sorted(order) == [0, 1, 2]
    for index, item in zip(order, found.items, strict=True):
        wanted = masks[index, ..., 0].astype(int)
        assert np.array_equal(item.mask(), np.where(wanted == 2, -1, wanted))
    with pytest.raises(
        Refusal, match=r"no Image feature 'name'; its features: image \(Image\), name \(Text"
    ):
        read_source("tfds", "small", *values, "--mask", "name")
    with pytest.raises(Refusal, match="--values is missing"):
        read_source("tfds", "small", "--data-dir", str(tmp_path))
    with pytest.raises(Refusal, match="none_such"):
        read_source("tfds", "none_such", *values)


def test_tfds_with_class_names(tmp_path):
    tfds = pytest.importorskip("tensorflow_datasets")
    masks = np.arange(240).reshape(3, 8, 10, 1).astype(np.uint8) % 3
    local_set(tfds, tmp_path, masks, tfds.features.LabeledImage(labels=["ground", "pet", "void"]))
    found = read_source("tfds", "small", "--data-dir", str(tmp_path))
    assert found.classes == ["ground", "pet"]
    assert sorted(np.unique(found.items[0].mask()).tolist()) == [-1, 0, 1]


LABELS = ["ground", "pet", "void"]


@pytest.fixture
def small(tmp_path):
    """(folder of a local TFDS dataset, function that imports it)."""
    tfds = pytest.importorskip("tensorflow_datasets")
    masks = np.arange(240).reshape(3, 8, 10, 1).astype(np.uint8) % 3
    local_set(tfds, tmp_path, masks, tfds.features.LabeledImage(labels=LABELS))

    def imported():
        found = read_source("tfds", "small", "--data-dir", str(tmp_path))
        return written(found, tmp_path / "out")

    return tmp_path / "small/1.0.0", imported


def flipped_bit(raw):
    return raw[:40] + bytes([raw[40] ^ 1]) + raw[41:]


def renamed_field(raw):
    return raw.replace(b'"features"', b'"fzatures"', 1)


def unknown_feature(raw):
    return raw.replace(b"features.image_feature.Image", b"features.image_feature.Imige", 1)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("small-train.tfrecord-00000-of-00001", flipped_bit, "train cannot be read.*corrupted"),
        ("small-train.tfrecord-00000-of-00001", lambda raw: raw[:60], "train cannot be read"),
        ("small-test.tfrecord-00000-of-00001", lambda raw: b"x" * 99, "test cannot be read"),
        ("features.json", renamed_field, "small: .*fzatures"),
        ("features.json", lambda raw: raw[:200], "small: "),
        ("features.json", unknown_feature, "small: "),
        ("features.json", lambda raw: b"[3]", "small: "),
        ("dataset_info.json", lambda raw: b"{", "small: "),
    ],
)
def test_tfds_with_a_damaged_file(small, tmp_path, name, change, message):
    folder, imported = small
    raw = (folder / name).read_bytes()
    assert change(raw) != raw
    (folder / name).write_bytes(change(raw))
    with pytest.raises(Refusal, match=message):
        imported()
    assert not (tmp_path / "out").exists()


def test_tfds_invalid_image_in_a_valid_record(small, tmp_path):
    import tensorflow as tf

    folder, imported = small
    path = str(folder / "small-train.tfrecord-00000-of-00001")
    records = [tf.train.Example.FromString(r.numpy()) for r in tf.data.TFRecordDataset(path)]
    records[0].features.feature["image"].bytes_list.value[0] = b"no image"
    with tf.io.TFRecordWriter(path) as writer:
        for record in records:
            writer.write(record.SerializeToString())
    (line,) = imported()
    assert "is not an image" in line
    assert sum(1 for _ in (tmp_path / "out").glob("*/images/*")) == 2


def test_tfds_split_named_like_a_path(small, tmp_path):
    folder, imported = small
    info = folder / "dataset_info.json"
    assert '"name": "train"' in info.read_text()
    info.write_text(info.read_text().replace('"name": "train"', '"name": "../../train"'))
    with pytest.raises(Refusal, match="train cannot be read"):
        imported()
