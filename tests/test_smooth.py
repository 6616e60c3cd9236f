"""Smooth in the kit's languages: the same numbers on a sequence, and the rule by hand."""

import json
import shutil
import subprocess

import numpy as np
import pytest
from kits import KINDS, LABELS, SIZE, kit, scene
from test_phone import module_of
from test_phone_platforms import CLIENT, MADE, needs_node
from test_web_live import node

from export.kit.smooth import Smooth

__all__ = ["kit"]  # a fixture
STEP = 1 / 127.5


def frames():
    """Bytes (N, *SIZE, 3): still with noise, a part that moves, more light, a cut, still."""
    rng, first = np.random.default_rng(4), scene(SIZE, 1)
    part = first.copy()
    part[20:40, 30:60] = part[20:40, 34:64]
    found = [first, first, part, part + 6.0, 255 - first, 255 - first]
    noise = [rng.integers(-4, 5, first.shape) for _ in found]
    return np.stack([np.clip(image + n, 0, 255) for image, n in zip(found, noise, strict=True)])


def all_logits(step, count=6):
    """In units of the output tensor, of which `step` is 1 logit; two of three near each other."""
    found = 3 * np.random.default_rng(5).normal(size=(count, *SIZE, len(LABELS)))
    return (np.clip(np.round(found / step + 128), 0, 255) if step < 1 else found).astype(np.float32)


def by_rule(images, logits, hold):
    """Straight from the description, in float64: the logits after it, (N, *SIZE, classes)."""
    green = images[..., 1].astype(np.float64)
    found, ids = logits.astype(np.float64), None
    rows, columns = np.indices(SIZE)
    for number in range(len(images)):
        change = green[number] - green[number - 1]
        if number and np.abs(change).mean() <= 40:
            wide = np.pad(change, 1, mode="edge")
            windows = np.lib.stride_tricks.sliding_window_view(wide, (3, 3))
            still = np.maximum(1 - (windows.mean((2, 3)) / 20) ** 2, 0)
            found[number, rows, columns, ids] += hold * still
        ids = found[number].argmax(-1)
    return found


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


def read(folder, count=6):
    found = [np.fromfile(folder / f"found{number}", np.float32) for number in range(count)]
    return np.stack(found).reshape(-1, *SIZE, len(LABELS))


def test_python(kit, tmp_path):
    wanted, code = written(kit, tmp_path), module_of(kit)
    segmenter = code.Segmenter(hold=1.5)
    kind = KINDS[json.loads((kit / "contract.json").read_text())["recipe"]][0]
    for number in range(len(wanted)):
        logits = np.fromfile(tmp_path / f"logits{number}", np.float32).reshape(*SIZE, -1)
        tensor = np.fromfile(tmp_path / f"tensor{number}", kind).reshape(1, *SIZE, 3)
        segmenter.logits = lambda tensor, logits=logits: logits
        code.to_tensor = lambda *_, tensor=tensor: tensor
        ids = segmenter.frame(np.zeros((*SIZE, 3), np.uint8))
        assert np.abs(logits - wanted[number]).max() <= 1e-4
        assert (ids == wanted[number].argmax(-1)).all()


LIVE = """
const answers = [0, 1, 2, 3, 4, 5].map((number) => floats(`${folder}/logits${number}`));
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


def test_by_hand():
    """Brightness changes by 10 of 20: 1 - 1/4 of the hold, 1.5; by 20, or by more than 40: 0."""
    smooth, ids = Smooth(2.0), np.array([[1, 0]])
    seen = []
    for brightness in (100, 110, 130, 130, 200):
        tensor = np.full((1, 1, 2, 3), brightness * STEP - 1, np.float32)
        logits = np.zeros((1, 2, 2), np.float32)
        smooth.add(logits, tensor, ids)
        seen.append(logits.ravel().tolist())
    wanted = [[0, 0, 0, 0], [0, 1.5, 1.5, 0], [0, 0, 0, 0], [0, 2, 2, 0], [0, 0, 0, 0]]
    assert np.allclose(seen, wanted, atol=1e-4)


def test_a_change_of_one_pixel_is_spread_over_nine():
    """A pixel brighter by 45 is a change of 5 for each pixel around: 1 - 1/16."""
    smooth, tensor = Smooth(2.0), np.zeros((1, 5, 5, 3), np.float32)
    ids, logits = np.zeros((5, 5), np.uint8), np.zeros((5, 5, 1), np.float32)
    smooth.add(logits, tensor, ids)
    tensor[0, 2, 2] = 45 * STEP
    smooth.add(logits, tensor, ids)
    wanted = np.full((5, 5), 2.0)
    wanted[1:4, 1:4] = 2 * (1 - 1 / 16)
    assert np.allclose(logits[..., 0], wanted, atol=1e-4)
