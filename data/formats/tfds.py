"""Segmentation sets of TensorFlow Datasets, an optional dependency."""

from functools import partial
from pathlib import Path

from cli import Refusal
from data.formats import Found, Item
from data.formats.archives import temporary
from data.formats.classes import LabelMap, read_as, to_label_map
from data.formats.masks import SPLIT_OF, parse_values
from files import writing

ABOUT = """SOURCE: NAME, NAME/CONFIG or NAME:VERSION of a dataset in TensorFlow Datasets that has an
image and a mask of class ids. It is downloaded once, to --data-dir. Needs: pip install
tensorflow-datasets"""


def add_arguments(parser) -> None:
    parser.add_argument(
        "--image", default="image", metavar="KEY", help="image feature (default image)"
    )
    parser.add_argument(
        "--mask", default="segmentation_mask", metavar="KEY",
        help="mask feature (default segmentation_mask)",
    )  # fmt: skip
    parser.add_argument(
        "--values", nargs="+", default=(), metavar="N=CLASS",
        help="classes of the mask values, if the dataset does not name them; the class void (the "
        "ignore index) is neither trained on nor scored",
    )  # fmt: skip
    parser.add_argument(
        "--data-dir", metavar="FOLDER", help="folder for downloads (default: that of the library)"
    )


def read(source: Path, args) -> Found:
    given = parse_values(args.values) if args.values else None
    builder = builder_of(str(source), args)
    label_map = given or named(builder.info.features[args.mask])
    folder, items = temporary(args.scratch), []
    for name, info in builder.info.splits.items():
        for stem, image, mask in examples(builder, name, info.num_examples, args):
            # Named by number, because split names come from a file and may be paths.
            number = len(items)
            paths = written(folder, f"{number}", image), written(folder, f"{number}_mask", mask)
            ids = partial(read_as, paths[1], label_map)
            # TFDS ignores the EXIF orientation: masks match the images as stored.
            items.append(Item(stem, paths[0], ids, SPLIT_OF.get(name), turned=False))
    return Found(label_map.classes, items, [])


def builder_of(source: str, args):
    """The downloaded dataset. Raises Refusal if it lacks one of the two features."""
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise Refusal(
            "tensorflow-datasets is not installed. Type: pip install tensorflow-datasets"
        ) from error
    try:
        builder = tfds.builder(source, data_dir=args.data_dir)
        builder.download_and_prepare()
    except Exception as error:  # damaged files raise arbitrary exceptions
        raise Refusal(f"{source}: {one_line(error)}") from error
    features = builder.info.features
    for key in (args.image, args.mask):
        if key not in features or not isinstance(features[key], tfds.features.Image):
            features_ = ", ".join(
                f"{name} ({type(features[name]).__name__})" for name in sorted(features)
            )
            raise Refusal(f"{source} has no Image feature {key!r}; its features: {features_}")
    return builder


def one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__


def named(feature) -> LabelMap:
    """The label map from the class names of the dataset. Raises Refusal if it has none."""
    names = getattr(feature, "names", None)
    if not names:
        raise Refusal(
            "--values is missing: name the classes of the mask values, as in 0=background 1=pet"
        )
    return to_label_map(enumerate(names))


def examples(builder, split: str, count: int, args):
    """(stem, image, mask) of each example, the latter two as encoded files, bytes."""
    import tensorflow_datasets as tfds
    from tqdm import tqdm

    undecoded = dict.fromkeys((args.image, args.mask), tfds.decode.SkipDecoding())
    try:
        chosen = tfds.decode.PartialDecoding(dict.fromkeys(undecoded, True), decoders=undecoded)
        set_ = tfds.as_numpy(builder.as_dataset(split=split, decoders=chosen))
        for index, example in enumerate(tqdm(set_, split, count, leave=False, disable=None)):
            yield f"{split}_{index:0{len(str(count))}}", example[args.image], example[args.mask]
    except Exception as error:  # as above
        raise Refusal(
            f"{builder.data_path}: {split} cannot be read: {one_line(error)}. Replace it, or "
            "remove it so that it is downloaded again"
        ) from error


def written(folder: Path, name: str, raw: bytes) -> Path:
    path = folder / (name + (".jpg" if raw.startswith(b"\xff\xd8") else ".png"))
    with writing(path):
        path.write_bytes(raw)
    return path
