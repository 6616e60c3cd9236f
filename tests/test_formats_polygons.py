"""Formats of shapes: COCO, labelme, YOLO and TensorFlow Datasets, against independent readings."""

import base64
import importlib.util
import io
import json
import os
import re
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from mutations import PNG, chunk, chunks
from PIL import Image
from sources import SOURCES, photo, text

from cli import Refusal
from data.__main__ import import_options
from data.formats import module_of
from data.formats.imports import Sharing, write_dataset
from data.formats.polygons import runs, uncompressed
from data.formats.selection import select

SHARED = Path(__file__).parent.parent.parent / "shared" / "data"
HERE = Path("a.json")


def found_in(name, source, *more):
    words = import_options(name).parse_args([str(source), "out", *more])
    return module_of(name).read(source, words)


def genuine(name):
    if not (SHARED / name).exists():
        pytest.skip(f"{SHARED / name} is not here")
    return SHARED / name


@pytest.mark.parametrize("name", ["coco_tiny", "coco_nuts"])
def test_coco_masks_are_pycocotools_own(name):
    """Every pixel is of the smallest annotation that covers it, by pycocotools' annToMask."""
    from pycocotools.coco import COCO

    source = genuine(name)
    found = found_in("coco", source)
    masks = {item.image.name: item.mask() for item in found.items}
    seen = 0
    for path in sorted(source.rglob("*.json")):
        truth = COCO(str(path))
        names = {c["id"]: c["name"] for c in truth.loadCats(truth.getCatIds())}
        for image in truth.loadImgs(truth.getImgIds()):
            wanted = np.zeros((image["height"], image["width"]), int)
            drawn = [(truth.annToMask(a), a) for a in truth.imgToAnns[image["id"]]]
            for area, entry in sorted(drawn, key=lambda d: (not d[1]["iscrowd"], -int(d[0].sum()))):
                id_ = -1 if entry["iscrowd"] else found.classes.index(names[entry["category_id"]])
                wanted[area > 0] = id_
            assert np.array_equal(masks[Path(image["file_name"]).name], wanted)
            seen += 1
    assert seen == len(found.items) > 10
    assert found.broken == [] and found.classes[0] == "background"


def test_coco_splits_by_the_files_names():
    found = found_in("coco", genuine("coco_tiny"))
    assert sorted(item.split for item in found.items) == ["train"] * 22 + ["val"] * 14


def test_coco_by_hand(tmp_path):
    """A polygon, a crowd's runs below it, and categories whose ids have gaps."""
    found = found_in("coco", SOURCES["coco"](tmp_path))
    assert found.classes == ["background", "cat", "dog"]
    mask = found.items[0].mask()
    wanted = np.zeros((20, 24), int)
    # 200 pixels left out column by column, 40 of the crowd: columns 10 and 11.
    wanted[:, 10:12] = -1
    wanted[2:12, 1:9] = 1
    assert np.array_equal(mask, wanted)


def test_compressed_runs_are_those_of_pycocotools():
    from pycocotools import mask

    rng = np.random.default_rng(0)
    for _ in range(50):
        area = np.asfortranarray(rng.random((37, 23)) < rng.random() ** 2, np.uint8)
        text_ = mask.encode(area)["counts"].decode()
        back = runs({"size": [37, 23], "counts": text_}, (37, 23), HERE)
        assert np.array_equal(mask.decode(back), area)
    assert uncompressed("0", HERE) == [0]


@pytest.mark.parametrize(
    ("counts", "why"),
    [
        ([400, 81], "runs of 481 pixels, the image has 480"),
        ([500, -20], "no list of numbers"),
        (["480"], "no list of numbers"),
        ("oooooooooooo", "damaged"),
        ("5", "runs of 5 pixels"),
        (None, "no list of numbers"),
    ],
)
def test_runs_that_would_write_beyond_the_image(counts, why):
    with pytest.raises(Refusal, match=why):
        runs({"size": [20, 24], "counts": counts}, (20, 24), HERE)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"file_name": "../a1.jpg"}, "leads out of"),
        ({"file_name": "."}, "is no file name"),
        ({"file_name": "/etc/passwd"}, "leads out of"),
        ({"file_name": "none.jpg"}, "the image none.jpg is not there"),
    ],
)
def test_coco_images_that_cannot_be(tmp_path, change, why):
    source = SOURCES["coco"](tmp_path / "in")
    path = source / "annotations/instances_train.json"
    tree = json.loads(path.read_text())
    tree["images"][0] |= change
    path.write_text(json.dumps(tree))
    found = found_in("coco", source)
    assert len(found.items) == 3
    (line,) = found.broken
    assert why in line and "instances_train.json" in line


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"height": 10**9}, "too many"),
        ({"width": "24"}, "no size of an image"),
        ({"height": 10_000, "width": 10_000}, "10000x10000 (HxW), a1.jpg is 20x24"),
    ],
)
def test_coco_sizes_that_a_image_does_not_have(tmp_path, change, why):
    source = changed(tmp_path, lambda tree: tree["images"][0].update(change))
    with pytest.raises(Refusal, match=re.escape(why)):
        found_in("coco", source).items[0].mask()


def changed(folder, change, name="coco"):
    """A sound source whose JSON file `change` has changed."""
    source = SOURCES[name](folder / "in")
    (path,) = source.rglob("*.json")
    tree = json.loads(path.read_text())
    change(tree)
    path.write_text(json.dumps(tree))
    return source


@pytest.mark.parametrize(
    ("segmentation", "why"),
    [
        # 400,000 corners, each across the image: what pycocotools takes 80 bytes a pixel for.
        ([[0, 0, 300, 300] * 100_000], "pixels around"),
        ([[0, 0, 1e9, 0, 0, 1]], "leaves the image by far"),
        ([[0, 0, 1, 0, 0]], "pairs of numbers"),
        ([[[0, 0, 1], [0, 1, 2]]], "pairs of numbers"),
        ([{}], "pairs of numbers"),
        ("x", "neither polygons nor runs"),
    ],
)
def test_coco_polygons_that_are_none(tmp_path, segmentation, why):
    def change(tree):
        tree["annotations"][1]["segmentation"] = segmentation

    with pytest.raises(Refusal, match=why):
        found_in("coco", changed(tmp_path, change)).items[1].mask()


def test_coco_numbers_of_categories_are_each_files_own(tmp_path):
    source = SOURCES["coco"](tmp_path)
    path = source / "annotations/instances_train.json"
    tree = json.loads(path.read_text())
    tree["categories"] = [{"id": 3, "name": "bird"}, {"id": 7, "name": "dog"}]
    for entry in tree["images"]:
        entry["file_name"] = f"val_{entry['file_name']}"
        photo(source / "images" / entry["file_name"], entry["id"])
    path.with_name("instances_val.json").write_text(json.dumps(tree))
    found = found_in("coco", source)
    assert found.classes == ["background", "bird", "cat", "dog"]
    ids = {item.split: np.unique(item.mask()).tolist() for item in found.items[1::4]}
    assert ids == {"train": [0, 2], "val": [0, 1]}


def test_coco_images_of_one_name_in_two_folders(tmp_path):
    """Told by the folder in the name, of the JSON file, or of the split; else refused."""
    category = [{"id": 1, "name": "cat"}]
    for index, folder in enumerate(("train", "val", "other")):
        photo(tmp_path / folder / "a.jpg", index)
    for path, name in {
        "train/_annotations.coco.json": "a.jpg",
        "here/val.json": "a.jpg",
        "here/x.json": "other/a.jpg",
        "here/unsaid.json": "a.jpg",
    }.items():
        images = [{"id": 1, "file_name": name, "height": 20, "width": 24}]
        tree = {"images": images, "annotations": [], "categories": category}
        text(tmp_path / path, json.dumps(tree))
    found = found_in("coco", tmp_path)
    seen = {(item.image.parent.name, item.split) for item in found.items}
    assert seen == {("train", "train"), ("val", "val"), ("other", None)}
    (line,) = found.broken
    assert "unsaid.json: which a.jpg is meant" in line


@pytest.mark.parametrize("name", ["coco", "coco-panoptic"])
def test_a_image_that_two_files_list(tmp_path, name):
    """Neither train nor val has it, and it is said where it is listed; the others are taken."""
    source = SOURCES[name](tmp_path / "in")
    (path,) = source.rglob("*_train.json")
    tree = json.loads(path.read_text())
    val = path.with_name(path.name.replace("train", "val"))
    # val has the first image, which train has too, and the last, which train gives up.
    for file, kept in ((path, {0, 1, 2}), (val, {0, 3})):
        images = [image for image in tree["images"] if image["id"] in kept]
        drawn = [entry for entry in tree["annotations"] if entry["image_id"] in kept]
        file.write_text(json.dumps({**tree, "images": images, "annotations": drawn}))
    if name == "coco-panoptic":
        shutil.copytree(path.with_suffix(""), val.with_suffix(""))
    found = found_in(name, source)
    splits = {item.image.name: item.split for item in found.items}
    assert splits == {"b2.jpg": "train", "c3.jpg": "train", "d4.jpg": "val"}
    (line,) = found.broken
    first = source / "images/a1.jpg"
    assert line.startswith(f"{first} is listed 2 times, in {path} and {val}: leave it in one place")


def test_a_image_that_one_file_lists_twice(tmp_path):
    def change(tree):
        tree["images"].append({**tree["images"][0], "id": 7})

    found = found_in("coco", changed(tmp_path, change))
    assert [item.image.name for item in found.items] == ["b2.jpg", "c3.jpg", "d4.jpg"]
    assert re.search(r"a1.jpg is listed 2 times, in \S+_train.json: leave it", found.broken[0])


def test_coco_annotations_of_other_images_alone(tmp_path):
    def change(tree):
        for image in tree["images"]:
            image["id"] = str(image["id"])

    found = found_in("coco", changed(tmp_path, change))
    assert not found.items and "no annotation is of an image" in found.broken[0]


def test_panoptic_png_much_larger_than_its_image(tmp_path):
    """80 million pixels, which no data but zeros fills: refused before they are decoded."""
    source = SOURCES["coco-panoptic"](tmp_path)
    png = source / "annotations/panoptic_train/d4.png"
    (kind, body), *others = chunks(png.read_bytes())
    parts = [(kind, body[:4] + (3342356).to_bytes(4) + body[8:]), *others]
    png.write_bytes(PNG + b"".join(chunk(*part) for part in parts))
    start = time.process_time()
    with pytest.raises(Refusal, match=r"d4.png is of 3342356x24 \(HxW\), d4.jpg is 20x24"):
        found_in("coco-panoptic", source).items[3].mask()
    assert time.process_time() - start < 1


def test_panoptic_is_an_independent_reading():
    """By PIL: red + 256 green + 65536 blue is the segment's id."""
    source = genuine("coco_panoptic") / "sample_data"
    found = found_in("coco-panoptic", source / "panoptic_examples.json")
    tree = json.loads((source / "panoptic_examples.json").read_text())
    names = {c["id"]: c["name"] for c in tree["categories"]}
    assert len(found.items) == len(tree["annotations"]) == 2
    for item, entry in zip(found.items, tree["annotations"], strict=True):
        png = np.array(Image.open(source / "panoptic_examples" / entry["file_name"]), np.int64)
        ids = png[..., 0] + 256 * png[..., 1] + 65536 * png[..., 2]
        wanted = np.full(ids.shape, -1)
        for segment in entry["segments_info"]:
            if not segment["iscrowd"]:
                wanted[ids == segment["id"]] = found.classes.index(names[segment["category_id"]])
        assert np.array_equal(item.mask(), wanted)


def test_labelme_is_its_own_conversion():
    """labelme's .npy of the same images, -1 for ignore; Pillow's polygons move a pixel."""
    source = genuine("labelme") / "semantic_segmentation"
    labels = ("--classes", str(source / "labels.txt"))
    found = found_in("labelme", source / "data_annotated", *labels)
    assert found.classes[:2] == ["background", "aeroplane"]
    for item in found.items:
        path = source / "data_dataset_voc/SegmentationClassNpy" / f"{item.stem}.npy"
        wanted = np.load(path)
        assert (item.mask() != wanted).sum() <= 1
    assert len(found.items) == 3


def test_labelme_shapes_by_hand(tmp_path):
    """PIL's outlines belong to a shape: both ends of a rectangle count."""
    photo(tmp_path / "a.png", 0)
    small = io.BytesIO()
    Image.fromarray(np.uint8([[0, 1], [1, 1]]) * 255).save(small, "PNG")
    shapes = [
        {"label": "box", "shape_type": "rectangle", "points": [[10, 6], [2, 3]]},
        {"label": "patch", "shape_type": "mask", "points": [[20, 15], [21, 16]],
         "mask": base64.b64encode(small.getvalue()).decode()},
        {"label": "box", "shape_type": "circle", "points": [[18, 5], [18, 7]]},
    ]  # fmt: skip
    text(tmp_path / "a.json", json.dumps({"shapes": shapes, "imagePath": "a.png"}))
    found = found_in("labelme", tmp_path)
    assert found.classes == ["background", "box", "patch"]
    mask = found.items[0].mask()
    assert (mask[3:7, 2:11] == 1).all() and mask[2, 2] == mask[7, 2] == mask[3, 11] == 0
    assert mask[15:17, 20:22].tolist() == [[0, 2], [2, 2]]
    assert mask[5, 16] == mask[3, 18] == mask[7, 18] == 1 and mask[5, 15] == mask[3, 16] == 0


def labelme_mask(folder, **shape):
    """The mask of an image 20 x 24 with one shape in it."""
    photo(folder / "a.png", 0)
    tree = {"shapes": [{"label": "cat", **shape}], "imagePath": "a.png"}
    text(folder / "a.json", json.dumps(tree))
    return found_in("labelme", folder).items[0].mask()


def test_labelme_lines_are_round_where_they_turn(tmp_path):
    """10 wide: what is less than 5 from the turn at x 14, y 6 is covered."""
    strip = [[4, 6], [14, 6], [14, 18]]
    mask = labelme_mask(tmp_path, shape_type="linestrip", points=strip)
    assert mask[3, 17] == 1 and mask[2, 18] == 0  # 4.2 and 5.7 away
    assert mask[6, 4] == mask[18, 14] == 1 and mask[18, 4] == 0


def test_labelme_oriented_rectangle(tmp_path):
    square = [[10, 2], [16, 8], [10, 14], [4, 8]]
    mask = labelme_mask(tmp_path, shape_type="oriented_rectangle", points=square)
    y, x = np.mgrid[:20, :24]
    assert np.array_equal(mask == 1, abs(x - 10) + abs(y - 8) <= 6)


@pytest.mark.parametrize(
    ("points", "rows", "columns"),
    [
        ([[20, 15], [22, 16]], (15, 17), (20, 23)),
        ([[20.4, 14.6], [22.7, 16.2]], (15, 17), (20, 23)),  # rounded; its size is the PNG's
        ([[20, 15], [20, 15]], (15, 16), (20, 21)),  # a box smaller than the PNG crops it
        ([[-1, 19], [1, 20]], (19, 20), (0, 2)),  # beyond the image
        ([[24, 30], [26, 31]], (0, 0), (0, 0)),
    ],
)
def test_labelme_small_masks_are_put_where_labelme_puts_them(tmp_path, points, rows, columns):
    raw = io.BytesIO()
    Image.fromarray(np.full((2, 3), 255, np.uint8)).save(raw, "PNG")
    small = base64.b64encode(raw.getvalue()).decode()
    mask = labelme_mask(tmp_path, shape_type="mask", points=points, mask=small)
    wanted = np.zeros((20, 24), int)
    wanted[slice(*rows), slice(*columns)] = 1
    assert np.array_equal(mask, wanted)


@pytest.mark.parametrize(
    ("shape", "why"),
    [
        ({"points": [[1, 2, 3]] * 4}, "pairs of numbers"),
        ({"points": [[1, 2], [3, 4]]}, "needs 3 points, came 2"),
        ({"points": [[1, 2]], "shape_type": "circle"}, "a circle has 2 points, came 1"),
        ({"points": [[1, 2]] * 2, "shape_type": "mask", "mask": "?"}, "no PNG in base64"),
        ({"points": [[1, 2]] * 3, "shape_type": "cuboid"}, "no shape_type 'cuboid'"),
    ],
)
def test_labelme_shapes_that_are_none(tmp_path, shape, why):
    with pytest.raises(Refusal, match=why):
        labelme_mask(tmp_path, **shape)


def test_labelme_sources_split_is_below_it(tmp_path):
    """A folder above the source that happens to be called so is no split."""
    source = SOURCES["labelme"](tmp_path / "train/set")
    (source / "val").mkdir()
    for ending in (".json", ".jpg"):
        (source / f"a1{ending}").rename(source / f"val/a1{ending}")
    found = found_in("labelme", source)
    assert sorted(str(item.split) for item in found.items) == ["None"] * 3 + ["val"]


def test_labelme_image_inside_and_names_that_leave(tmp_path):
    photo(tmp_path / "secret.png", 1)
    photo(tmp_path / "in/b.png", 0)
    raw = base64.b64encode((tmp_path / "in/b.png").read_bytes()).decode()
    for name, tree in {
        "inside": {"imageData": raw, "imagePath": "inside.json"},  # names itself
        "leaves": {"imagePath": "../secret.png"},
        "absolute": {"imagePath": str(tmp_path / "secret.png")},
        "nothing": {"imageData": "?"},
        "long": {"imagePath": "9" * 400 + ".png"},
    }.items():
        text(tmp_path / f"in/{name}.json", json.dumps({"shapes": [], **tree}))
    found = found_in("labelme", tmp_path / "in")
    (item,) = found.items
    assert item.image.read_bytes() == (tmp_path / "in/b.png").read_bytes()
    lines = "\n".join(found.broken)
    assert lines.count("leads out of") == 2 and "nothing.json: imageData is no image" in lines


def test_yolo_by_hand(tmp_path):
    """Corners are shares of width and height; the smaller polygon lies on top."""
    photo(tmp_path / "images/train/a.jpg", 0)  # 20 x 24
    photo(tmp_path / "images/val/b.jpg", 1)
    whole, part = "0 0 0 1 0 1 1 0 1", "1 0.25 0.1 0.5 0.1 0.5 0.5 0.25 0.5"
    text(tmp_path / "labels/train/a.txt", part, whole)
    text(tmp_path / "data.yaml", "names:", "  0: cat", "  1: dog")
    found = found_in("yolo-seg", tmp_path)
    assert found.classes == ["background", "cat", "dog"]
    wanted = np.ones((20, 24), int)
    wanted[2:10, 6:12] = 2
    assert np.array_equal(found.items[0].mask(), wanted)
    assert not found.items[1].mask().any()
    assert [item.split for item in found.items] == ["train", "val"]


@pytest.mark.parametrize(
    "lines",
    [
        ["train: images/one", "val: images/two"],
        ["path: .", "train: [images/one]", "val: ./images/two"],
        ["path: images", "train: one", "val: two"],
        ["train: ../images/one", "val: ../images/two"],  # as some tools write it
        ["train: one.txt", "val: two.txt"],
        ["path: /home/x/set", "train: images/one", "val: images/two"],
    ],
)
def test_yolo_splits_of_data_yaml(tmp_path, lines):
    for index, folder in enumerate(("one", "two")):
        photo(tmp_path / f"images/{folder}/{folder}.jpg", index)
        text(tmp_path / f"{folder}.txt", f"./images/{folder}/{folder}.jpg")
    photo(tmp_path / "images/test/c.jpg", 2)
    text(tmp_path / "args.yaml", "epochs: 3")
    text(tmp_path / "data.yaml", "names: [cat]", *lines)
    found = found_in("yolo-seg", tmp_path)
    splits = {item.stem: item.split for item in found.items}
    assert splits == {"one": "train", "two": "val", "c": "test"}


@pytest.mark.parametrize("line", ["names: !!int ''", "names: !!bool x", "names: {0: cat, 2: dog}"])
def test_yolo_names_that_are_none(tmp_path, line):
    photo(tmp_path / "images/a.jpg", 0)
    text(tmp_path / "data.yaml", line)
    with pytest.raises(Refusal, match=r"data\.yaml"):
        found_in("yolo-seg", tmp_path)


@pytest.mark.parametrize("name", ["coco", "yolo-seg"])
def test_images_that_exif_turns(tmp_path, name):
    """A dark square on the image as a viewer shows it; COCO counts from the file's own corner,
    YOLO from the corner that is seen. Orientation 6: a quarter turn clockwise."""
    seen = np.full((24, 20, 3), 255, np.uint8)
    seen[2:8, 12:18] = 0
    exif = Image.Exif()
    exif[0x0112] = 6
    (tmp_path / "in/images").mkdir(parents=True)
    for stem in "ab":
        raw = Image.fromarray(np.rot90(seen).copy())
        raw.save(tmp_path / f"in/images/{stem}.png", exif=exif)
    if name == "coco":  # in the file the square is at x 2 to 8, y 20 - 18 to 20 - 12
        images = [
            {"id": i, "file_name": f"{'ab'[i]}.png", "height": 20, "width": 24} for i in (0, 1)
        ]
        drawn = [{"image_id": i, "category_id": 1, "segmentation": [[2, 2, 8, 2, 8, 8, 2, 8]]}
                 for i in (0, 1)]  # fmt: skip
        tree = {"images": images, "annotations": drawn, "categories": [{"id": 1, "name": "dark"}]}
        text(tmp_path / "in/a.json", json.dumps(tree))
    else:
        square = f"0 {12 / 20} {2 / 24} {18 / 20} {2 / 24} {18 / 20} {8 / 24} {12 / 20} {8 / 24}"
        for stem in "ab":
            text(tmp_path / f"in/labels/{stem}.txt", square)
        text(tmp_path / "in/data.yaml", "names: [dark]")
    found = found_in(name, tmp_path / "in")
    write_dataset(found, tmp_path / "out", select(found.classes), Sharing())
    masks = list((tmp_path / "out").rglob("masks/*.png"))
    assert len(masks) == 2
    for path in masks:
        assert np.array_equal(np.array(Image.open(path)) == 1, seen[..., 0] == 0)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_yolo_labels_that_are_a_pipe(tmp_path):
    """Reading one would wait for ever."""
    source = SOURCES["yolo-seg"](tmp_path)
    (source / "labels/train/a1.txt").unlink()
    os.mkfifo(source / "labels/train/a1.txt")
    with pytest.raises(Refusal, match=r"a1\.txt is no file"):
        found_in("yolo-seg", source).items[0].mask()


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("2 0 0 1 0 1 1", "class '2' of 2"),
        ("0 0 0 1 0 1", "5 numbers after the class"),
        ("0 0 0 1 0 1 x", "could not convert"),
        ("0 0 0 1 0 1 nan", "leaves the image by far"),
        ("0 0 0 1 0 1 1e9", "leaves the image by far"),
    ],
)
def test_yolo_lines_that_are_none(tmp_path, line, why):
    photo(tmp_path / "images/a.jpg", 0)
    text(tmp_path / "labels/a.txt", line)
    text(tmp_path / "data.yaml", "names: [cat, dog]")
    with pytest.raises(Refusal, match=why):
        found_in("yolo-seg", tmp_path).items[0].mask()


def test_tfds_that_is_not_installed(tmp_path):
    if importlib.util.find_spec("tensorflow_datasets"):
        pytest.skip("it is installed")
    with pytest.raises(Refusal, match="pip install tensorflow-datasets"):
        found_in("tfds", "oxford_iiit_pet", "--values", "1=pet")


def local_set(tfds, folder, masks, mask_feature):
    """Three images 8 x 10 in the splits train (2) and test (1), and their masks; made by a
    builder of ours, it lies in `folder` as `small`."""
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
    found = found_in("tfds", "small:1.0.0", *values)
    assert found.classes == ["ground", "pet"]
    assert [item.split for item in found.items] == ["train", "train", "test"]
    order = [int(np.where((images == np.array(Image.open(i.image))).all((1, 2, 3)))[0][0])
             for i in found.items]  # fmt: skip
    assert sorted(order) == [0, 1, 2]
    for index, item in zip(order, found.items, strict=True):
        wanted = masks[index, ..., 0].astype(int)
        assert np.array_equal(item.mask(), np.where(wanted == 2, -1, wanted))
    with pytest.raises(Refusal, match=r"no Image 'name'; there are: image \(Image\), name \(Text"):
        found_in("tfds", "small", *values, "--mask", "name")
    with pytest.raises(Refusal, match="--values is missing"):
        found_in("tfds", "small", "--data-dir", str(tmp_path))
    with pytest.raises(Refusal, match="none_such"):
        found_in("tfds", "none_such", *values)


def test_tfds_that_names_its_classes(tmp_path):
    tfds = pytest.importorskip("tensorflow_datasets")
    masks = np.arange(240).reshape(3, 8, 10, 1).astype(np.uint8) % 3
    local_set(tfds, tmp_path, masks, tfds.features.LabeledImage(labels=["ground", "pet", "void"]))
    found = found_in("tfds", "small", "--data-dir", str(tmp_path))
    assert found.classes == ["ground", "pet"]
    assert sorted(np.unique(found.items[0].mask()).tolist()) == [-1, 0, 1]


LABELS = ["ground", "pet", "void"]


@pytest.fixture
def small(tmp_path):
    """(folder of a local set's files, a function that imports it)."""
    tfds = pytest.importorskip("tensorflow_datasets")
    masks = np.arange(240).reshape(3, 8, 10, 1).astype(np.uint8) % 3
    local_set(tfds, tmp_path, masks, tfds.features.LabeledImage(labels=LABELS))

    def imported():
        found = found_in("tfds", "small", "--data-dir", str(tmp_path))
        return write_dataset(found, tmp_path / "out", select(found.classes), Sharing())

    return tmp_path / "small/1.0.0", imported


def turned_byte(raw):
    return raw[:40] + bytes([raw[40] ^ 1]) + raw[41:]


def renamed_field(raw):
    return raw.replace(b'"features"', b'"fzatures"', 1)


def odd_kind(raw):
    return raw.replace(b"features.image_feature.Image", b"features.image_feature.Imige", 1)


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("small-train.tfrecord-00000-of-00001", turned_byte, "train cannot be read.*corrupted"),
        ("small-train.tfrecord-00000-of-00001", lambda raw: raw[:60], "train cannot be read"),
        ("small-test.tfrecord-00000-of-00001", lambda raw: b"x" * 99, "test cannot be read"),
        ("features.json", renamed_field, "small: .*fzatures"),
        ("features.json", lambda raw: raw[:200], "small: "),
        ("features.json", odd_kind, "small: "),
        ("features.json", lambda raw: b"[3]", "small: "),
        ("dataset_info.json", lambda raw: b"{", "small: "),
    ],
)
def test_tfds_with_a_damaged_file(small, tmp_path, name, change, said):
    folder, imported = small
    raw = (folder / name).read_bytes()
    assert change(raw) != raw
    (folder / name).write_bytes(change(raw))
    with pytest.raises(Refusal, match=said):
        imported()
    assert not (tmp_path / "out").exists()


def test_tfds_image_that_is_none_in_a_sound_record(small, tmp_path):
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


def test_tfds_split_that_is_called_like_a_path(small, tmp_path):
    folder, imported = small
    info = folder / "dataset_info.json"
    assert '"name": "train"' in info.read_text()
    info.write_text(info.read_text().replace('"name": "train"', '"name": "../../train"'))
    with pytest.raises(Refusal, match="train cannot be read"):
        imported()
