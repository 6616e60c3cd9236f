"""Mutations of files for test_fuzz: one fault each, most of them still well-formed."""

import io
import json
import struct
import zipfile
import zlib
from pathlib import Path
from xml.etree import ElementTree

STRANGE = (
    None, True, -1, 0, 1, 255, 256, 2**31, 2**63, 1e308, float("nan"), float("inf"), "", "x",
    "../../etc/passwd", "/etc/passwd", "a\x00b", "\ud800", [], {}, [[]], [None],
    {"x": 1}, "9" * 400, [1e9, -1e9],
)  # fmt: skip
PNG = b"\x89PNG\r\n\x1a\n"
# (offset, format, values) of width, height, bit depth, colour type and interlace.
IHDR = (
    (0, ">I", (0, 1, 7, 2**16, 2**31 - 1, 2**32 - 1)), (4, ">I", (0, 1, 7, 2**16, 2**31 - 1)),
    (8, ">B", (1, 2, 4, 8, 16, 3)), (9, ">B", (0, 2, 3, 4, 6, 1)), (12, ">B", (0, 1, 2)),
)  # fmt: skip


def mutate(path: Path, rng) -> str:
    """Mutates a file in place. Returns the kind: "json", "png", "zip", "xml", "text" or "bytes"."""
    raw = path.read_bytes()
    kinds = {".json": json_, ".png": png, ".zip": zip_, ".txt": text, ".yaml": text, ".toml": text,
             ".csv": text, ".xml": xml}  # fmt: skip
    kind = kinds.get(path.suffix.lower(), bytes_)
    if rng.random() < 0.3:
        kind = bytes_
    path.write_bytes(kind(raw, rng))
    return kind.__name__.rstrip("_")


def bytes_(raw: bytes, rng) -> bytes:
    """Truncates the file or changes some bytes."""
    if rng.random() < 0.3:
        return raw[: rng.randrange(len(raw) + 1)]
    changed = bytearray(raw)
    for _ in range(min(len(raw), rng.choice((1, 2, 8)))):
        changed[rng.randrange(len(raw))] = rng.randrange(256)
    return bytes(changed)


def json_(raw: bytes, rng) -> bytes:
    """Replaces, removes or duplicates one node; the result is valid JSON."""
    tree = json.loads(raw)
    places = list(nodes(tree))
    if not places:
        return json.dumps(rng.choice(STRANGE)).encode()
    holder, key = rng.choice(places)
    what = rng.random()
    if what < 0.7:
        holder[key] = rng.choice(STRANGE)
    elif what < 0.85:
        del holder[key]
    elif isinstance(holder, list):
        holder.append(holder[key])
    else:
        holder[key] = [holder[key], holder[key]]
    return json.dumps(tree).encode()


def nodes(tree):
    """(list or dict, index or key) of every node except the root."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for key, value in list(items):
        yield tree, key
        if isinstance(value, (dict, list)):
            yield from nodes(value)


def xml(raw: bytes, rng) -> bytes:
    """Replaces an attribute, or removes or duplicates an element; the result is well-formed."""
    root = ElementTree.fromstring(raw)
    pairs = [(parent, child) for parent in root.iter() for child in parent]
    parent, child = rng.choice(pairs)
    what = rng.random()
    if what < 0.7 and child.attrib:
        strange = str(rng.choice(STRANGE)).replace("\0", "").replace("\ud800", "")
        child.set(rng.choice(sorted(child.attrib)), strange)
    elif what < 0.85:
        parent.remove(child)
    else:
        parent.append(child)
    return ElementTree.tostring(root)


def png(raw: bytes, rng) -> bytes:
    """Mutates one header field or chunk; the checksums stay valid."""
    if not raw.startswith(PNG):
        return bytes_(raw, rng)
    parts = list(chunks(raw))
    what = rng.random()
    if what < 0.6:
        offset, form, values = rng.choice(IHDR)
        kind, body = parts[0]
        parts[0] = kind, bytearray(body)
        struct.pack_into(form, parts[0][1], offset, rng.choice(values))
    else:
        index = rng.randrange(len(parts))
        kind, body = parts[index]
        if what < 0.7:
            del parts[index]
        elif what < 0.8:
            parts.insert(index, parts[index])
        else:
            parts[index] = kind, bytes_(bytes(body), rng) if body else b"x"
    return PNG + b"".join(chunk(kind, bytes(body)) for kind, body in parts)


def chunks(raw: bytes):
    at = len(PNG)
    while at < len(raw):
        (length,) = struct.unpack_from(">I", raw, at)
        yield raw[at + 4 : at + 8], raw[at + 8 : at + 8 + length]
        at += 12 + length


def chunk(kind: bytes, body: bytes) -> bytes:
    check = zlib.crc32(kind + body)
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", check)


def grey_png(bits, rows, claimed=None):
    """A grey PNG of any bit depth, written by hand because Pillow cannot."""
    header = struct.pack(">IIBBBBB", *(claimed or (len(rows[0]), len(rows))), bits, 0, 0, 0, 0)
    lines = b""
    for row in rows:
        text = "".join(f"{value:0{bits}b}" for value in row)
        text += "0" * (-len(text) % 8)
        lines += b"\0" + int(text, 2).to_bytes(len(text) // 8, "big")
    return PNG + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")


def zip_(raw: bytes, rng) -> bytes:
    """Makes one entry point outside the folder or be a link, or duplicates or mutates it."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(raw)) as old, zipfile.ZipFile(out, "w") as new:
        entries = [(info, old.read(info)) for info in old.infolist()]
        odd = rng.randrange(len(entries))
        for index, (info, body) in enumerate(entries):
            if index == odd:
                what = rng.choice(("outside", "absolute", "link", "twice", "inside"))
                if what == "outside":
                    info.filename = "../" * rng.choice((1, 9)) + info.filename
                elif what == "absolute":
                    info.filename = "/tmp/" + info.filename
                elif what == "link":
                    info.external_attr, body = 0o120777 << 16, b"/etc/passwd"
                elif what == "twice":
                    new.writestr(info.filename, body)
                else:
                    suffix = Path(info.filename).suffix
                    kind = {".png": png, ".txt": text, ".json": json_}.get(suffix, bytes_)
                    body = kind(body, rng) if body else b"x"
            new.writestr(info, body)
    return out.getvalue()


def text(raw: bytes, rng) -> bytes:
    """Removes, duplicates or empties one line, or replaces one of its words."""
    lines = raw.decode("utf-8", "replace").split("\n")
    index = rng.randrange(len(lines))
    what = rng.random()
    words = lines[index].split(" ")
    if what < 0.15:
        del lines[index]
    elif what < 0.3:
        lines.insert(index, lines[index])
    elif what < 0.4:
        lines[index] = ""
    else:
        words[rng.randrange(len(words))] = str(rng.choice(STRANGE))
        lines[index] = " ".join(words)
    return "\n".join(lines).encode("utf-8", "replace")
