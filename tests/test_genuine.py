"""Real datasets are imported by a command as in the README, checked and trained for an epoch."""

import subprocess
import sys
from pathlib import Path

import pytest
from conftest import train

ROOT = Path(__file__).parent.parent
SHARED = ROOT.parent / "shared" / "data"
SETS = {
    "coco_nuts": ("coco", "coco_nuts"),
    "coco_tiny": ("coco", "coco_tiny", "--only", "person"),
    "voc_pets": ("voc", "voc_pets", "--values", "0=background", "1=cat", "2=dog"),
    "labelme": ("labelme", "labelme/semantic_segmentation/data_annotated",
                "--classes", "labelme/semantic_segmentation/labels.txt"),
    "ccp59": ("folder", "ccp59", "--images", "../ccp_person/*/images/*"),
}  # fmt: skip


def run(*words):
    end = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True)
    assert "Traceback" not in end.stderr, end.stderr
    return end


@pytest.mark.slow
@pytest.mark.parametrize("name", SETS)
def test_imported_checked_trained(name, tmp_path):
    if not SHARED.exists():
        pytest.skip(f"{SHARED} is missing")
    format_, source, *more = SETS[name]
    more = [str(SHARED / word) if (SHARED / word).is_file() else word for word in more]
    words = (str(SHARED / source), str(tmp_path / "set"), *more)
    assert run("-m", "data", "import", format_, *words).returncode == 0
    assert run("-m", "data", "check", str(tmp_path / "set")).returncode == 0
    end = train(tmp_path / "set", tmp_path / "run", "--batch", "2")
    assert end.returncode == 0, end.stderr
