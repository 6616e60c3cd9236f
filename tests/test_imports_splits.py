"""python -m data import: splits by hash, groups and splits of the source."""

from collections import Counter

import pytest
from sources import run_import, splits_of, write_pair

from cli import Refusal
from data.__main__ import import_
from data.formats.splits import assign, clips_note, fraction


def test_splits_hardly_move_when_images_are_added(tmp_path):
    source = tmp_path / "source"
    for i in range(30):
        write_pair(source, f"p{i}", [0, 1] * 4)
    options = ["--values", "0=sky", "1=cat", "--val", "0.3", "--test", "0.2"]
    assert run_import("folder", source, tmp_path / "a", *options).returncode == 0
    for i in range(30, 60):
        write_pair(source, f"p{i}", [0, 1] * 4)
    assert run_import("folder", source, tmp_path / "b", *options).returncode == 0
    before, after = splits_of(tmp_path / "a"), splits_of(tmp_path / "b")
    # Computed independently: the hash of a name ranks it; 20 % are test, the next 30 % val.
    import hashlib

    for made in (before, after):
        ranked = sorted(made, key=lambda name: hashlib.sha256(f"0 {name}".encode()).hexdigest())
        tests, count = len(made) // 5, len(made) // 2
        assert {made[name] for name in ranked[:tests]} == {"test"}
        assert {made[name] for name in ranked[tests:count]} == {"val"}
        assert {made[name] for name in ranked[count:]} == {"train"}
    assert len(before) == 30 and len(after) == 60
    # At each of two edges fewer than sqrt(30) / 2 are expected to move.
    assert sum(after[name] != split for name, split in before.items()) <= 6


@pytest.mark.parametrize("count", [2, 3, 7, 20, 40, 101])
@pytest.mark.parametrize("val", [0.05, 0.15, 0.5])
def test_fractions_for_every_seed(count, val):
    """Within one image, with class 1 in every fifth image; never an empty val or train."""
    names = [f"image {i}" for i in range(count)]
    present = [frozenset([0, 1] if i % 5 == 0 else [0]) for i in range(count)]
    for seed in range(30):
        made = assign(names, present, val, 0.0, seed)
        assert abs(made.count("val") - val * count) <= 1, (seed, made)
        assert {"train", "val"} == set(made)


def test_split_fractions_and_seed():
    names = [f"image {i}" for i in range(4000)]
    present = [frozenset([0])] * 4000
    made = assign(names, present, val=0.15, test=0.1, seed=0)
    assert Counter(made) == {"train": 3000, "val": 600, "test": 400}
    other = assign(names, present, val=0.15, test=0.1, seed=1)
    assert made != other and Counter(made) == Counter(other)
    assert assign(names, present, val=0.0, test=0.0, seed=0) == ["train"] * 4000


@pytest.mark.parametrize("seed", range(20))
def test_fractions_of_groups(seed):
    """10 clips of 3 to 12 frames, 75 in all: val has 15 % of them, within half of the shortest."""
    groups = [f"clip {clip}" for clip in range(10) for _ in range(3 + clip)]
    made = assign(groups, [frozenset([0])] * 75, 0.15, 0.0, seed)
    assert abs(made.count("val") - 11.25) <= 3
    assert len({(g, split) for g, split in zip(groups, made, strict=True)}) == 10


def test_a_rare_class_is_in_both_train_and_val():
    names = [f"p{i}" for i in range(100)]
    order = sorted(names, key=lambda name: fraction(name, 0))  # val has the lowest places
    for rare in (order[-2:], order[:2]):  # the last and the first in rank
        present = [frozenset([0, 1] if name in rare else [0]) for name in names]
        made = dict(zip(names, assign(names, present, 0.15, 0.0, 0), strict=True))
        assert {made[name] for name in rare} == {"train", "val"}
        assert list(made.values()).count("val") == 15
    for name in (order[-1], order[0]):  # what one image alone shows is to be learnt
        lone = [frozenset([0, 1] if other == name else [0]) for other in names]
        assert dict(zip(names, assign(names, lone, 0.15, 0.1, 0), strict=True))[name] == "train"


def test_three_splits_share_few_images():
    assert sorted(assign(["a", "b", "c"], [frozenset([0])] * 3, 0.15, 0.1, 0)) == [
        "test", "train", "val"
    ]  # fmt: skip
    assert sorted(assign(["a", "b"], [frozenset([0])] * 2, 0.15, 0.1, 0)) == ["train", "val"]
    assert assign(["a"], [frozenset([0])], 0.15, 0.1, 0) == ["train"]
    assert assign([], [], 0.15, 0.1, 0) == []
    every = [frozenset([i]) for i in range(4)]  # each image has a class that no other has
    assert Counter(assign(list("abcd"), every, 0.25, 0.0, 0)) == {"train": 3, "val": 1}


@pytest.mark.parametrize(("pattern", "message"), [
    ("^video", r"--group '\^video' makes 1 group of 6 images; needed: 2, as each split has its"),
    ("clip", r"--group clip matches none of the 6 names, such as video_0\. Type an expression"),
])  # fmt: skip
def test_groups_that_leave_a_split_empty_are_refused(tmp_path, pattern, message):
    for i in range(6):
        write_pair(tmp_path / "source", f"video_{i}", 0)
    with pytest.raises(Refusal, match=message):
        import_(["folder", str(tmp_path / "source"), str(tmp_path / "out"), "--values", "0=sky",
                 "--group", pattern])  # fmt: skip
    assert not (tmp_path / "out").exists()


def test_groups_stay_together(tmp_path, capsys):
    for i in range(60):
        write_pair(tmp_path / "source", f"video{i % 12}_{i}", 0)
    import_(["folder", str(tmp_path / "source"), str(tmp_path / "out"), "--values", "0=sky",
             "--val", "0.4", "--group", r"^(video\d+)_"])  # fmt: skip
    videos = {}
    for stem, split in splits_of(tmp_path / "out").items():
        videos.setdefault(stem.split("_")[0], set()).add(split)
    assert len(videos) == 12 and all(len(where) == 1 for where in videos.values())
    assert {min(where) for where in videos.values()} == {"train", "val"}


FRAMES = [f"VID_{clip}_{number:03}" for clip in "ab" for number in range(3)]
NOTE = (
    "2 series of numbered images, such as VID_a_*: if they are frames of videos, add --group "
    "'^(.*?)[0-9]+$', so that each video is in one split"
)


@pytest.mark.parametrize(
    ("names", "is_told"),
    [
        (FRAMES, True),
        ([*FRAMES, "x", "y"], True),
        ([*FRAMES, *"uvwxyz"], False),  # half of the names alone
        (FRAMES[:5], False),  # two numbers are no clip
        ([f"IMG_{number}" for number in range(9)], False),  # a camera counts so
        (["0001", "0002", "0003", "a1", "a2", "a3"], True),
    ],
)
def test_frames_of_videos_are_told(names, is_told):
    found = clips_note(names)
    assert len(found) == is_told
    if names[0] == FRAMES[0] and is_told:
        assert found == [NOTE]


def test_frames_are_told_by_an_import_that_makes_the_splits(tmp_path):
    for name in FRAMES:
        write_pair(tmp_path / "in", name, [0, 1] * 4)
    options = ["folder", tmp_path / "in"]
    values = ["--values", "0=sky", "1=cat"]
    end = run_import(*options, tmp_path / "a", *values)
    assert end.returncode == 0 and f"note: {NOTE}\n" in end.stdout
    end = run_import(*options, tmp_path / "b", *values, "--group", "^(.*?)[0-9]+$")
    assert end.returncode == 0 and "series" not in end.stdout
    clips = {name[:5] + split for name, split in splits_of(tmp_path / "b").items()}
    assert len(clips) == 2


def test_splits_of_the_source_are_kept(tmp_path, capsys):
    for name in ("train/a", "train/b", "val/c", "test/d", "e", "f", "g", "h"):
        write_pair(tmp_path / "source", name, 0)
    options = ["--images", "images/**/*", "--masks", "masks/**/*", "--values", "0=sky"]
    import_(["folder", str(tmp_path / "source"), str(tmp_path / "out"), *options, "--val", "0.5"])
    made = splits_of(tmp_path / "out")
    own = {"a": "train", "b": "train", "c": "val", "d": "test"}
    assert own.items() <= made.items()
    assert {made[name] for name in "efgh"} == {"train"}  # no more val images are needed
