"""Segment Anything, Ultralytics' semantic layout, Roboflow's masks and Hugging Face's data sets."""

import io
import json

import numpy as np
import pytest
from PIL import Image
from sources import grey, ids, photo, read_source, text
from test_formats_separate import drawn

from cli import Refusal


def test_sam_has_one_class(tmp_path):
    photo(tmp_path / "sa_1.png", 0)
    entries = [{"segmentation": {"size": [20, 24], "counts": counts}}
               for counts in ([0, 20, 460], [20, 10, 450])]  # fmt: skip
    about = {"file_name": "sa_1.png", "width": 24, "height": 20}
    text(tmp_path / "sa_1.json", json.dumps({"image": about, "annotations": entries}))
    found = read_source("sam", tmp_path, "--object", "thing")
    mask, objects = drawn(found)["sa_1"]
    wanted = np.zeros((20, 24), bool)
    wanted[:, 0] = wanted[:10, 1] = True  # column by column
    assert ((mask == "thing") == wanted).all() and objects.drawn == 2


def test_yolo_semantic_values_are_ids(tmp_path):
    photo(tmp_path / "images/train/a.jpg", 0)
    photo(tmp_path / "images/val/b.jpg", 0)
    grey(tmp_path / "masks/train/a.png", ids(0, 0, 1, 255))
    grey(tmp_path / "masks/val/c.png", ids(0, 0, 1, 255))
    text(tmp_path / "data.yaml", "names: {0: background, 1: car}", "masks_dir: masks")
    found = read_source("yolo-semantic", tmp_path)
    assert found.classes == ["background", "car"]
    wanted = ids(0, 0, 1, 255).astype(int)
    wanted[wanted == 255] = -1
    assert (found.items[0].mask() == wanted).all() and found.items[0].split == "train"
    told = "\n".join(found.broken)
    assert "b.jpg has no mask" in told and "c.png has no image" in told


def roboflow(folder, *lines):
    photo(folder / "train/a.jpg", 0)
    grey(folder / "train/a_mask.png", ids(0, 0, 1, 2))
    text(folder / "train/_classes.csv", *lines)
    return folder


def test_roboflow_names_by_value(tmp_path):
    lines = ("Pixel Value, Class", "2, dog", "0, background", '1, "cat, old"')
    found = read_source("roboflow-masks", roboflow(tmp_path, *lines))
    names = np.array(found.classes)
    assert names[found.items[0].mask()][15, 0] == "cat, old"
    assert names[found.items[0].mask()][15, 7] == "dog"
    photo(tmp_path / "train/b.jpg", 0)
    assert "b.jpg has no mask" in read_source("roboflow-masks", tmp_path).broken[0]


@pytest.mark.parametrize("lines", [["0, background"], ["Pixel Value, Class"], ["id,name", "0,x"],
                                   ["Pixel Value, Class", "x, cat"],
                                   ["Pixel Value, Class", "1, cat", "1, dog"]])  # fmt: skip
def test_roboflow_damaged_tables(tmp_path, lines):
    with pytest.raises(Refusal, match=r"_classes\.csv"):
        read_source("roboflow-masks", roboflow(tmp_path, *lines))


def hugging(folder, *rows, columns="file_name,label_file_name"):
    for seed, stem in enumerate("ab"):
        photo(folder / f"train/{stem}.jpg", seed)
        grey(folder / f"train/{stem}_label.png", ids(seed, 0, 1, 2))
    text(folder / "train/metadata.csv", columns, *rows)
    return folder


VALUES = ("--values", "0=ground", "1=cat", "2=dog")


def test_huggingface_csv(tmp_path):
    hugging(tmp_path, "a.jpg,a_label.png", "c.jpg,a_label.png", "../x.jpg,a_label.png")
    found = read_source("huggingface", tmp_path, *VALUES)
    assert found.classes == ["ground", "cat", "dog"]
    assert [(item.stem, item.split) for item in found.items] == [("a", "train")]
    assert (found.items[0].mask() == ids(0, 0, 1, 2)).all()
    assert "row 2 names" in found.broken[0] and "points outside" in found.broken[1]
    with pytest.raises(Refusal, match=r"values in the first mask: 0, 1, 2. Add --values"):
        read_source("huggingface", tmp_path)


def test_huggingface_columns_are_asked_for(tmp_path):
    columns = "file_name,label_file_name,depth_file_name"
    hugging(tmp_path, "a.jpg,a_label.png,b_label.png", columns=columns)
    with pytest.raises(Refusal, match=r"which column is of masks\? Add --mask-column"):
        read_source("huggingface", tmp_path, *VALUES)
    option = ("--mask-column", "depth_file_name")
    (item,) = read_source("huggingface", tmp_path, *VALUES, *option).items
    assert (item.mask() == ids(1, 0, 1, 2)).all()
    with pytest.raises(Refusal, match=r"which column is of images\?"):
        read_source("huggingface", tmp_path, *VALUES, "--image-column", "photo")


def test_huggingface_jsonl(tmp_path):
    hugging(tmp_path)
    (tmp_path / "train/metadata.csv").unlink()
    row = json.dumps({"file_name": "b.jpg", "mask": "b_label.png", "text": "two of them"})
    text(tmp_path / "train/metadata.jsonl", row)
    text(tmp_path / "id2label.json", json.dumps({"0": "ground", "1": "cat", "2": "dog"}))
    found = read_source("huggingface", tmp_path)
    assert (found.items[0].mask() == ids(1, 0, 1, 2)).all() and found.classes[2] == "dog"
    text(tmp_path / "train/metadata.jsonl", row, "[1]")
    with pytest.raises(Refusal, match=r"a line is no object"):
        read_source("huggingface", tmp_path)


def png(pixels) -> bytes:
    raw = io.BytesIO()
    Image.fromarray(pixels).save(raw, "PNG")
    return raw.getvalue()


def test_huggingface_parquet(tmp_path):
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    photos = [np.full((20, 24, 3), value, np.uint8) for value in (10, 200)]
    masks = [ids(seed, 0, 1, 2) for seed in (0, 1)]
    cells = [[{"bytes": png(pixels), "path": None} for pixels in some] for some in (photos, masks)]
    cells[1].append({"bytes": None, "path": "lost.png"})
    cells[0].append(cells[0][0])
    table = arrow.table({"image": cells[0], "label": cells[1], "id": [1, 2, 3]})
    parquet.write_table(table, tmp_path / "validation-00000-of-00001.parquet")
    found = read_source("huggingface", tmp_path, *VALUES)
    assert [item.split for item in found.items] == ["val", "val"]
    for item, pixels, mask in zip(found.items, photos, masks, strict=True):
        assert (np.array(Image.open(item.image)) == pixels).all() and (item.mask() == mask).all()
    assert "row 3: an image or mask has no bytes" in found.broken[0]
    text(tmp_path / "validation-00000-of-00001.parquet", "PAR1")
    with pytest.raises(Refusal, match=r"cannot be read"):
        read_source("huggingface", tmp_path, *VALUES)


def test_huggingface_parquet_without_pyarrow(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    text(tmp_path / "train.parquet", "PAR1")
    with pytest.raises(Refusal, match=r"needs the package pyarrow: type pip install pyarrow"):
        read_source("huggingface", tmp_path, *VALUES)
