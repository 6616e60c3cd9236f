"""Sources with one thing wrong: a refusal, a broken item or a right dataset. Never anything else.

FUZZ=N in the environment makes N mutations a format instead of 150; make test-slow makes 300 more,
the rest of 10,000 are made by hand:

    FUZZ=10000 TMPDIR=/dev/shm python -m pytest tests/test_fuzz.py -k test_mutations -s \
        --basetemp=/dev/shm/fuzz
"""

import faulthandler
import os
import random
import shutil
from collections import Counter

import pytest
from mutations import mutate
from sources import SOURCES

from cli import Refusal
from data.__main__ import import_options
from data.dataset import read_dataset
from data.formats import module_of
from data.formats.imports import Sharing, write_dataset
from data.formats.selection import select
from data.images import read_pair
from data.layout import SPLITS

SECONDS = 120  # for one file; behind them the process ends and says where it was
SHAPED = (".json", ".txt", ".yaml", ".zip", ".png")  # what mutates and stays well-formed
COUNT = int(os.environ.get("FUZZ", 150))


def answer(name, source, out) -> str:
    """ "refused", or after the whole dataset was read "whole", or "listed" for broken items."""
    try:
        words = import_options(name).parse_args([str(source), str(out)])
        found = module_of(name).read(source, words)
        broken = write_dataset(found, out, select(found.classes), Sharing(val=0.25))
    except Refusal as refusal:
        assert str(refusal).strip()
        assert not out.exists()
        return "refused"
    dataset = read_dataset(out)
    for split in SPLITS:
        if (out / split).exists():
            for pair in dataset.pairs(split):
                read_pair(pair, dataset)
    return "listed" if broken else "whole"


def fuzz(name: str, folder, seeds) -> Counter:
    """How often each answer was given, and how many mutations stayed well-formed.

    Every file is tried; those that got no answer fail together, each with its seed.
    """
    sound = SOURCES[name](folder / "sound")
    counts, failures = Counter(), []
    for seed in seeds:
        rng = random.Random(seed)
        work = shutil.copytree(folder / "sound", folder / "work")
        source = work / sound.relative_to(folder / "sound")
        files = sorted(path for path in work.rglob("*") if path.is_file())
        shaped = [path for path in files if path.suffix in SHAPED]
        kind = mutate(rng.choice(shaped if shaped and rng.random() < 0.7 else files), rng)
        counts["structured"] += kind != "bytes"
        faulthandler.dump_traceback_later(SECONDS, exit=True)
        try:
            counts[answer(name.split()[0], source, folder / "out")] += 1
        except Exception as error:
            failures.append(f"{name}, seed {seed}, {kind}: {error!r}")
        faulthandler.cancel_dump_traceback_later()
        assert sorted(path.name for path in folder.iterdir()) == sorted(
            {"sound", "work"} | ({"out"} if (folder / "out").exists() else set())
        )
        shutil.rmtree(folder / "out", ignore_errors=True)
        shutil.rmtree(work)
    print(f"{name}: {dict(counts)}, {len(failures)} without an answer", flush=True)
    assert not failures, "\n".join(failures)
    return counts


def check(counts: Counter, most: int) -> None:
    assert counts["refused"] + counts["whole"] + counts["listed"] == most
    assert counts["structured"] >= 0.5 * most, counts
    assert counts["whole"] + counts["listed"] >= 0.3 * most, counts


@pytest.mark.parametrize("name", SOURCES)
def test_a_sound_source_is_imported(name, tmp_path):
    source = SOURCES[name](tmp_path / "source")
    assert answer(name.split()[0], source, tmp_path / "out") == "whole"


@pytest.mark.parametrize("name", SOURCES)
def test_mutations(name, tmp_path):
    check(fuzz(name, tmp_path, range(COUNT)), COUNT)


@pytest.mark.slow
@pytest.mark.parametrize("name", SOURCES)
def test_more_mutations(name, tmp_path):
    check(fuzz(name, tmp_path, range(COUNT, COUNT + 300)), 300)
