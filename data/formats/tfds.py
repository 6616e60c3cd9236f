"""Segmentation sets of TensorFlow Datasets, which is not among our requirements."""

from functools import partial
from pathlib import Path

from cli import Refusal
from data.formats import Found, Item
from data.formats.archives import temporary
from data.formats.masks import SPLIT_OF, Meaning, given_values, meaning, read_as

ABOUT = """SOURCE: NAME or NAME/CONFIG or NAME:VERSION of TensorFlow Datasets, with an image and a
mask of class ids. Needs: pip install tensorflow-datasets. It is downloaded once, to --data-dir."""


def add_arguments(parser) -> None:
    parser.add_argument("--image", default="image", metavar="KEY", help="(default image)")
    parser.add_argument(
        "--mask", default="segmentation_mask", metavar="KEY", help="(default segmentation_mask)"
    )
    parser.add_argument(
        "--values", nargs="+", default=(), metavar="N=CLASS",
        help="what the numbers in a mask mean, where the set does not say it; void is not scored",
    )  # fmt: skip
    parser.add_argument(
        "--data-dir", metavar="FOLDER", help="where downloads lie (default: that of the library)"
    )


def read(source: Path, words) -> Found:
    given = given_values(words.values) if words.values else None
    builder = builder_of(str(source), words)
    means = given or named(builder.info.features[words.mask])
    folder, items = temporary(), []
    for name, info in builder.info.splits.items():
        for stem, image, mask in examples(builder, name, info.num_examples, words):
            # Named by number: what a split is called stands in a file and may be a path.
            number = len(items)
            paths = written(folder, f"{number}", image), written(folder, f"{number}_mask", mask)
            ids = partial(read_as, paths[1], means)
            # Its own decoder turns no image: masks are of the images as they lie.
            items.append(Item(stem, paths[0], ids, SPLIT_OF.get(name), turned=False))
    return Found(means.classes, items, [])


def builder_of(source: str, words):
    """The set, downloaded, with both features. Raises Refusal."""
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise Refusal(
            "tensorflow-datasets is not installed. Type: pip install tensorflow-datasets"
        ) from error
    try:
        builder = tfds.builder(source, data_dir=words.data_dir)
        builder.download_and_prepare()
    except Exception as error:  # it meets a damaged file with whatever its libraries raise
        raise Refusal(f"{source}: {said(error)}") from error
    features = builder.info.features
    for key in (words.image, words.mask):
        if key not in features or not isinstance(features[key], tfds.features.Image):
            there = ", ".join(
                f"{name} ({type(features[name]).__name__})" for name in sorted(features)
            )
            raise Refusal(f"{source} has no Image {key!r}; there are: {there}")
    return builder


def said(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__


def named(feature) -> Meaning:
    """What the numbers of a mask mean, as the set itself says it."""
    names = getattr(feature, "names", None)
    if not names:
        raise Refusal("--values is missing: say what the numbers mean, 0=background 1=pet ...")
    return meaning(enumerate(names))


def examples(builder, split: str, count: int, words):
    """(stem, image, mask), both as the files that were packed, bytes."""
    import tensorflow_datasets as tfds
    from tqdm import tqdm

    packed = dict.fromkeys((words.image, words.mask), tfds.decode.SkipDecoding())
    try:
        chosen = tfds.decode.PartialDecoding(dict.fromkeys(packed, True), decoders=packed)
        set_ = tfds.as_numpy(builder.as_dataset(split=split, decoders=chosen))
        for index, example in enumerate(tqdm(set_, split, count, leave=False)):
            yield f"{split}_{index:0{len(str(count))}}", example[words.image], example[words.mask]
    except Exception as error:  # as above
        raise Refusal(
            f"{builder.data_path}: {split} cannot be read: {said(error)}. Replace it, or remove "
            "it to have it downloaded again"
        ) from error


def written(folder: Path, name: str, raw: bytes) -> Path:
    path = folder / (name + (".jpg" if raw.startswith(b"\xff\xd8") else ".png"))
    path.write_bytes(raw)
    return path
