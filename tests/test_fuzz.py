"""Sources with one fault give a refusal, or a dataset in which all that is not broken is right.

FUZZ=N in the environment sets the number of mutations per format (default 50); make test-slow adds
400. To run 10,000:

    FUZZ=10000 TMPDIR=/dev/shm python -m pytest tests/test_fuzz.py -k test_mutations -s \
        --basetemp=/dev/shm/fuzz
"""

import faulthandler
import os
import random
import shutil
from collections import Counter

import numpy as np
import pytest
from mutations import mutate
from sources import SOURCES
from tool_sources import TOOL_SOURCES

from cli import Refusal
from data.__main__ import import_options
from data.dataset import read_dataset
from data.formats.imports import SplitOptions, import_source
from data.images import read_pair
from data.layout import SPLITS, VOID

SOURCES = SOURCES | TOOL_SOURCES
SECONDS = 120  # timeout per file, after which the process ends with a traceback
SHAPED = (
    ".json",
    ".txt",
    ".yaml",
    ".zip",
    ".png",
    ".xml",
)  # mutations stay well-formed
COUNT = int(os.environ.get("FUZZ", 50))


def outcome(name, source, out) -> tuple[str, dict]:
    """ "refused", "listed" (some items are broken) or "complete", and what was written: stem to
    (image, mask of class names, "-" for void)."""
    try:
        args = import_options(name).parse_args([str(source), str(out)])
        account = import_source(name, args, {}, SplitOptions(val=0.25))
    except Refusal as refusal:
        assert str(refusal).strip()
        assert not out.exists()
        return "refused", {}
    dataset, written = read_dataset(out), {}
    classes = account.classes
    assert dataset.classes == classes
    names = np.array([*classes, *["?"] * (VOID - len(classes)), "-"])
    for split in SPLITS:
        if (out / split).exists():
            for pair in dataset.pairs(split):
                image, mask = read_pair(pair, dataset)
                assert pair[0].stem not in written
                written[pair[0].stem] = image, names[mask]
    return "listed" if account.broken else "complete", written


def is_renamed(wanted: np.ndarray, found: np.ndarray) -> bool:
    """Whether a mask is another one with its classes renamed or merged."""
    return all(len(np.unique(found[wanted == name])) == 1 for name in np.unique(wanted))


def check_values(wanted: dict, found: dict, path, kind: str) -> None:
    """What has been written although the file `path` was mutated, against the valid source.

    A file that belongs to one item does not touch the others. One that belongs to all touches no
    image, and may rename classes; the annotations that a JSON file or zip contains are of one or
    two items where only one of its nodes or entries was changed.
    """
    assert found.keys() <= wanted.keys()
    owner = next((stem for stem in wanted if stem in path.name), None)
    if owner and found:
        assert found.keys() >= wanted.keys() - {owner}
    renamed = {stem: is_renamed(wanted[stem][1], mask) for stem, (_, mask) in found.items()
               if mask.shape == wanted[stem][1].shape}  # fmt: skip
    images = [np.array_equal(image, wanted[stem][0]) for stem, (image, _) in found.items()
              if stem != owner]  # fmt: skip
    if owner:
        assert all(np.array_equal(found[s][1], wanted[s][1]) for s in found if s != owner)
    elif path.suffix in (".json", ".zip", ".xml", ".csv"):
        assert kind == "bytes" or sum(renamed.values()) >= len(found) - 2
    else:
        assert all(renamed[stem] for stem in found)
    assert sum(images) >= len(images) - (path.suffix == ".zip")


def fuzz(name: str, folder, seeds) -> Counter:
    """Counts the outcomes, and the mutations that stay well-formed ("structured").

    All seeds are run; those with an unexpected exception or a wrong value fail together at the end.
    """
    valid = SOURCES[name](folder / "valid")
    _, wanted = outcome(name.split()[0], valid, folder / "out")
    shutil.rmtree(folder / "out")
    counts, failures = Counter(), []
    for seed in seeds:
        rng = random.Random(seed)
        work = shutil.copytree(folder / "valid", folder / "work")
        source = work / valid.relative_to(folder / "valid")
        files = sorted(path for path in work.rglob("*") if path.is_file())
        shaped = [path for path in files if path.suffix in SHAPED]
        path = rng.choice(shaped if shaped and rng.random() < 0.7 else files)
        kind = mutate(path, rng)
        counts["structured"] += kind != "bytes"
        faulthandler.dump_traceback_later(SECONDS, exit=True)
        try:
            end, found = outcome(name.split()[0], source, folder / "out")
            counts[end] += 1
            check_values(wanted, found, path, kind)
        except Exception as error:
            failures.append(f"{name}, seed {seed}, {kind}, {path.name}: {error!r}")
        faulthandler.cancel_dump_traceback_later()
        assert sorted(path.name for path in folder.iterdir()) == sorted(
            {"valid", "work"} | ({"out"} if (folder / "out").exists() else set())
        )
        shutil.rmtree(folder / "out", ignore_errors=True)
        shutil.rmtree(work)
    print(f"{name}: {dict(counts)}, {len(failures)} exceptions", flush=True)
    assert not failures, "\n".join(failures)
    return counts


def check(name: str, counts: Counter, total: int) -> None:
    assert counts["refused"] + counts["complete"] + counts["listed"] == total
    assert counts["structured"] >= 0.5 * total, counts
    least = 0.1 if "zip" in name else 0.3  # of an archive most faults are refused
    assert counts["complete"] + counts["listed"] >= least * total, counts


@pytest.mark.parametrize("name", SOURCES)
def test_a_valid_source_is_imported(name, tmp_path):
    source = SOURCES[name](tmp_path / "source")
    end, found = outcome(name.split()[0], source, tmp_path / "out")
    assert end == "complete" and len(found) == 4


HALF = [pytest.param(name, marks=[pytest.mark.slow] * (at % 2)) for at, name in enumerate(SOURCES)]


@pytest.mark.parametrize("name", HALF)
def test_mutations(name, tmp_path):
    check(name, fuzz(name, tmp_path, range(COUNT)), COUNT)


@pytest.mark.slow
@pytest.mark.parametrize("name", SOURCES)
def test_more_mutations(name, tmp_path):
    check(name, fuzz(name, tmp_path, range(COUNT, COUNT + 400)), 400)
