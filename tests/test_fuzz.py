"""Sources with one fault give a refusal, listed broken items or a valid dataset, nothing else.

FUZZ=N in the environment sets the number of mutations per format (default 150); make test-slow adds
300. To run 10,000:

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
from data.formats.imports import SplitOptions, import_source
from data.images import read_pair
from data.layout import SPLITS

SECONDS = 120  # timeout per file, after which the process ends with a traceback
SHAPED = (".json", ".txt", ".yaml", ".zip", ".png")  # formats whose mutations stay well-formed
COUNT = int(os.environ.get("FUZZ", 150))


def outcome(name, source, out) -> str:
    """ "refused", "listed" (some items are broken) or "complete"; the dataset is read back."""
    try:
        args = import_options(name).parse_args([str(source), str(out)])
        _, broken = import_source(name, args, {}, SplitOptions(val=0.25))
    except Refusal as refusal:
        assert str(refusal).strip()
        assert not out.exists()
        return "refused"
    dataset = read_dataset(out)
    for split in SPLITS:
        if (out / split).exists():
            for pair in dataset.pairs(split):
                read_pair(pair, dataset)
    return "listed" if broken else "complete"


def fuzz(name: str, folder, seeds) -> Counter:
    """Counts the outcomes, and the mutations that stay well-formed ("structured").

    All seeds are run; those with an unexpected exception fail together at the end.
    """
    valid = SOURCES[name](folder / "valid")
    counts, failures = Counter(), []
    for seed in seeds:
        rng = random.Random(seed)
        work = shutil.copytree(folder / "valid", folder / "work")
        source = work / valid.relative_to(folder / "valid")
        files = sorted(path for path in work.rglob("*") if path.is_file())
        shaped = [path for path in files if path.suffix in SHAPED]
        kind = mutate(rng.choice(shaped if shaped and rng.random() < 0.7 else files), rng)
        counts["structured"] += kind != "bytes"
        faulthandler.dump_traceback_later(SECONDS, exit=True)
        try:
            counts[outcome(name.split()[0], source, folder / "out")] += 1
        except Exception as error:
            failures.append(f"{name}, seed {seed}, {kind}: {error!r}")
        faulthandler.cancel_dump_traceback_later()
        assert sorted(path.name for path in folder.iterdir()) == sorted(
            {"valid", "work"} | ({"out"} if (folder / "out").exists() else set())
        )
        shutil.rmtree(folder / "out", ignore_errors=True)
        shutil.rmtree(work)
    print(f"{name}: {dict(counts)}, {len(failures)} exceptions", flush=True)
    assert not failures, "\n".join(failures)
    return counts


def check(counts: Counter, total: int) -> None:
    assert counts["refused"] + counts["complete"] + counts["listed"] == total
    assert counts["structured"] >= 0.5 * total, counts
    assert counts["complete"] + counts["listed"] >= 0.3 * total, counts


@pytest.mark.parametrize("name", SOURCES)
def test_a_valid_source_is_imported(name, tmp_path):
    source = SOURCES[name](tmp_path / "source")
    assert outcome(name.split()[0], source, tmp_path / "out") == "complete"


@pytest.mark.parametrize("name", SOURCES)
def test_mutations(name, tmp_path):
    check(fuzz(name, tmp_path, range(COUNT)), COUNT)


@pytest.mark.slow
@pytest.mark.parametrize("name", SOURCES)
def test_more_mutations(name, tmp_path):
    check(fuzz(name, tmp_path, range(COUNT, COUNT + 300)), 300)
