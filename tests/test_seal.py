"""The hashes of a kit, against hashlib and values known elsewhere."""

import hashlib
import json

import pytest

from cli import Refusal
from export.proof.seal import file_faults, hashes, seal_faults, sealed, sha256, text

ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, of "abc"


def test_a_known_hash(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"abc")
    assert sha256(tmp_path / "a.txt") == sha256(str(tmp_path / "a.txt")) == ABC


@pytest.mark.parametrize(
    ("name", "same"),
    [("a.json", True), ("a.kt", True), ("a", True), ("a.bin", False), ("a.png", False),
     ("a.tflite", False)],
)  # fmt: skip
def test_line_ends_of_text_files(tmp_path, name, same):
    """Git may change them; a lone carriage return is a change."""
    found = []
    for raw in (b"a\nb\n", b"a\r\nb\r\n", b"a\rb\n"):
        (tmp_path / name).write_bytes(raw)
        found.append(sha256(tmp_path / name))
    assert found[0] == hashlib.sha256(b"a\nb\n").hexdigest()
    assert (found[1] == found[0]) == same and found[2] != found[0]


def test_files_of_a_folder(tmp_path):
    (tmp_path / "b/c").mkdir(parents=True)
    for name in ("z.txt", "b/c/abc.txt"):
        (tmp_path / name).write_bytes(b"abc")
    found = hashes(tmp_path)
    assert list(found.items()) == [("b/c/abc.txt", ABC), ("z.txt", ABC)]
    assert hashes(str(tmp_path)) == found


def test_the_seal_by_hand():
    contract = {"schema": 4, "digest": ""}
    content = '{\n "schema": 4,\n "digest": ""\n}\n'
    assert text(contract) == content
    wanted = hashlib.sha256(content.encode()).hexdigest()
    for given in (contract, {"schema": 4}, {"schema": 4, "digest": "old"}):
        assert sealed(given) == {"schema": 4, "digest": wanted}
    assert contract["digest"] == ""


def test_a_broken_seal():
    fault = ["it was changed after the kit was made: its digest is another. Copy the kit again"]
    contract = sealed({"schema": 4, "name": "a", "digest": ""})
    content = text(contract)
    assert seal_faults(content, contract) == []
    assert seal_faults(content.replace('"a"', '"b"'), contract) == fault
    assert seal_faults(content + "\n", contract) == fault
    other = {**contract, "digest": "0" * 64}
    assert seal_faults(text(other), other) == fault
    empty = json.dumps({"digest": ""})  # whatever a digest of itself would be
    assert seal_faults(empty, {"digest": ""}) == fault


def test_files_that_are_another_or_missing(tmp_path):
    for name in ("a.txt", "b.txt", "other.txt"):
        (tmp_path / name).write_bytes(b"abc")
    assert file_faults(tmp_path, {"a.txt": ABC, "b.txt": ABC}) == []
    for raw in (b"a", b"abd"):  # hashes of ca97... and a52d..., above and below
        (tmp_path / "b.txt").write_bytes(raw)
        assert len(file_faults(tmp_path, {"a.txt": ABC, "b.txt": ABC})) == 1
    (tmp_path / "e.txt").write_bytes(b"")
    wanted = dict.fromkeys(("a.txt", "b.txt", "c.txt", "e.txt"), ABC)
    assert file_faults(str(tmp_path), wanted) == [
        "b.txt was changed after the kit was made. Copy the kit again",
        f"{tmp_path / 'c.txt'} cannot be read: No such file or directory. Copy the kit again",
        f"{tmp_path / 'e.txt'} is empty, 0 bytes. Copy the kit again",
    ]
    with pytest.raises(Refusal):
        sha256(tmp_path / "c.txt")
