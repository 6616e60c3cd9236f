"""Images and masks of kinds that are not read, or without a partner: told by their true cause."""

import pytest
from sources import SOURCES, photo, read_source, run_import, voc, written
from tool_sources import TOOL_SOURCES

CITY = "train/aachen/aachen_000001_000019"
PAIRS = {
    "voc": ("JPEGImages/b2.jpg", "SegmentationClass/b2.png"),
    "cvat": ("JPEGImages/b2.jpg", "SegmentationClass/b2.png"),
    "cityscapes": (f"leftImg8bit/{CITY}_leftImg8bit.png", f"gtFine/{CITY}_gtFine_labelIds.png"),
    "ade20k": ("images/training/b2.jpg", "annotations/training/b2.png"),
    "camvid": ("b2.png", "b2_L.png"),
    "folder": ("images/b2.png", "masks/b2.png"),
    "matte": ("images/b2.jpg", "masks/b2.png"),
    "roboflow-masks": ("train/b2.jpg", "train/b2_mask.png"),
    "yolo-semantic": ("images/train/b2.jpg", "masks/train/b2.png"),
    "huggingface": ("b2.jpg", "b2_label.png"),
    "separate-masks": ("images/b2.jpg", "masks/b2_cat.png"),
    "coco-panoptic": ("images/b2.jpg", "annotations/panoptic_train/b2.png"),
    "supervisely": ("set/img/b2.jpg",),
    "cvat-xml": ("images/b2.jpg",),
    "coco": ("images/b2.jpg",),
}


@pytest.mark.parametrize("ending", [".dng", ".svg", ".psd", ".npy"])
@pytest.mark.parametrize(
    ("name", "place"), [(name, place) for name, places in PAIRS.items() for place in places]
)
def test_the_kind_is_named_not_an_absence(tmp_path, name, place, ending):
    source = {**SOURCES, **TOOL_SOURCES}[name](tmp_path / "in")
    odd = (source / place).with_suffix(ending)
    (source / place).rename(odd)
    odd.write_bytes(b"<svg/>" * 30)
    account = written(read_source(name, source), tmp_path / "out")
    (told,) = account.broken
    assert f"{odd} is of a kind that is not read: convert it to PNG or JPEG" in told
    assert sum(account.splits.values()) == 3


@pytest.mark.parametrize(("name", "place"), [(n, p[1]) for n, p in PAIRS.items() if p[1:]])
def test_a_missing_mask_is_told(tmp_path, name, place):
    """Another mask of the same image may be left: separate masks are no pairs."""
    source = {**SOURCES, **TOOL_SOURCES}[name](tmp_path / "in")
    (source / place).unlink()
    account = written(read_source(name, source), tmp_path / "out")
    if name == "separate-masks":
        assert account.objects.read == 7
        return
    (told,) = account.broken
    assert "b2" in told or "aachen_000001" in told
    assert "mask" in told or "missing" in told or "has no" in told


@pytest.mark.parametrize(("name", "place"), [(n, p[0]) for n, p in PAIRS.items()])
def test_a_missing_image_is_told(tmp_path, name, place):
    source = {**SOURCES, **TOOL_SOURCES}[name](tmp_path / "in")
    (source / place).unlink()
    broken = written(read_source(name, source), tmp_path / "out").broken
    assert broken and all("b2" in line or "aachen_000001" in line for line in broken)


def test_voc_images_without_a_mask_are_told(tmp_path):
    photo(voc(tmp_path) / "JPEGImages/e5.jpg", 5)
    found = read_source("voc", tmp_path)
    assert found.notes[1:] == ("images that no list names, left out: 1 (e5.jpg)",)
    for path in (tmp_path / "ImageSets/Segmentation").iterdir():
        path.unlink()
    found = read_source("voc", tmp_path)
    assert found.notes[1:] == ("images without a mask, left out: 1 (e5.jpg)",)
    assert run_import("voc", tmp_path, tmp_path / "out").returncode == 0
