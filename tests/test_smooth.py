"""Smooth in the kit's languages: the same numbers on a sequence, and the rule by hand."""

import itertools
import json
import math
import shutil
import subprocess

import cv2
import numpy as np
import pytest
from kits import KINDS, LABELS, SIZE, kit, scene
from test_phone import module_of
from test_phone_platforms import CLIENT, MADE, needs_node
from test_phone_swift import app, check, stubs
from test_web_live import node

from export.kit.smooth import Smooth

__all__ = ["app", "kit", "stubs"]  # fixtures
STEP = 1 / 127.5


def frames(size=SIZE):
    """Bytes (N, *size, 3): still with noise, moved, a part that moves otherwise, more light and
    zoomed, a cut, still."""
    rng, (height, width) = np.random.default_rng(4), size
    large = scene((height + 8, width + 8), 1)
    first, moved = (large[y : y + height, x : x + width] for y, x in ((4, 4), (3, 6)))
    part = moved.copy()
    part[: height // 2, width // 2 :] = large[5 : 5 + height // 2, 4 + width // 2 : 4 + width]
    zoomed = cv2.resize(large, size[::-1]) + 6.0
    found = [first, first, moved, part, zoomed, 255 - first, 255 - first]
    noise = [rng.integers(-4, 5, first.shape) for _ in found]
    return np.stack([np.clip(image + n, 0, 255) for image, n in zip(found, noise, strict=True)])


def all_logits(step, count=7, size=SIZE):
    """In units of the output tensor, of which `step` is 1 logit."""
    found = 3 * np.random.default_rng(5).normal(size=(count, *size, len(LABELS)))
    return (np.clip(np.round(found / step + 128), 0, 255) if step < 1 else found).astype(np.float32)


def by_rule(images, logits, hold):
    """Straight from the description, in float64: the logits after it, (N, H, W, classes)."""
    green = images[..., 1].astype(np.uint8).astype(np.float64)
    found, ids = logits.astype(np.float64), None
    rows, columns = np.indices(green.shape[1:])
    for number in range(len(images)):
        if number:
            ys, xs = origins(green[number - 1], green[number])
            change = green[number] - green[number - 1][ys, xs]
            height, width = (side // 4 for side in change.shape)  # in whole blocks of 4x4
            lines = change[: 4 * height, : 4 * width].reshape(height, 4, width, 4)[:, ::2]
            means = lines.mean((1, 3))
            if np.abs(means).mean() <= 40:
                still = np.zeros(change.shape)
                favoured = np.maximum(1 - (means / 20) ** 2, 0).repeat(4, 0).repeat(4, 1)
                still[: 4 * height, : 4 * width] = favoured
                found[number, rows, columns, ids[ys, xs]] += hold * still
        ids = found[number].argmax(-1)
    return found


def origins(before, now):
    """(y, x), each (H, W): where every pixel was in the frame before, tile by tile."""
    height, width = now.shape
    tall, wide = (4 * math.ceil(side / 16) for side in now.shape)
    ys, xs = np.indices(now.shape)
    for top, left in itertools.product(range(0, height, tall), range(0, width, wide)):
        tile = slice(top, top + tall), slice(left, left + wide)
        strips = [image[:, tile[1]].sum(1) for image in (before, now)]
        ys[tile] += shift(*strips, range(top, min(top + tall, height)))
        strips = [image[tile[0]].sum(0) for image in (before, now)]
        xs[tile] += shift(*strips, range(left, min(left + wide, width)))
    return np.clip(ys, 0, height - 1), np.clip(xs, 0, width - 1)


def shift(before, now, places):
    """By how many places the slopes there were elsewhere; of equally good ones 0, or the least."""

    def slope(sums, i):
        i = min(max(i, 0), len(sums) - 1)
        return sums[i] - sums[max(i - 2, 0)]

    def error(by):
        return sum(abs(slope(now, i) - slope(before, i + by)) for i in places)

    reach = len(now) // 32
    return min([0, *range(-reach, reach + 1)], key=error)


def written(kit, folder):
    """Writes the sequence as the kit takes it; returns what is wanted of it."""
    made = json.loads((kit / "contract.json").read_text())
    step = made["output"]["scale"] if made["output"]["dtype"] == "uint8" else 1
    images, logits = frames(), all_logits(step)
    for number, (image, values) in enumerate(zip(images, logits, strict=True)):
        tensor = image.astype(np.uint8)
        if made["input"]["dtype"] == "float32":
            tensor = (image / 127.5 - 1).astype(np.float32)
        tensor.tofile(folder / f"tensor{number}")
        values.tofile(folder / f"logits{number}")
        np.dstack([image, image[..., :1]]).astype(np.uint8).tofile(folder / f"rgba{number}")
    wanted = by_rule(images, logits, 1.5 / step)
    assert (wanted.argmax(-1) != logits.argmax(-1)).mean() > 0.05
    return wanted


def read(folder, count=7):
    found = [np.fromfile(folder / f"found{number}", np.float32) for number in range(count)]
    return np.stack(found).reshape(-1, *SIZE, len(LABELS))


def test_python(kit, tmp_path):
    wanted, code = written(kit, tmp_path), module_of(kit)
    segmenter = code.Segmenter(hold=1.5)
    kind = KINDS[json.loads((kit / "contract.json").read_text())["recipe"]][0]
    for number in range(len(wanted)):
        logits = np.fromfile(tmp_path / f"logits{number}", np.float32).reshape(*SIZE, -1)
        tensor = np.fromfile(tmp_path / f"tensor{number}", kind).reshape(1, *SIZE, 3)
        segmenter.infer = lambda tensor, logits=logits: logits
        code.to_tensor = lambda *_, tensor=tensor: tensor
        ids = segmenter.frame(np.zeros((*SIZE, 3), np.uint8))
        assert np.abs(logits - wanted[number]).max() <= 1e-4
        assert (ids == wanted[number].argmax(-1)).all()


LIVE = """
const answers = [0, 1, 2, 3, 4, 5, 6].map((number) => floats(`${folder}/logits${number}`));
const one = await segmenter(async () => [output(answers.shift())]);
const live = new web.Live(one, { hold: 1.5 });
for (let number = 0; answers.length; number++) {
  const data = new Uint8ClampedArray(readFileSync(`${folder}/rgba${number}`));
  write(`ids${number}`, await live.frame({ data }));
  write(`found${number}`, new Uint8Array(live.logits.buffer));
}
"""


@needs_node
def test_web(kit, tmp_path):
    wanted = written(kit, tmp_path)
    node(kit, tmp_path, LIVE)
    assert np.abs(read(tmp_path) - wanted).max() <= 1e-4
    for number in range(len(wanted)):
        ids = np.fromfile(tmp_path / f"ids{number}", np.uint8).reshape(SIZE)
        assert (ids == wanted[number].argmax(-1)).all()


@pytest.mark.clients
def test_kotlin(kit, tmp_path):
    if not MADE.exists() or shutil.which("java") is None:
        pytest.skip("make .clients/kotlin/done, which needs npm and Java")
    wanted = written(kit, tmp_path)
    compiler = MADE.parent / "node_modules" / "kotlin-compiler"
    files = [CLIENT / "SmoothCheck.kt", *kit.rglob("Smooth.kt"), *kit.rglob("Contract.kt")]
    subprocess.run(["bash", compiler / "bin/kotlinc", "-nowarn", "-d", tmp_path / "out", *files],
                   check=True)  # fmt: skip
    path = f"{tmp_path / 'out'}:{compiler / 'lib/kotlin-stdlib.jar'}"
    kind = KINDS[json.loads((kit / "contract.json").read_text())["recipe"]][0]
    words = ["java", "-cp", path, "SmoothCheckKt", tmp_path, str(len(wanted)), kind]
    subprocess.run(words, check=True)
    assert np.abs(read(tmp_path) - wanted).max() <= 1e-4


@pytest.mark.clients
def test_swift(app, kit, tmp_path):
    wanted = written(kit, tmp_path)
    end = check(app, kit, "smooth", tmp_path, str(len(wanted)))
    assert end.returncode == 0, end.stderr
    assert np.abs(read(tmp_path) - wanted).max() <= 1e-4


@pytest.mark.parametrize("size", [(24, 40), (72, 132), (65, 99)])
def test_sizes_that_tiles_or_blocks_do_not_divide(size):
    images, logits = frames(size), all_logits(1, size=size)
    wanted, smooth, ids = by_rule(images, logits, 1.5), Smooth(1.5), None
    for image, found, right in zip(images, logits, wanted, strict=True):
        smooth.add(found, (image[None] / 127.5 - 1).astype(np.float32), ids)
        assert np.abs(found - right).max() <= 1e-4
        ids = found.argmax(-1).astype(np.uint8)


def added(images, ids, hold=2.0, classes=2):
    """What Smooth adds to logits of 0 for each image, green alone (H, W)."""
    smooth, seen = Smooth(hold), []
    for image in images:
        tensor = np.repeat(image[None, ..., None] * STEP - 1, 3, -1).astype(np.float32)
        logits = np.zeros((*image.shape, classes), np.float32)
        smooth.add(logits, tensor, ids)
        seen.append(logits)
    return seen


def test_by_hand():
    """Brightness changes by 10 of 20: 1 - 1/4 of the hold, 1.5; by 20, or by more than 40: 0."""
    ids = np.zeros((4, 4), np.uint8)
    ids[:, :2] = 1
    images = [np.full((4, 4), brightness) for brightness in (100, 110, 130, 130, 200)]
    for logits, wanted in zip(added(images, ids), [0, 1.5, 0, 2, 0], strict=True):
        assert np.allclose(logits[:, :2], [0, wanted], atol=1e-4)
        assert np.allclose(logits[:, 2:], [wanted, 0], atol=1e-4)


def test_a_change_of_one_pixel_is_spread_over_its_block():
    """40 are a mean of 5 in eight pixels: 1 - 1/16. The second row of a block is not compared."""
    first = np.full((8, 8), 100)
    compared, skipped = first.copy(), first.copy()
    compared[6, 1] = skipped[5, 1] = 140
    wanted = np.full((8, 8), 2.0)
    wanted[4:, :4] = 2 * (1 - 1 / 16)
    ids = np.zeros((8, 8), np.uint8)
    assert np.allclose(added([first, compared], ids)[1][..., 0], wanted, atol=1e-4)
    assert np.allclose(added([first, skipped], ids)[1][..., 0], 2, atol=1e-4)


def test_classes_move_with_the_image():
    """One pixel down and two to the left; at the edges the outermost classes are repeated."""
    rng = np.random.default_rng(0)
    large = rng.integers(0, 255, (66, 66)).astype(np.float64)
    first, second = large[1:65, :64], large[:64, 2:66]
    ids = rng.integers(0, 2, (64, 64)).astype(np.uint8)
    found = added([first, second], ids)[1]
    inner = found[4:-4, 4:-4]
    assert (inner.argmax(-1) == ids[3:-5, 6:-2]).all() and np.allclose(inner.max(-1), 2)
