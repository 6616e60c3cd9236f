"""python -m data check of a packed dataset."""

import shutil

import numpy as np
import pytest
from broken_sets import check, mask, valid
from PIL import Image

from data.doctor.checks.table import findings
from data.doctor.doctor import examine
from data.doctor.files import list_files
from data.pack import pack
from data.shards import PackedPairs, shard_paths

__all__ = ["valid"]  # fixtures


@pytest.fixture(scope="module")
def packed(valid, tmp_path_factory):
    folder = tmp_path_factory.mktemp("packed") / "shards"
    pack(valid, folder, 2)
    return folder


def test_a_packed_dataset_has_the_figures_of_its_folder(valid, packed, tmp_path):
    """All lines but the last, which name the folder; the page has as many images."""
    texts = []
    for folder in (valid, packed):
        end = check(folder, "--html", tmp_path / f"{folder.name}.html")
        assert end.returncode == 0, end.stdout
        texts.append(end.stdout.replace(str(folder), "DIR").rpartition("\npage")[0])
    assert texts[0] == texts[1]
    assert (tmp_path / "shards.html").read_text().count('<img src="data:') == 32


def test_faults_in_shards_are_found(valid, tmp_path):
    """Packing keeps what reads: a leak, and masks of the first class alone."""
    folder = shutil.copytree(valid, tmp_path / "s")
    shutil.copy(folder / "train/images/0001.png", folder / "val/images/leak.png")
    shutil.copy(mask(folder, "0001"), mask(folder, "leak", "val"))
    Image.fromarray(np.zeros((128, 128), np.uint8)).save(mask(folder, "0003"))
    pack(folder, tmp_path / "packed", 2)
    reported = {finding.check: finding.files for finding in findings(examine(tmp_path / "packed"))}
    assert set(reported) == {"leak", "empty mask"}
    assert reported["leak"][0].name == "train/images/0001.png"
    assert reported["leak"][0].also == ("val/images/leak.png",)
    assert reported["empty mask"][0].name == "train/masks/0003.png"


def test_a_damaged_record_is_found(packed, tmp_path):
    """Bytes in the middle of the first shard are overwritten: its records are compressed apart."""
    folder = shutil.copytree(packed, tmp_path / "p")
    path = shard_paths(folder, "train")[0]
    raw = path.read_bytes()
    first = PackedPairs(folder, "train").read(0)[0]  # the image's file, as it is in the shard
    at = raw.index(first) + len(first) // 2
    path.write_bytes(raw[:at] + bytes(64) + raw[at + 64 :])
    reported = {finding.check: finding.files for finding in findings(examine(folder))}
    assert [named.name for named in reported["broken image"]] == ["train/images/0000.png"]
    assert [named.name for named in reported["broken mask"]] == ["train/masks/0000.png"]
    assert "is damaged in its shard" in reported["broken image"][0].note
    end = check(folder, "--html", tmp_path / "page.html")
    assert end.returncode == 1 and "train/images/0000.png is damaged in its shard" in end.stdout


def test_what_is_not_whole_is_refused(packed, tmp_path):
    folder = shutil.copytree(packed, tmp_path / "p")
    path = shard_paths(folder, "train")[1]
    path.write_bytes(path.read_bytes()[:-9])
    end = check(folder)
    assert end.returncode == 2 and "pack the dataset again" in end.stderr


def test_a_packed_dataset_is_not_fixed(packed, tmp_path):
    end = check(packed, "--fix", tmp_path / "out")
    assert end.returncode == 2 and not (tmp_path / "out").exists()
    assert f"{packed} is packed, and --fix writes a folder: repair the one that it" in end.stderr


def test_no_bytes_are_kept(packed):
    """A pair of a packed dataset names a record; what is read of it goes again."""
    pair = list_files(packed).pairs[3]
    assert pair.image.read_bytes()[:4] == b"\x89PNG" and pair.mask.name == "0003.png"
    assert pair.image.member.record is not pair.image.member.record
