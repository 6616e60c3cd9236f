"""Verifying a kit: an intact kit passes, and each kind of damage is found by its check."""

import copy
import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import pytest
from kit_edits import OF_CONTENT, OF_FILE, edits
from kits import allowed
from mutations import STRANGE, nodes

from cli import Refusal
from export.kit.code import FILES
from export.kit.verify import verify
from export.make import Choices, export_run
from export.proof.seal import BINARY, hashes, sealed, text

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def kits(finished, tmp_path_factory):
    run = shutil.copytree(finished / "run", tmp_path_factory.mktemp("verify") / "run")
    _, refused = export_run(run, "float32,int8", Choices(max_drop=0.05))
    assert refused == []
    return run / "export"


@pytest.fixture(params=["float32", "int8"])
def kit(kits, tmp_path, request):
    return shutil.copytree(kits / request.param, tmp_path / "kit")


@pytest.fixture
def one(kits, tmp_path):
    return shutil.copytree(kits / "int8", tmp_path / "kit")


def wrong(kit):
    """Names of the checks that find a fault."""
    return {check for check, lines in verify(kit).items() if lines}


def read(kit):
    return json.loads((kit / "contract.json").read_text())


def forge(kit, **change):
    """Changes the contract as one does who knows of its hashes: they are right afterwards."""
    contract = {**read(kit), **change, "files": hashes(kit)}
    del contract["files"]["contract.json"]
    (kit / "contract.json").write_text(text(sealed(contract)))


def test_an_intact_kit(kit):
    assert wrong(kit) == set()
    forge(kit)
    assert wrong(kit) == set()


def test_every_edit_of_every_file(one):
    files = [path for path in one.rglob("*") if path.is_file()]
    found = 0
    for path, edit in edits(one):
        check = "contract" if path.name == "contract.json" else "files"
        if (edit, check) == ("missing", "contract"):
            continue  # see test_no_kit
        assert wrong(one) == {check}, (path, edit)
        found += 1
    assert found > 0.8 * len(files) * len({**OF_CONTENT, **OF_FILE})
    assert wrong(one) == set()


def changed_contracts(contract, rng, count):
    """(what, contract) with each node replaced by `count` strange values, removed and doubled."""
    for index in range(len(list(nodes(contract)))):
        for value in (*rng.sample(STRANGE, count), "removed", "doubled"):
            new = copy.deepcopy(contract)
            holder, key = list(nodes(new))[index]
            old = holder[key]
            if value == "removed":
                del holder[key]
            elif value == "doubled":
                holder[key] = [old, old]
            else:
                holder[key] = value
            if json.dumps(new) != json.dumps(contract):
                yield f"{key}: {old!r:.40} -> {value!r:.40}", new


def unnoticed(kit, count):
    seen = []
    for what, new in changed_contracts(read(kit), random.Random(0), count):
        (kit / "contract.json").write_text(json.dumps(new, indent=1) + "\n")
        if wrong(kit) != {"contract"}:
            seen.append(what)
    return seen


def test_every_node_of_the_contract(one):
    assert unnoticed(one, 2) == []


@pytest.mark.slow
def test_every_node_of_the_contract_with_every_value(kit):
    assert unnoticed(kit, len(STRANGE)) == []


def forged(kit, count, every):
    """A forger may change what nothing else in the kit says (versions), but breaks nothing."""
    contract, passed = read(kit), set()
    for number, (what, new) in enumerate(changed_contracts(contract, random.Random(1), count)):
        if number % every == 0 and new != contract:  # 1.0 and 1 mean the same
            (kit / "contract.json").write_bytes(text(sealed(new)).encode())
            if not wrong(kit):
                passed.add(what.partition(":")[0])
    return passed - set(contract["versions"]) - {"digest", "versions"}


def test_a_forged_contract(one):
    assert forged(one, 2, 20) == set()


@pytest.mark.slow
def test_every_forged_contract(kit):
    assert forged(kit, len(STRANGE), 1) == set()


@pytest.mark.parametrize(
    "content",
    ["", "[]", "3", "null", "{", "{}", "[" * 100_000, '{"schema": 5}', '{"schema": NaN}',
     '{"schema": ' + "9" * 5000 + "}", '{"schema": 3, "sha256": ""}'],
)  # fmt: skip
def test_no_contract(one, content):
    (one / "contract.json").write_text(content)
    assert wrong(one) == {"contract"}


def test_kits_that_were_moved_or_checked_out(kit, tmp_path):
    """Renamed, zipped, read-only, linked, with the line ends of Windows and files of systems."""
    shutil.make_archive(tmp_path / "packed", "zip", kit)
    shutil.unpack_archive(tmp_path / "packed.zip", tmp_path / "Model für die App")
    moved = tmp_path / "Model für die App"
    os.symlink(moved, tmp_path / "link")
    (moved / ".DS_Store").write_bytes(b"\0")
    (moved / "golden/Thumbs.db").write_bytes(b"\0")
    for path in moved.rglob("*"):
        if path.is_file() and path.suffix not in BINARY:
            path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    for path in (*moved.rglob("*"), moved):
        path.chmod(0o555)
    assert b"\r\n" in (moved / "contract.json").read_bytes()
    assert wrong(moved) == wrong(tmp_path / "link") == set()


FORGERIES = [
    ({"colour_order": "BGR"}, "golden"),
    ({"colour_order": "BGR"}, "metadata"),
    ({"mean": 0.0, "std": 255.0, "range": [0.0, 1.0]}, "metadata"),
    ({"mean": 0.0, "std": 255.0}, "contract"),
    ({"std": 0.0}, "contract"),
    ({"range": [0.0, 1.0]}, "contract"),
    ({"resize": "bilinear"}, "contract"),
    ({"labels": ["disc", "box", "star", "background"]}, "metadata"),
    ({"labels": ["disc", "box", "star", "background"]}, "code"),
    ({"labels": ["disc"]}, "contract"),
    ({"colours": [[0, 0, 0]] * 4}, "code"),
    ({"colours": [[0, 0, 256]] * 4}, "contract"),
    ({"targets": ["coreml"]}, "operators"),
    ({"targets": ["xnnpack", "gpu"]}, "report"),
    ({"recipe": "float16"}, "report"),
    ({"weights": "00"}, "report"),
    ({"lowering": "mirrored+depth_to_space"}, "report"),
    ({"preset": "small"}, "code"),
    ({"golden": dict.fromkeys(("xnnpack", "reference", "half"), allowed(1000.0))}, "code"),
    ({"golden": {"xnnpack": allowed(1000.0)}}, "contract"),
    ({"sha256": "00" * 32}, "contract"),
    ({"schema": 3}, "contract"),
]


@pytest.mark.parametrize(("change", "check"), FORGERIES)
def test_a_forgery(kit, change, check):
    forge(kit, **change)
    assert check in wrong(kit)


@pytest.mark.parametrize("side", ["input", "output"])
@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("name", "x"),
        ("scale", 0.5),
        ("zero_point", 3),
        ("shape", [1, 96, 96, 3]),
        ("dtype", "int8"),
    ],
)
def test_a_forged_tensor(kit, side, key, value):
    forge(kit, **{side: {**read(kit)[side], key: value}})
    assert wrong(kit) & {"tensors", "contract"}


def test_the_golden_pair_reveals_wrong_normalisation_too(kits, tmp_path):
    kit = shutil.copytree(kits / "float32", tmp_path / "kit")
    forge(kit, mean=0.0, std=255.0, range=[0.0, 1.0])
    assert {"golden", "resize rule"} <= wrong(kit)


@pytest.mark.parametrize(
    ("name", "change", "check"),
    [
        ("model.tflite", lambda raw: raw[: len(raw) // 2], "contract"),
        ("golden/output.bin", lambda raw: raw[::-1], "golden"),
        ("golden/output.bin", lambda raw: raw[4:], "golden"),
        ("golden/mask.png", None, "golden"),
        ("golden/photo_mask.png", None, "resize rule"),
        ("golden/photo.png", lambda raw: raw[:200], "resize rule"),
        ("report.json", lambda raw: b"[]", "report"),
        ("report.json", lambda raw: b"{", "report"),
        ("labels.txt", lambda raw: raw.replace(b"disc", b"disk"), "code"),
        (FILES[0], lambda raw: raw.replace(b'"disc"', b'"disk"'), "code"),
        ("ios/Resize.swift", lambda raw: raw + b"\n", "code"),
    ],
)
def test_a_forged_file(kit, name, change, check):
    """The hashes of the changed file are right, as if the export itself had written it."""
    path = kit / name
    path.write_bytes(
        change(path.read_bytes()) if change else (kit / "golden/image.png").read_bytes()
    )
    forge(kit)
    assert check in wrong(kit)


def test_a_damaged_model_with_the_right_hashes(kit):
    (kit / "model.tflite").write_bytes(b"x" * 1000)
    contract = read(kit)
    forge(kit, sha256=hashes(kit)["model.tflite"])
    assert wrong(kit) == {"tensors"}
    assert contract["sha256"] != read(kit)["sha256"]


def test_no_kit(one, tmp_path):
    (one / "contract.json").unlink()
    for path in (one, tmp_path / "nothing", one / "model.tflite"):
        with pytest.raises(Refusal, match=r"is not a kit: contract.json is missing"):
            verify(path)


def test_command(one):
    words = [sys.executable, "-m", "export", "verify", str(one)]
    end = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert end.returncode == 0 and end.stdout.count(" ok\n") == 9
    (one / "web/segnet.js").unlink()
    end = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert end.returncode == 1 and "does not match its contract" in end.stderr
    assert "segnet.js cannot be read: No such file or directory. Copy the kit again" in end.stdout
    (one / "contract.json").unlink()
    end = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert end.returncode == 2 and "is not a kit: contract.json is missing" in end.stderr
