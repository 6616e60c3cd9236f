"""labelme, compared with its own conversion and by hand."""

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image
from sources import SOURCES, mask_of, photo, read_source, real_data, text


def test_labelme_equals_its_own_conversion():
    """labelme's .npy of the same images, with -1 for ignore; Pillow may differ by a pixel."""
    source = real_data("labelme") / "semantic_segmentation"
    labels = ("--classes", str(source / "labels.txt"))
    found = read_source("labelme", source / "data_annotated", *labels)
    assert found.classes[:2] == ["background", "aeroplane"]
    for item in found.items:
        path = source / "data_dataset_voc/SegmentationClassNpy" / f"{item.stem}.npy"
        wanted = np.load(path)
        assert (mask_of(item) != wanted).sum() <= 1
    assert len(found.items) == 3


def test_labelme_shapes(tmp_path):
    """The outline belongs to a shape: both ends of a rectangle are included."""
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
    found = read_source("labelme", tmp_path)
    assert found.classes == ["background", "box", "patch"]
    mask = mask_of(found.items[0])
    assert (mask[3:7, 2:11] == 1).all() and mask[2, 2] == mask[7, 2] == mask[3, 11] == 0
    assert mask[15:17, 20:22].tolist() == [[0, 2], [2, 2]]
    assert mask[5, 16] == mask[3, 18] == mask[7, 18] == 1 and mask[5, 15] == mask[3, 16] == 0


def labelme_mask(folder, **shape):
    """The mask of an image 20 x 24 with one shape in it."""
    return labelme_drawn(folder, **shape).mask


def labelme_drawn(folder, **shape):
    photo(folder / "a.png", 0)
    tree = {"shapes": [{"label": "cat", **shape}], "imagePath": "a.png"}
    text(folder / "a.json", json.dumps(tree))
    return read_source("labelme", folder).items[0].mask()


def test_labelme_lines_have_round_joints(tmp_path):
    """Lines are 10 wide: pixels closer than 5 to the joint at x 14, y 6 are covered."""
    strip = [[4, 6], [14, 6], [14, 18]]
    mask = labelme_mask(tmp_path, shape_type="linestrip", points=strip)
    assert mask[3, 17] == 1 and mask[2, 18] == 0  # at distances 4.2 and 5.7
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
        ([[20.4, 14.6], [22.7, 16.2]], (15, 17), (20, 23)),  # rounded; the size is that of the PNG
        ([[20, 15], [20, 15]], (15, 16), (20, 21)),  # a box smaller than the PNG crops it
        ([[-1, 19], [1, 20]], (19, 20), (0, 2)),  # beyond the image
        ([[24, 30], [26, 31]], (0, 0), (0, 0)),
    ],
)
def test_labelme_small_masks_are_placed_as_by_labelme(tmp_path, points, rows, columns):
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
        ({"points": [[1, 2], [3, 4]]}, "needs at least 3 points but has 2"),
        ({"points": [[1, 2]], "shape_type": "circle"}, "a circle needs 2 points but has 1"),
        ({"points": [[1, 2]] * 2, "shape_type": "mask", "mask": "?"}, "not a PNG in base64"),
        ({"points": [[1, 2]] * 3, "shape_type": "star"}, "unknown shape_type 'star'"),
    ],
)
def test_labelme_invalid_shapes(tmp_path, shape, why):
    """It costs the shape, not the picture; its box is void."""
    mask, objects, _ = labelme_drawn(tmp_path, **shape)
    assert (objects.read, objects.drawn) == (1, 0)
    (line,) = objects.skipped
    assert why in line and line.startswith(f"{tmp_path}/a.json: ")
    assert set(np.unique(mask)) <= {-1, 0}


def test_labelme_split_is_not_read_from_above_the_source(tmp_path):
    """A folder called train above the source does not count."""
    source = SOURCES["labelme"](tmp_path / "train/set")
    (source / "val").mkdir()
    for ending in (".json", ".jpg"):
        (source / f"a1{ending}").rename(source / f"val/a1{ending}")
    found = read_source("labelme", source)
    assert sorted(str(item.split) for item in found.items) == ["None"] * 3 + ["val"]


def test_labelme_embedded_image_and_paths_outside(tmp_path):
    photo(tmp_path / "secret.png", 1)
    photo(tmp_path / "in/b.png", 0)
    raw = base64.b64encode((tmp_path / "in/b.png").read_bytes()).decode()
    (tmp_path / "in/b.png").rename(tmp_path / "in/c.png")
    for name, tree in {
        "inside": {"imageData": raw, "imagePath": "inside.json"},  # names itself
        "outside": {"imagePath": "../secret.png"},
        "absolute": {"imagePath": str(tmp_path / "secret.png")},
        "nothing": {"imageData": "?"},
        "long": {"imagePath": "9" * 400 + ".png"},
    }.items():
        text(tmp_path / f"in/{name}.json", json.dumps({"shapes": [], **tree}))
    found = read_source("labelme", tmp_path / "in")
    (item,) = found.items
    assert item.image.read_bytes() == (tmp_path / "in/c.png").read_bytes()
    lines = "\n".join(found.broken)
    assert lines.count("is missing in") == 3 and "nothing.json: imageData is not an image" in lines


@pytest.mark.parametrize(
    ("kind", "points"),
    [
        ("rectangle", [[3, 2], [9, 2], [9, 7], [3, 7]]),  # X-AnyLabeling: all corners
        ("rotation", [[3, 2], [9, 2], [9, 7], [3, 7]]),
        ("quadrilateral", [[3, 2], [9, 2], [9, 7], [3, 7]]),
    ],
)
def test_shapes_of_x_anylabeling(tmp_path, kind, points):
    wanted = np.zeros((20, 24), int)
    wanted[2:8, 3:10] = 1
    assert np.array_equal(labelme_mask(tmp_path, shape_type=kind, points=points), wanted)


def test_the_box_of_an_unknown_shape_is_void_below_the_others(tmp_path):
    photo(tmp_path / "a.png", 0)
    shapes = [
        {"label": "cat", "shape_type": "rectangle", "points": [[2, 3], [10, 6]]},
        {"label": "cat", "shape_type": "star", "points": [[8.5, 5], [14, 11.5]]},
        {"label": "__ignore__", "shape_type": "rectangle", "points": [[20, 0], [21, 1]]},
    ]
    text(tmp_path / "a.json", json.dumps({"shapes": shapes, "imagePath": "a.png"}))
    mask, objects, _ = read_source("labelme", tmp_path).items[0].mask()
    wanted = np.zeros((20, 24), int)
    wanted[5:13, 8:15] = -1
    wanted[3:7, 2:11] = 1
    wanted[0:2, 20:22] = -1
    assert np.array_equal(mask, wanted)
    assert objects[:-1] == (3, 1, 0, 1, 0)
    assert objects.skipped == (
        f"{tmp_path}/a.json: unknown shape_type 'star': this shape of 'cat' is not drawn, its "
        "box is void",
    )
