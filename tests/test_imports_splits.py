"""python -m data import: splits by hash, groups and splits of the source."""

from sources import run_import, splits_of, write_pair

from data.__main__ import import_
from data.formats.splits import assign, fraction


def test_splits_do_not_move_when_images_are_added(tmp_path):
    source = tmp_path / "source"
    for i in range(30):
        write_pair(source, f"p{i}", [0, 1] * 4)
    options = ["--values", "0=sky", "1=cat", "--val", "0.3", "--test", "0.2"]
    assert run_import("folder", source, tmp_path / "a", *options).returncode == 0
    for i in range(30, 60):
        write_pair(source, f"p{i}", [0, 1] * 4)
    assert run_import("folder", source, tmp_path / "b", *options).returncode == 0
    before, after = splits_of(tmp_path / "a"), splits_of(tmp_path / "b")
    assert len(before) == 30 and len(after) == 60 and before.items() <= after.items()
    assert set(before.values()) == {"train", "val", "test"}
    # Computed independently: the hash of a name gives its place between 0 and 1.
    import hashlib

    for name, split in after.items():
        at = int(hashlib.sha256(f"0 {name}".encode()).hexdigest(), 16) / 2**256
        assert split == ("test" if at < 0.2 else "val" if at < 0.5 else "train")


def test_split_fractions_and_seed():
    names = [f"image {i}" for i in range(4000)]
    present = [frozenset([0])] * 4000
    made = assign(names, present, val=0.15, test=0.1, seed=0)
    for split, p in (("train", 0.75), ("val", 0.15), ("test", 0.1)):
        # Three standard deviations of a proportion in 4000 draws.
        assert abs(made.count(split) / 4000 - p) < 3 * (p * (1 - p) / 4000) ** 0.5
    assert made != assign(names, present, val=0.15, test=0.1, seed=1)
    assert assign(names, present, val=0.0, test=0.0, seed=0) == ["train"] * 4000


def test_a_rare_class_is_in_both_train_and_val():
    names = [f"p{i}" for i in range(100)]
    order = sorted(names, key=lambda name: fraction(name, 0))  # val has the lowest places
    for rare in (order[-2:], order[:2]):  # all in train, all in val
        present = [frozenset([0, 1] if name in rare else [0]) for name in names]
        made = dict(zip(names, assign(names, present, 0.15, 0.0, 0), strict=True))
        assert {made[name] for name in rare} == {"train", "val"}
    lone = [frozenset([0, 1] if name == order[-1] else [0]) for name in names]
    assert dict(zip(names, assign(names, lone, 0.15, 0.0, 0), strict=True))[order[-1]] == "train"


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


def test_splits_of_the_source_are_kept(tmp_path, capsys):
    for name in ("train/a", "train/b", "val/c", "test/d", "e", "f", "g", "h"):
        write_pair(tmp_path / "source", name, 0)
    options = ["--images", "images/**/*", "--masks", "masks/**/*", "--values", "0=sky"]
    import_(["folder", str(tmp_path / "source"), str(tmp_path / "out"), *options, "--val", "0.5"])
    made = splits_of(tmp_path / "out")
    own = {"a": "train", "b": "train", "c": "val", "d": "test"}
    assert own.items() <= made.items()
    assert {made[name] for name in "efgh"} == {"train"}  # no more val images are needed
