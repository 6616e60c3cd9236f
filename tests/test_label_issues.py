"""Wrong masks come first, edges do not count, and who has seen an image does not judge it."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from cli import Refusal
from data.batches import to_input
from data.dataset import read_dataset
from data.images import read_image, read_mask, write_image
from data.layout import VOID
from data.pack import pack
from data.shapes import write_shapes
from export.review.label_issues import (
    EDGE,
    Judge,
    digest,
    read_judge,
    reviewer_of,
    suspects,
    weigh,
    write_page,
)

ROOT = Path(__file__).parent.parent
SIZE = (64, 64)
CLASSES = 4


def likely(mask, sure=4.0):
    """Logits of a model that answers `mask`."""
    return sure * (mask[..., None] == np.arange(CLASSES)).astype(np.float32)


def knower(dataset, rng, name="runs/a", seen=()):
    """A judge that has the masks as they are now, with edges drawn otherwise and noise."""
    answers = {}
    for image, mask in dataset.pairs("val"):
        mask = cv2.resize(read_mask(mask, dataset), SIZE[::-1], interpolation=cv2.INTER_NEAREST)
        change = rng.choice([cv2.dilate, cv2.erode])
        logits = likely(change(mask, np.ones((3, 3), np.uint8)))
        logits += rng.normal(0, 0.7, logits.shape)
        answers[to_input(read_image(image), SIZE).tobytes()] = logits
    return Judge(name, lambda inputs: answers[inputs[0].tobytes()][None], SIZE, frozenset(seen))


@pytest.fixture
def shapes(tmp_path):
    write_shapes(tmp_path / "shapes", train=2, val=40)
    return read_dataset(tmp_path / "shapes")


def test_masks_of_other_images_come_first(shapes):
    judge = knower(shapes, np.random.default_rng(0))
    masks = [mask for _, mask in shapes.pairs("val")]
    wrong = {4: 17, 11: 30, 25: 2}
    kept = {to: masks[by].read_bytes() for to, by in wrong.items()}
    for to, content in kept.items():
        masks[to].write_bytes(content)
    found = suspects(shapes, "val", [judge])
    assert {one.pair[1] for one in found[:3]} == {masks[to] for to in wrong}
    after = found[3].score if len(found) > 3 else 0.0
    assert found[2].score > 3 * after and all(0 <= one.score <= 1 for one in found)


def test_an_object_that_the_mask_lacks(shapes):
    """One disc made background: the same score for a small object as the wrong mask of a large."""
    judge = knower(shapes, np.random.default_rng(0))
    pairs = shapes.pairs("val")
    place, mask = next(
        (p, m) for p, (_, path) in enumerate(pairs) if 1 in (m := read_mask(path, shapes))
    )
    mask[mask == 1] = 0
    write_image(pairs[place][1], mask)
    first = suspects(shapes, "val", [judge])[0]
    assert first.pair == pairs[place]
    assert (first.in_mask, first.in_model) == ("background", "disc") and first.score > 0.7


def test_what_counts_by_hand():
    """64 pixels a side: a strip of 2 is an edge, a block of 12 counts with its margin."""
    assert 2 * round(EDGE * 64 / 2) + 1 == 3
    truth = np.zeros(SIZE, np.uint8)
    guess = truth.copy()
    guess[:, 20:22], guess[40:52, 40:52], guess[10:20, 50:60] = 1, 2, 3
    truth[10:20, 50:60] = VOID
    counts = weigh(likely(guess, np.log(5)), truth)
    # Four classes with the odds 5:1:1:1 are 5/8 and 1/8 each: the margin is 1/2. The disc of
    # three pixels is a cross, which does not reach the block's four corners.
    wanted = np.zeros(SIZE)
    wanted[40:52, 40:52] = 0.5
    for y in (40, 51):
        wanted[y, [40, 51]] = 0
    assert np.allclose(counts, wanted, atol=1e-6)


def test_a_class_that_the_model_does_not_know_is_no_reason(shapes):
    """It calls every star a box: right masks of stars stay behind one wrong disc."""
    judge = knower(shapes, np.random.default_rng(0))

    def without_stars(inputs):
        logits = judge.function(inputs).copy()
        logits[..., 2] += logits[..., 3]
        logits[..., 3] = -5
        return logits

    pairs = shapes.pairs("val")
    place = next(p for p, pair in enumerate(pairs) if 1 in (mask := read_mask(pair[1], shapes)))
    mask[mask == 1] = 0
    write_image(pairs[place][1], mask)
    assert suspects(shapes, "val", [judge._replace(function=without_stars)])[0].pair == pairs[place]


def test_who_trained_on_a_image_does_not_judge_it(shapes):
    images = [image for image, _ in shapes.pairs("val")]
    rng = np.random.default_rng(0)
    first = knower(shapes, rng, "runs/a", map(digest, images[:3]))
    second = knower(shapes, rng, "runs/b", map(digest, images[2:4]))
    chosen = [reviewer_of(digest(image), [first, second]).name for image in images[:5]]
    assert chosen == ["runs/b", "runs/b", "runs/a", "runs/a", "runs/a"]
    for (_, mask), other in zip(shapes.pairs("val")[1:3], shapes.pairs("val")[8:10], strict=True):
        mask.write_bytes(other[1].read_bytes())
    found = {one.pair[0]: one for one in suspects(shapes, "val", [first, second])[:2]}
    assert set(found) == set(images[1:3])
    assert not found[images[1]].known and found[images[2]].known  # the last both have seen
    assert found[images[2]].said().endswith("; runs/a was trained on it")


def test_a_renamed_copy_is_the_same_image(shapes, tmp_path):
    image, _ = shapes.pairs("val")[0]
    shutil.copy(image, tmp_path / "another name.png")
    assert digest(image) == digest(tmp_path / "another name.png")


def test_page_escapes_and_stands_alone(shapes, tmp_path):
    for place in (0, 1):
        old = shapes.pairs("val")[place][0]
        mask = shapes.pairs("val")[place][1]
        old.rename(old.with_name(f"<b>{place}&.png"))
        mask.rename(mask.with_name(f"<b>{place}&.png"))
    shapes = read_dataset(shapes.folder)
    judge = knower(shapes, np.random.default_rng(0), "runs/<i>")
    one, two = (mask for image, mask in shapes.pairs("val") if "<" in image.name)
    one.write_bytes(two.read_bytes())
    found = suspects(shapes, "val", [judge])[:2]
    write_page(tmp_path / "page.html", shapes, "val", 40, found)
    page = (tmp_path / "page.html").read_text()
    assert page.count("<img") == 4 * len(found) == page.count('src="data:image/jpeg;base64,')
    assert "<b>" not in page and "<i>" not in page and "&lt;b&gt;" in page
    assert not re.search(r"https?://", page)
    write_page(tmp_path / "page.html", shapes, "val", 40, [])
    assert "Nothing stands out" in (tmp_path / "page.html").read_text()


def command(*words):
    words = [sys.executable, "-m", "export", "suspects", *map(str, words)]
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True)


def test_a_run_as_a_person_asks(finished, tmp_path):
    page = tmp_path / "page.html"
    end = command(finished / "run", "--split", "train", "--top", "3", "--html", page, "--json")
    assert end.returncode == 0, end.stderr
    found = json.loads(end.stdout)
    assert 0 < len(found) <= 3 and all(one["trained_on_it"] for one in found)
    assert [one["score"] for one in found] == sorted((one["score"] for one in found), reverse=True)
    assert page.exists() and not (finished / "run/suspects.html").exists()


def test_shards_are_judged_as_the_folder(shapes):
    """And what is found keeps no image in memory."""
    judge = knower(shapes, np.random.default_rng(0))
    masks = [mask for _, mask in shapes.pairs("val")]
    for to, by in {4: 17, 11: 30}.items():
        masks[to].write_bytes(masks[by].read_bytes())
    pack(shapes.folder, shapes.folder.parent / "packed", shards=3)
    packed = read_dataset(shapes.folder.parent / "packed")
    plain, found = (suspects(dataset, "val", [judge]) for dataset in (shapes, packed))
    assert [one.pair[0].name for one in found] == [one.pair[0].name for one in plain]
    assert [one.score for one in found] == [one.score for one in plain]
    assert not any("parts" in vars(one.pair[0].record) for one in found)
    assert found[0].plain()["image"].endswith(f"] ({plain[0].pair[0].name})")


def test_a_copied_dataset_and_one_that_is_gone(finished, tmp_path, capsys):
    dataset = read_dataset(finished / "shapes")
    judge = read_judge(finished / "run", dataset)
    assert capsys.readouterr().err == "" and len(judge.seen) == 16
    run = shutil.copytree(finished / "run", tmp_path / "run")
    plan = json.loads((run / "plan.json").read_text())
    (run / "plan.json").write_text(json.dumps({**plan, "data": str(tmp_path / "gone")}))
    # The same files with the same times: it is the dataset.
    assert read_judge(run, dataset).seen == judge.seen and capsys.readouterr().err == ""
    (shutil.copytree(finished / "shapes", tmp_path / "other") / "val/images/0000.png").touch()
    other = read_dataset(tmp_path / "other")
    assert read_judge(run, other).seen == judge.seen
    assert f"{tmp_path / 'gone'}, on which {run} was trained, is not" in capsys.readouterr().err
    read_judge(finished / "run", other)
    assert capsys.readouterr().err == ""  # what it was trained on is there, and unchanged


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--top", "0"], "--top is 0; needed: 1 or more"),
        (["--split", "vall"], "no split 'vall'. Did you mean val?"),
        (["--second", "runs/none"], "runs/none is no run"),
    ],
)
def test_refusals(finished, words, said):
    end = command(finished / "run", *words)
    assert end.returncode == 2 and said in end.stderr and "Traceback" not in end.stderr


def test_other_classes(finished, tmp_path):
    shapes = shutil.copytree(finished / "shapes", tmp_path / "shapes")
    (shapes / "dataset.toml").write_text("classes = ['background', 'box', 'disc', 'star']\n")
    with pytest.raises(Refusal, match=r"run knows the classes .*'disc', 'box'.* Name the --data"):
        read_judge(finished / "run", read_dataset(shapes))
