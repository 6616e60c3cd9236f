"""What bad input is answered: one line that names the file and the way out, and nothing harmed."""

import hashlib
import os
import re
import resource
import shutil
import subprocess
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import cv2
import h5py
import numpy as np
import pytest
from conftest import train

from data.shapes import write_shapes

ROOT = Path(__file__).parent.parent


def contents(folder):
    """The hash of every file below a folder."""
    files = sorted(path for path in Path(folder).rglob("*") if path.is_file())
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def refused(end, *patterns):
    """One line of refusal with each pattern in it, exit code 2, no result, no traceback."""
    assert end.returncode == 2, end.stderr
    lines = [line for line in re.split(r"[\n\r]", end.stderr) if line.startswith("error: ")]
    assert len(lines) == 1 and end.stderr.rstrip().endswith(lines[0]), end.stderr
    assert "Traceback" not in end.stderr and end.stdout == ""
    for pattern in patterns:
        assert re.search(pattern, lines[0]), lines[0]


def truncate(shapes, name):
    """Makes image `name` a JPEG that ends too early."""
    png = shapes / "train/images" / f"{name}.png"
    _, raw = cv2.imencode(".jpg", cv2.imread(str(png)))
    png.unlink()
    png.with_suffix(".jpg").write_bytes(raw.tobytes()[:2000])


def mask(shapes, name):
    return shapes / "train/masks" / f"{name}.png"


def write_mask(shapes, name, shape, value):
    cv2.imwrite(str(mask(shapes, name)), np.full(shape, value, np.uint8))


def empty(shapes, name):
    shutil.rmtree(shapes / "train/images")
    (shapes / "train/images").mkdir()


# kind: (what breaks pair `name`, the words that name the file, the way out)
DATA = {
    "truncated JPEG": (truncate, r"train/images/{}\.jpg is truncated", "replace or remove it"),
    "missing mask": (lambda s, n: mask(s, n).unlink(), r"train/images/{}\.png has no mask", "add"),
    "mask of another size": (
        lambda s, n: write_mask(s, n, (10, 12), 0),
        r"masks/{}\.png is 10x12 \(HxW\) but its image {}\.png is 128x128",
        "resize the mask by nearest|remove",
    ),
    "class out of range": (
        lambda s, n: write_mask(s, n, (128, 128), 9),
        r"masks/{}\.png contains id 9, but there are 4 classes \(ids 0 to 3\)",
        r"name the class in dataset\.toml or set void",
    ),
    "RGB mask": (
        lambda s, n: write_mask(s, n, (128, 128, 3), 1),
        r"masks/{}\.png is stored with image mode RGB",
        "Write one channel",
    ),
    "empty split": (empty, "train/images contains no image", "supported endings: .jpg"),
    "no such folder": (lambda s, n: shutil.rmtree(s), "no such folder: .*shapes", "--data takes"),
}


@pytest.mark.parametrize("kind", DATA)
def test_broken_data(finished, tmp_path, kind):
    """The first pair is broken: train.py refuses before it writes, check answers no."""
    breaks, names, way = DATA[kind]
    shutil.copytree(finished / "shapes", tmp_path / "shapes")
    breaks(tmp_path / "shapes", "0000")
    names = names.replace("{}", "0000")
    refused(train(tmp_path / "shapes", tmp_path / "run"), names, way)
    assert not (tmp_path / "run").exists()
    words = [sys.executable, "-m", "data", "check", str(tmp_path / "shapes")]
    end = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert end.returncode == (2 if kind == "no such folder" else 1)
    assert "Traceback" not in end.stderr
    assert re.search(f"(?m)^(  |error: ).*{names}", end.stdout + end.stderr)


@pytest.mark.slow
def test_a_image_that_breaks_in_mid_epoch(finished, tmp_path):
    """It is named, and once it is replaced the same command begins."""
    shutil.copytree(finished / "shapes", tmp_path / "shapes")
    whole = (tmp_path / "shapes/train/images/0005.png").read_bytes()
    truncate(tmp_path / "shapes", "0005")
    refused(train(tmp_path / "shapes", tmp_path / "run"), r"0005\.jpg is truncated", "replace")
    (tmp_path / "shapes/train/images/0005.jpg").unlink()
    (tmp_path / "shapes/train/images/0005.png").write_bytes(whole)
    assert train(tmp_path / "shapes", tmp_path / "run").returncode == 0


def test_size(finished, tmp_path):
    end = train(finished / "shapes", tmp_path / "run", "--size", "100", "100")
    refused(end, "size 100 100 is not a multiple of the preset's stride 32", "--size 96 96")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--seed", "9"], "another plan: seed is 0 there, 9 here"),
        (["--size", "32", "32"], r"another plan: size is \[64, 64\] there, \[32, 32\] here"),
    ],
)
def test_another_plan(finished, more, words):
    before = contents(finished)
    refused(train(finished / "shapes", finished / "run", *more), words, "Name a new --run")
    assert contents(finished) == before


def test_other_data(finished, tmp_path):
    write_shapes(tmp_path / "shapes", seed=1, train=16, val=6)
    shutil.copytree(finished, tmp_path / "finished")
    shutil.rmtree(tmp_path / "finished/shapes/train")
    shutil.copytree(tmp_path / "shapes/train", tmp_path / "finished/shapes/train")
    run = tmp_path / "finished/run"
    plan = (run / "plan.json").read_text().replace(str(finished), str(tmp_path / "finished"))
    (run / "plan.json").write_text(plan)
    before = contents(run)
    refused(train(tmp_path / "finished/shapes", run), "has changed since .*run began", "a new")
    assert contents(run) == before


def test_a_folder_that_is_no_run(finished, tmp_path):
    (tmp_path / "letters.txt").write_text("dear")
    end = train(finished / "shapes", tmp_path)
    refused(end, r"is not a run, it holds letters\.txt", "Name a new --run")
    assert [path.name for path in tmp_path.iterdir()] == ["letters.txt"]


@pytest.mark.slow
def test_loss_that_is_no_number(finished, tmp_path):
    end = train(finished / "shapes", tmp_path / "run", "--learning-rate", "1e38")
    refused(end, "the loss became .* at step", r"--learning-rate 2\.5e\+37")


@pytest.mark.parametrize(
    ("words", "came"),
    [
        ("train.py --data x", "the following arguments are required: --run"),
        ("train.py --data x --run y --epochs many", "invalid int value: 'many'"),
        ("-m data chek x", "invalid choice: 'chek' .*'check'"),
        ("-m segnet cost --preset base", "required: --size, --classes"),
        ("-m export", "required: runs/NAME"),
    ],
)
def test_words_that_nobody_knows(words, came):
    words = [sys.executable, *words.split()]
    refused(subprocess.run(words, cwd=ROOT, capture_output=True, text=True), came, "--help shows")


def test_options_that_cannot_be(finished, tmp_path):
    refused(train(finished / "shapes", tmp_path / "run", "--epochs", "0"), "--epochs is 0", "above")
    end = train(finished / "shapes", tmp_path / "run", "--preset", "bass")
    refused(end, "no preset 'bass'", "Did you mean base")
    end = train(finished / "shapes", tmp_path / "run", "--class-weights", "equal")
    refused(end, "no class weights 'equal'", "none, balanced")


def test_missing_weights(finished, tmp_path):
    end = train(finished / "shapes", tmp_path / "run", "--weights", "no/such.h5")
    refused(
        end,
        r"no weights at no/such\.h5",
        "takes imagenet, none, a .h5 file of keras.* or runs/OTHER",
    )
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("run", "more", "words"),
    [
        ("{finished}/run", "--seed 9", "is a run of another plan"),
        ("tests", "", "is not a run"),
        ("runs/of/nobody", "--preset tiny", "no published weights fit"),
        ("runs/of/nobody", "--weights no.h5", "no weights at no.h5"),
    ],
)
def test_refused_before_keras_is_there(finished, run, more, words):
    program = "import sys, train\ntry: train.main()\nfinally: print('keras' in sys.modules)"
    asked = ["--data", str(finished / "shapes"), "--run", run.format(finished=finished)]
    command = [sys.executable, "-c", program, *asked, *more.split()]
    end = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert end.stdout == "False\n" and words in end.stderr, end.stderr


@pytest.mark.slow
def test_weights_of_another_width(finished, tmp_path):
    """A first convolution of 8 filters, as MobileNet v1 0.25 has, for course160's 32."""
    with h5py.File(tmp_path / "narrow.h5", "w") as file:
        file.attrs["layer_names"] = ["conv1"]
        group = file.create_group("conv1")
        group.attrs["weight_names"] = ["conv1/kernel:0"]
        group["conv1/kernel:0"] = np.zeros((3, 3, 3, 8), np.float32)
    weights = ["--weights", str(tmp_path / "narrow.h5"), "--preset", "course160"]
    end = train(finished / "shapes", tmp_path / "run", *weights)
    refused(
        end, r"narrow\.h5 do not fit: conv1 has shape \(3, 3, 3, 8\); needed: .*\(3, 3, 3, 32\)",
        "Choose the MobileNet of the preset's version and width",
    )  # fmt: skip
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_damaged_checkpoint(finished, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(finished / "run", run)
    checkpoint = run / "checkpoints/last.npz"
    raw = bytearray(checkpoint.read_bytes())
    raw[len(raw) // 2] ^= 1
    checkpoint.write_bytes(raw)
    before = contents(run)
    end = train(finished / "shapes", run)
    refused(end, r"checkpoints/last\.npz is damaged", "Delete it to begin this run again")
    assert contents(run) == before
    checkpoint.unlink()
    assert train(finished / "shapes", run).returncode == 0


def test_unwritable_run_folder(finished, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    end = train(finished / "shapes", tmp_path / "file" / "run")
    refused(end, r"cannot write .*file/run: ", "choose a folder that you may write to")
    assert (tmp_path / "file").read_text() == "not a folder"


@pytest.mark.slow
@pytest.mark.parametrize("kilobytes", [100, 600], ids=["weights", "checkpoint"])
def test_full_disk(finished, tmp_path, kilobytes):
    """No file may grow beyond so much: a write fails in the middle, as on a full disk."""
    limit = kilobytes * 1000

    def fill():
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    end = train(finished / "shapes", tmp_path / "run", preexec_fn=fill)
    name = "best.weights.h5" if kilobytes == 100 else "last.npz"
    refused(end, f"cannot write .*{re.escape(name)}", "Free some space")
    left = {path.name for path in (tmp_path / "run").rglob("*")}
    assert name not in left and not any(part.startswith(".part-") for part in left)
    assert train(finished / "shapes", tmp_path / "run").returncode == 0
    for weights in ("last.weights.h5",):  # the best ones of `finished` are others
        with h5py.File(finished / "run" / weights) as a, h5py.File(tmp_path / "run" / weights) as b:
            assert same(a, b)


def same(one, two):
    if isinstance(one, h5py.Dataset):
        return np.array_equal(one[()], two[()])
    return one.keys() == two.keys() and all(same(one[key], two[key]) for key in one)


def test_folder_without_permission(finished, tmp_path):
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    tmp_path.chmod(0o500)
    refused(train(finished / "shapes", tmp_path / "run"), "cannot write", "may write to")
