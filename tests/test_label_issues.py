"""Wrong masks come first, edges do not count, and no run reviews what it was trained on."""

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
    Reviewer,
    digest,
    in_percent,
    label_issues,
    pixel_margins,
    read_reviewer,
    reviewer_of,
    write_page,
)

ROOT = Path(__file__).parent.parent
SIZE = (64, 64)
CLASSES = 4


def likely(mask, sure=4.0):
    """Logits of a model that predicts `mask`."""
    return sure * (mask[..., None] == np.arange(CLASSES)).astype(np.float32)


def reviewer_with_masks(dataset, rng, name="runs/a", seen=()):
    """A reviewer that predicts the masks as they are now, with other edges and noise."""
    outputs = {}
    for image, mask in dataset.pairs("val"):
        mask = cv2.resize(read_mask(mask, dataset), SIZE[::-1], interpolation=cv2.INTER_NEAREST)
        change = rng.choice([cv2.dilate, cv2.erode])
        logits = likely(change(mask, np.ones((3, 3), np.uint8)))
        logits += rng.normal(0, 0.7, logits.shape)
        outputs[to_input(read_image(image), SIZE).tobytes()] = logits
    return Reviewer(name, lambda inputs: outputs[inputs[0].tobytes()][None], SIZE, frozenset(seen))


@pytest.fixture
def shapes(tmp_path):
    write_shapes(tmp_path / "shapes", train=2, val=40)
    return read_dataset(tmp_path / "shapes")


def test_masks_of_other_images_come_first(shapes):
    reviewer = reviewer_with_masks(shapes, np.random.default_rng(0))
    masks = [mask for _, mask in shapes.pairs("val")]
    wrong = {4: 17, 11: 30, 25: 2}
    kept = {to: masks[by].read_bytes() for to, by in wrong.items()}
    for to, content in kept.items():
        masks[to].write_bytes(content)
    found = label_issues(shapes, "val", [reviewer])
    assert {one.pair[1] for one in found[:3]} == {masks[to] for to in wrong}
    after = found[3].score if len(found) > 3 else 0.0
    assert found[2].score > 3 * after and all(0 <= one.score <= 1 for one in found)


def test_an_object_that_the_mask_lacks(shapes):
    """One disc relabelled as background: a small object scores as high as a large one would."""
    reviewer = reviewer_with_masks(shapes, np.random.default_rng(0))
    pairs = shapes.pairs("val")
    place, mask = next(
        (p, m) for p, (_, path) in enumerate(pairs) if 1 in (m := read_mask(path, shapes))
    )
    mask[mask == 1] = 0
    write_image(pairs[place][1], mask)
    first = label_issues(shapes, "val", [reviewer])[0]
    assert first.pair == pairs[place]
    assert (first.in_mask, first.in_model) == ("background", "disc") and first.score > 0.7


def test_margins_by_hand():
    """64 x 64 pixels: a strip of 2 pixels is an edge, a block of 12 counts with its margin."""
    assert 2 * round(EDGE * 64 / 2) + 1 == 3
    truth = np.zeros(SIZE, np.uint8)
    predicted = truth.copy()
    predicted[:, 20:22], predicted[40:52, 40:52], predicted[10:20, 50:60] = 1, 2, 3
    truth[10:20, 50:60] = VOID
    margins = pixel_margins(likely(predicted, np.log(5)), truth)
    # Odds of 5:1:1:1 are probabilities of 5/8 and 1/8: the margin is 1/2. The structuring element
    # of three pixels is a cross, which does not reach the block's four corners.
    wanted = np.zeros(SIZE)
    wanted[40:52, 40:52] = 0.5
    for y in (40, 51):
        wanted[y, [40, 51]] = 0
    assert np.allclose(margins, wanted, atol=1e-6)


def test_a_class_that_the_model_does_not_know_counts_less(shapes):
    """It predicts box for every star: correct masks of stars rank after one wrong disc."""
    reviewer = reviewer_with_masks(shapes, np.random.default_rng(0))

    def without_stars(inputs):
        logits = reviewer.function(inputs).copy()
        logits[..., 2] += logits[..., 3]
        logits[..., 3] = -5
        return logits

    pairs = shapes.pairs("val")
    place = next(p for p, pair in enumerate(pairs) if 1 in (mask := read_mask(pair[1], shapes)))
    mask[mask == 1] = 0
    write_image(pairs[place][1], mask)
    first = label_issues(shapes, "val", [reviewer._replace(function=without_stars)])[0]
    assert first.pair == pairs[place]


def test_no_run_reviews_what_it_was_trained_on(shapes):
    images = [image for image, _ in shapes.pairs("val")]
    rng = np.random.default_rng(0)
    first = reviewer_with_masks(shapes, rng, "runs/a", map(digest, images[:3]))
    second = reviewer_with_masks(shapes, rng, "runs/b", map(digest, images[2:4]))
    chosen = [reviewer_of(digest(image), [first, second]).name for image in images[:5]]
    assert chosen == ["runs/b", "runs/b", "runs/a", "runs/a", "runs/a"]
    for (_, mask), other in zip(shapes.pairs("val")[1:3], shapes.pairs("val")[8:10], strict=True):
        mask.write_bytes(other[1].read_bytes())
    found = {one.pair[0]: one for one in label_issues(shapes, "val", [first, second])[:2]}
    assert set(found) == set(images[1:3])
    assert not found[images[1]].trained_on_it
    assert found[images[2]].trained_on_it  # both runs were trained on it
    assert found[images[2]].text().endswith("; runs/a was trained on it")


@pytest.mark.parametrize(("share", "words"), [(0.0272, "2.7%"), (0.0004, "< 0.1%")])
def test_a_small_area_is_not_written_as_zero(share, words):
    assert in_percent(share) == words


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
    reviewer = reviewer_with_masks(shapes, np.random.default_rng(0), "runs/<i>")
    one, two = (mask for image, mask in shapes.pairs("val") if "<" in image.name)
    one.write_bytes(two.read_bytes())
    found = label_issues(shapes, "val", [reviewer])[:2]
    write_page(tmp_path / "page.html", shapes, "val", 40, found)
    page = (tmp_path / "page.html").read_text()
    assert page.count("<img") == 4 * len(found) == page.count('src="data:image/jpeg;base64,')
    assert "<b>" not in page and "<i>" not in page and "&lt;b&gt;" in page
    assert "Of the 40 val images, the 2 with the highest scores are shown." in page
    assert f": {100 * found[0].share:.1f}\u00a0% of the image, each pixel" in page
    assert not re.search(r"https?://", page)
    write_page(tmp_path / "page.html", shapes, "val", 40, [])
    assert "No label issues" in (tmp_path / "page.html").read_text()


def command(*words):
    words = [sys.executable, "-m", "export", "review", *map(str, words)]
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True)


def test_the_command(finished, tmp_path):
    page = tmp_path / "page.html"
    end = command(finished / "run", "--split", "train", "--top", "3", "--html", page, "--json")
    assert end.returncode == 0, end.stderr
    found = json.loads(end.stdout)
    assert {one["reviewer"] for one in found} == {str(finished / "run")}
    assert 0 < len(found) <= 3 and all(one["trained_on_it"] for one in found)
    assert [one["score"] for one in found] == sorted((one["score"] for one in found), reverse=True)
    assert page.exists() and not (finished / "run/label-issues.html").exists()


def test_shards_give_the_issues_of_the_folder(shapes):
    """And the issues keep no image in memory."""
    reviewer = reviewer_with_masks(shapes, np.random.default_rng(0))
    masks = [mask for _, mask in shapes.pairs("val")]
    for to, by in {4: 17, 11: 30}.items():
        masks[to].write_bytes(masks[by].read_bytes())
    pack(shapes.folder, shapes.folder.parent / "packed", shards=3)
    packed = read_dataset(shapes.folder.parent / "packed")
    plain, found = (label_issues(dataset, "val", [reviewer]) for dataset in (shapes, packed))
    assert [one.pair[0].name for one in found] == [one.pair[0].name for one in plain]
    assert [one.score for one in found] == [one.score for one in plain]
    assert not any("parts" in vars(one.pair[0].record) for one in found)
    assert found[0].plain()["image"].endswith(f"] ({plain[0].pair[0].name})")


def test_a_copied_dataset_and_one_that_is_gone(finished, tmp_path, capsys):
    dataset = read_dataset(finished / "shapes")
    reviewer = read_reviewer(finished / "run", dataset)
    assert capsys.readouterr().err == "" and len(reviewer.seen) == 16
    run = shutil.copytree(finished / "run", tmp_path / "run")
    plan = json.loads((run / "plan.json").read_text())
    (run / "plan.json").write_text(json.dumps({**plan, "data": str(tmp_path / "gone")}))
    # Files of the same names and contents: the fingerprint is that of the training.
    assert read_reviewer(run, dataset).seen == reviewer.seen and capsys.readouterr().err == ""
    image = shutil.copytree(finished / "shapes", tmp_path / "other") / "val/images/0000.png"
    image.write_bytes(image.read_bytes() + b"\0")
    other = read_dataset(tmp_path / "other")
    assert read_reviewer(run, other).seen == reviewer.seen
    note = f"{tmp_path / 'gone'}, on which {run} was trained, cannot be read"
    assert note in capsys.readouterr().err
    read_reviewer(finished / "run", other)
    assert capsys.readouterr().err == ""  # its training dataset is there, unchanged


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--top", "0"], "--top is 0; needed: 1 or more"),
        (["--split", "vall"], "no split 'vall'. Did you mean val?"),
        (["--second", "runs/none"], "runs/none is not a run"),
    ],
)
def test_refusals(finished, words, message):
    end = command(finished / "run", *words)
    assert end.returncode == 2 and message in end.stderr and "Traceback" not in end.stderr


def test_other_classes(finished, tmp_path):
    shapes = shutil.copytree(finished / "shapes", tmp_path / "shapes")
    (shapes / "dataset.toml").write_text("classes = ['background', 'box', 'disc', 'star']\n")
    message = r"run was trained on the classes .*'disc', 'box'.* Pass the --data"
    with pytest.raises(Refusal, match=message):
        read_reviewer(finished / "run", read_dataset(shapes))
