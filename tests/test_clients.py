"""Kits in the runtimes that apps use, each in an environment of its own: make test-clients.

A client is a command that is given MODEL INPUT OUTPUT: the bytes of the input tensor as the file
takes it, and where those of the output tensor go, little-endian. It prints a line of JSON with its
version, and ends with another code than 0 when it refuses the file. All are held against LiteRT's
interpreter with XNNPACK on this machine. What was seen is printed at the end as a table.
"""

import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from conftest import show_all_classes, train

from export.make import Choices, export_run, load

ROOT = Path(__file__).parent.parent
RECIPES = ("float32", "float16", "dynamic8", "int8", "int8-full")
TRAINED = [*(("tiny", recipe) for recipe in RECIPES), ("base", "float32"), ("course160", "float32")]
# Kits made before, instead: make test-clients KITS="runs/NAME/export/int8 ..."
KITS = os.environ.get("KITS", "").split()


class Client(NamedTuple):
    command: list[str]
    made_by: str  # the Makefile's target that ends with its environment
    needs: tuple[str, ...] = ()  # programs of the machine
    gpu: bool = False  # may refuse a file, and computes in float32 whatever the file's types
    mask: bool = False  # gives class ids (H, W) uint8 instead of logits


def python(*words: str) -> list[str]:
    return [sys.executable, *words]


DEBIAN = ("apt-get", "dpkg-deb")
VULKAN = ROOT / ".clients/vulkan"
SOFTWARE = [
    "env",
    f"LD_LIBRARY_PATH={VULKAN}",
    f"VK_ICD_FILENAMES={VULKAN}/vk_swiftshader_icd.json",
]
# fmt: off
CLIENTS = {
    "mediapipe": Client([".venv-mediapipe/bin/python", "mediapipe_client.py"],
                        ".venv-mediapipe/done", mask=True),
    "node": Client(["node", "--experimental-wasm-relaxed-simd", "node_client.mjs"],
                   ".clients/node/done", ("npm", "node")),
    "chromium": Client(python("browser_client.py", "wasm"),
                       ".clients/node/done", ("npm", "chromium")),
    "chromium-webgpu": Client(python("browser_client.py", "webgpu"),
                              ".clients/node/done", ("npm", "chromium"), gpu=True),
    "gpu": Client([*SOFTWARE, *python("-m", "export.targets.run_gpu")],
                  ".clients/vulkan/done", DEBIAN, gpu=True),
    "cortex-a53": Client(python("arm_client.py", "cortex-a53"), ".clients/arm/done", DEBIAN),
    "cortex-a76": Client(python("arm_client.py", "cortex-a76"), ".clients/arm/done", DEBIAN),
}
# What a file computes in, and whether a GPU runs it -> (largest difference, as a part of the
# largest logit; least share of pixels of equal class). A GPU does not round to integers between
# the layers; with dynamic8 the rounding of activations magnifies the last digit of a float.
LIMITS = {
    ("float", False): (1e-5, 1.0),
    ("float", True): (1e-4, 1.0),
    ("integer", False): (0.0, 1.0),
    ("integer", True): (0.05, 0.99),
    ("dynamic8", False): (0.02, 0.99),
    ("dynamic8", True): (0.05, 0.99),
}
# fmt: on


def arithmetic(contract: dict) -> str:
    if contract["input"]["dtype"] == "uint8":
        return "integer"
    return "dynamic8" if contract["recipe"] == "dynamic8" else "float"


def ask(client: Client, *files: Path) -> tuple[int, dict]:
    """A client's exit code and what it says of itself and of the file."""
    command = [f"tests/clients/{w}" if "client." in w else w for w in client.command]
    end = subprocess.run([*command, *files], cwd=ROOT, capture_output=True, text=True)
    lines = [line for line in end.stdout.splitlines() if line.startswith("{")]
    said = {"version": " ".join(client.command), "refused": end.stderr.splitlines()[-1:]}
    return end.returncode, json.loads(lines[-1]) if lines else said


def skip_without(client: Client) -> None:
    for program in client.needs:
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not on this machine")
    if not (ROOT / client.made_by).exists():
        pytest.skip(f"make {client.made_by} did not succeed: run it to see why")


def difference(found: np.ndarray, wanted: np.ndarray) -> float:
    """The largest, as a part of the largest logit."""
    found, wanted = np.float64(found), np.float64(wanted)
    return float(np.abs(found - wanted).max() / np.abs(wanted).max())


def clear(logits: np.ndarray, limit: float) -> np.ndarray:
    """(1, H, W) bool: where a difference of `limit` cannot change the class."""
    second, first = np.moveaxis(np.sort(np.float64(logits), -1)[..., -2:], -1, 0)
    return first - second >= 2 * limit * np.abs(np.float64(logits)).max()


@pytest.fixture(
    scope="session", params=KITS or TRAINED, ids=lambda p: p if isinstance(p, str) else "-".join(p)
)
def kit(request, finished, tmp_path_factory):
    """The folder of a kit."""
    if request.param in KITS:
        return ROOT / request.param
    preset, recipe = request.param
    run = tmp_path_factory.mktemp("kits") / preset
    if preset == "tiny":
        shutil.copytree(finished / "run", run)
    else:
        end = train(finished / "shapes", run, "--preset", preset)
        assert end.returncode == 0, end.stderr
    if preset == "base":  # two steps leave it with one class everywhere
        trained = load(run)
        show_all_classes(trained.model, trained.calibration)
        trained.model.save_weights(run / "best.weights.h5")
    _, refused = export_run(run, recipe, Choices(targets=("xnnpack", "gpu")))
    assert not refused, refused
    return run / "export" / recipe


@pytest.fixture(scope="session")
def asked(kit, tmp_path_factory):
    """(contract, model, input, output of this machine's interpreter) of a kit."""
    contract = json.loads((kit / "contract.json").read_text())
    folder = tmp_path_factory.mktemp("asked")
    source = kit / "golden" / "input.bin"
    interpreter = Client(python("interpreter_client.py"), "")
    code, said = ask(interpreter, kit / "model.tflite", source, folder / "output.bin")
    assert code == 0, said
    return contract, kit / "model.tflite", source, tensor(folder / "output.bin", contract)


def tensor(path: Path, contract: dict) -> np.ndarray:
    return np.fromfile(path, contract["output"]["dtype"]).reshape(contract["output"]["shape"])


@pytest.fixture(scope="session")
def table():
    """Rows to be printed when all is done."""
    rows = ["| client | runtime | file | equal pixels | largest difference | |"]
    yield rows
    print("", rows[0], "|---" * 6 + "|", *rows[1:], sep="\n")


@pytest.mark.clients
@pytest.mark.parametrize("name", CLIENTS)
def test_client_gives_what_the_interpreter_gives(asked, name, table, tmp_path):
    client, (contract, model, source, wanted) = CLIENTS[name], asked
    skip_without(client)
    code, said = ask(client, model, source, tmp_path / "output.bin")
    file = f"{name} | {said['version']} | {contract['preset']} {contract['recipe']}"
    if code:
        table.append(f"| {file} | | | refused: {'; '.join(said['refused'])} |")
        assert client.gpu and contract["recipe"] != "float32", said
        return
    limit, floor = LIMITS[arithmetic(contract), client.gpu]
    if client.mask:
        found = np.fromfile(tmp_path / "output.bin", np.uint8).reshape(wanted.shape[:3])
        largest = 0.0
        assert said["labels"] == contract["labels"]
    else:
        logits = tensor(tmp_path / "output.bin", contract)
        largest, found = difference(logits, wanted), logits.argmax(-1)
    same = found == wanted.argmax(-1)
    shown = "" if client.mask else f"{largest:.1e}" if largest else "bit-equal"
    table.append(
        f"| {file} | {same.mean():.3%} | {shown} | {'whole' if said.get('whole') else ''} |"
    )
    assert len(np.unique(wanted.argmax(-1))) > 1
    if client.gpu and "gpu" not in contract["targets"]:
        return  # told in the table, promised to nobody: WebGPU takes sparse16 and gets it wrong
    # A tie may fall either way; where pixels may differ at all, ties are among them.
    judged = clear(wanted, limit) if floor == 1 else np.full(same.shape, True)
    assert judged.mean() > 0.9
    assert largest <= limit and same[judged].mean() >= floor
    if name == "gpu":
        assert said["whole"]


@pytest.mark.clients
def test_gpu_names_the_operator_that_it_refuses(tmp_path):
    """A ReLU right behind a deconvolution is fused: version 4 of it."""
    import keras
    import tensorflow as tf

    skip_without(CLIENTS["gpu"])
    x = keras.Input((8, 8, 3), batch_size=1)
    up = keras.layers.Conv2DTranspose(4, 2, 2, activation="relu", bias_initializer="ones")
    model, source = tmp_path / "model.tflite", tmp_path / "input.bin"
    with contextlib.redirect_stdout(io.StringIO()):  # it lists every variable
        content = tf.lite.TFLiteConverter.from_keras_model(keras.Model(x, up(x))).convert()
    model.write_bytes(content)
    source.write_bytes(bytes(8 * 8 * 3 * 4))
    code, said = ask(CLIENTS["gpu"], model, source, tmp_path / "output.bin")
    assert code == 1 and said["whole"] is False
    assert said["refused"] == ["TRANSPOSE_CONV: Max version supported: 3. Requested version 4."]


@pytest.mark.clients
def test_export_runs_the_gpu_where_there_is_one(finished, tmp_path):
    skip_without(CLIENTS["gpu"])
    run = shutil.copytree(finished / "run", tmp_path / "run")
    words = python("-m", "export", str(run), "--target", "xnnpack,gpu,npu", "--lower", "auto")
    end = subprocess.run([*SOFTWARE, *words], cwd=ROOT, capture_output=True, text=True)
    assert end.returncode == 0, end.stderr
    targets = json.loads((run / "export/float32/report.json").read_text())["targets"]
    how = {name: found["how"].split(" and ")[0] for name, found in targets.items()}
    listed = "published list"
    assert how == {"xnnpack": "run here", "gpu": "run here", "coreml": listed, "npu": listed}


def test_difference_and_ties_by_hand():
    wanted = np.array([[[[1.0, -4.0], [0.5, 2.0]]]])  # two pixels: 5 and 1.5 ahead, of 4
    assert difference(wanted, wanted) == 0.0
    assert difference(wanted + [[[[0.0, 0.0], [2.0, 0.0]]]], wanted) == 0.5
    assert clear(wanted, 0.0).tolist() == [[[True, True]]]
    assert clear(wanted, 0.1875).tolist() == [[[True, True]]]  # each may move by 0.75
    assert clear(wanted, 0.19).tolist() == [[[True, False]]]
