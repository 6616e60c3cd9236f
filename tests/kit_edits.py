"""Edits of one file of a kit, each of which `verify` must find."""

import os
import re
import shutil


def swapped_lines(raw: bytes) -> bytes:
    lines = raw.split(b"\n")
    middle = len(lines) // 2
    lines[middle - 1 : middle + 1] = reversed(lines[middle - 1 : middle + 1])
    return b"\n".join(lines)


def with_lines(change):
    def changed(raw):
        lines = raw.splitlines(keepends=True)
        middle = len(lines) // 2
        return b"".join([*lines[:middle], *change(lines[middle]), *lines[middle + 1 :]])

    return changed


def flipped(place: float, bit: int):
    def changed(raw):
        index = min(int(place * len(raw)), len(raw) - 1)
        return raw[:index] + bytes([raw[index] ^ bit]) + raw[index + 1 :]

    return changed


def inserted(place: float, new: bytes):
    return lambda raw: raw[: int(place * len(raw))] + new + raw[int(place * len(raw)) :]


def next_digit(match) -> bytes:
    return b"%d" % ((int(match[0]) + 1) % 10)


# Of the content; one that leaves a file as it is (a file without digits, for example) does not
# count.
OF_CONTENT = {
    "empty": lambda raw: b"",
    "half": lambda raw: raw[: len(raw) // 2],
    "last byte missing": lambda raw: raw[:-1],
    "first byte missing": lambda raw: raw[1:],
    "first bit": flipped(0, 0x80),
    "low bit in the middle": flipped(0.5, 1),
    "high bit in the middle": flipped(0.5, 0x40),
    "last bit": flipped(1, 1),
    "zero byte at the end": inserted(1, b"\0"),
    "line end at the end": inserted(1, b"\n"),
    "space in the middle": inserted(0.5, b" "),
    "byte order mark": inserted(0, b"\xef\xbb\xbf"),
    "invalid UTF-8": inserted(0.5, b"\xff\xfe"),
    "null in the middle": inserted(0.5, b"\0"),
    "twice": lambda raw: raw * 2,
    "backwards": lambda raw: raw[::-1],
    "zeros": lambda raw: bytes(len(raw)),
    "block of zeros": lambda raw: raw[: len(raw) // 3] + bytes(16) + raw[len(raw) // 3 + 16 :],
    "line missing": with_lines(lambda line: []),
    "line twice": with_lines(lambda line: [line, line]),
    "lines swapped": swapped_lines,
    "bare carriage returns": lambda raw: raw.replace(b"\n", b"\r"),
    "tabs": lambda raw: raw.replace(b" ", b"\t", 1),
    "letter in upper case": lambda raw: re.sub(rb"[a-z]", lambda m: m[0].upper(), raw, count=1),
    "last digit": lambda raw: re.sub(rb"\d(?=\D*\Z)", next_digit, raw, count=1),
    "first digit": lambda raw: re.sub(rb"\d", next_digit, raw, count=1),
    "0.5 for 1": lambda raw: raw.replace(b"1", b"0.5", 1),
    "UTF-16": lambda raw: raw.decode("latin-1").encode("utf-16"),
}


def linked_to_itself(path):
    path.unlink()
    os.symlink(path, path)


def dangling(path):
    path.unlink()
    os.symlink(path.with_name("nothing"), path)


def a_folder(path):
    path.unlink()
    path.mkdir()


def a_pipe(path):
    path.unlink()
    os.mkfifo(path)


OF_FILE = {"missing": lambda path: path.unlink(), "folder": a_folder, "pipe": a_pipe,
           "link to itself": linked_to_itself, "dangling link": dangling}  # fmt: skip


def edits(kit):
    """(file, edit) of a kit, which is edited while the caller looks at it and restored after."""
    for path in sorted(path for path in kit.rglob("*") if path.is_file()):
        raw = path.read_bytes()
        for name, change in OF_CONTENT.items():
            if (new := change(raw)) != raw:
                path.write_bytes(new)
                yield path.relative_to(kit), name
        path.write_bytes(raw)
        for name, change in OF_FILE.items():
            change(path)
            yield path.relative_to(kit), name
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            path.unlink(missing_ok=True)
            path.write_bytes(raw)
