"""Kits in the runtimes that apps use, each in a separate environment: make test-clients.

A client is a command with the arguments MODEL INPUT OUTPUT. INPUT holds the bytes of the input
tensor in the file's type; the client writes those of the output tensor to OUTPUT, little-endian. It
prints a line of JSON with its version; its exit code is not 0 when it refuses the file. Every
output is compared with that of LiteRT's interpreter with XNNPACK on this machine. A table of all
results is printed at the end.
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
from conftest import change_best, learn, train

from export.make import Choices, export_run

ROOT = Path(__file__).parent.parent
RECIPES = ("float32", "float16", "dynamic8", "int8", "int8-full")
TRAINED = [*(("tiny", recipe) for recipe in RECIPES), ("base", "float32"), ("course160", "float32")]
# To test existing kits instead: make test-clients KITS="runs/NAME/export/int8 ..."
KITS = os.environ.get("KITS", "").split()


class Client(NamedTuple):
    command: list[str]
    made_by: str  # the Makefile's target that makes its environment
    needs: tuple[str, ...] = ()  # programs that must be installed
    gpu: bool = False  # may refuse a file; computes in float32 whatever the file's types
    mask: bool = False  # its output is class ids (H, W) uint8 instead of logits


def python(*args: str) -> list[str]:
    return [sys.executable, *args]


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
# (Arithmetic of the file, whether a GPU runs it): (largest difference as a fraction of the largest
# logit, least fraction of pixels of equal class). A GPU does not round to integers between layers;
# in dynamic8 the rounding of activations amplifies differences in the last digit of a float.
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


def run_client(client: Client, *files: Path) -> tuple[int, dict]:
    """A client's exit code and its JSON report, with the version and maybe refusals."""
    command = [f"tests/clients/{a}" if "client." in a else a for a in client.command]
    end = subprocess.run([*command, *files], cwd=ROOT, capture_output=True, text=True)
    lines = [line for line in end.stdout.splitlines() if line.startswith("{")]
    crashed = {"version": " ".join(client.command), "refused": end.stderr.splitlines()[-1:]}
    return end.returncode, json.loads(lines[-1]) if lines else crashed


def skip_without(client: Client) -> None:
    for program in client.needs:
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    if not (ROOT / client.made_by).exists():
        pytest.skip(f"{client.made_by} is missing: run make {client.made_by}")


def difference(found: np.ndarray, wanted: np.ndarray) -> float:
    """The largest absolute difference, as a fraction of the largest logit."""
    found, wanted = np.float64(found), np.float64(wanted)
    return float(np.abs(found - wanted).max() / np.abs(wanted).max())


def clear(logits: np.ndarray, limit: float) -> np.ndarray:
    """(1, H, W) bool: pixels whose class a difference of `limit` cannot change."""
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
        change_best(run, learn)
    _, refused = export_run(run, recipe, Choices(targets=("xnnpack", "gpu"), max_drop=0.05))
    assert not refused, refused
    return run / "export" / recipe


@pytest.fixture(scope="session")
def reference(kit, tmp_path_factory):
    """(contract, model, input, output of LiteRT's interpreter on this machine) of a kit."""
    contract = json.loads((kit / "contract.json").read_text())
    folder = tmp_path_factory.mktemp("reference")
    source = kit / "golden" / "input.bin"
    interpreter = Client(python("interpreter_client.py"), "")
    code, report = run_client(interpreter, kit / "model.tflite", source, folder / "output.bin")
    assert code == 0, report
    return contract, kit / "model.tflite", source, tensor(folder / "output.bin", contract)


def tensor(path: Path, contract: dict) -> np.ndarray:
    return np.fromfile(path, contract["output"]["dtype"]).reshape(contract["output"]["shape"])


@pytest.fixture(scope="session")
def table():
    """The rows of the table that is printed at the end."""
    rows = ["| client | runtime | file | pixel agreement | largest difference | |"]
    yield rows
    print("", rows[0], "|---" * 6 + "|", *rows[1:], sep="\n")


@pytest.mark.clients
@pytest.mark.parametrize("name", CLIENTS)
def test_client_agrees_with_the_interpreter(reference, name, table, tmp_path):
    client, (contract, model, source, wanted) = CLIENTS[name], reference
    skip_without(client)
    code, report = run_client(client, model, source, tmp_path / "output.bin")
    file = f"{name} | {report['version']} | {contract['preset']} {contract['recipe']}"
    if code:
        table.append(f"| {file} | | | refused: {'; '.join(report['refused'])} |")
        assert client.gpu and contract["recipe"] != "float32", report
        return
    limit, floor = LIMITS[arithmetic(contract), client.gpu]
    if client.mask:
        found = np.fromfile(tmp_path / "output.bin", np.uint8).reshape(wanted.shape[:3])
        largest = 0.0
        assert report["labels"] == contract["labels"]
    else:
        logits = tensor(tmp_path / "output.bin", contract)
        largest, found = difference(logits, wanted), logits.argmax(-1)
    same = found == wanted.argmax(-1)
    shown = "" if client.mask else f"{largest:.1e}" if largest else "bit-equal"
    delegated = "fully delegated" if report.get("whole") else ""
    table.append(f"| {file} | {same.mean():.3%} | {shown} | {delegated} |")
    assert len(np.unique(wanted.argmax(-1))) > 1
    if client.gpu and "gpu" not in contract["targets"]:
        return  # in the table only: WebGPU accepts sparse16 and computes it wrongly
    # With a tie, either class is right. A floor below 1 covers ties as well.
    compared = clear(wanted, limit) if floor == 1 else np.full(same.shape, True)
    assert compared.mean() > 0.9
    assert largest <= limit and same[compared].mean() >= floor
    if not client.mask:  # what the kit's own self-test allows these kernels
        allowed = contract["golden"]["half" if client.gpu else "xnnpack"]["tolerance"]
        assert np.abs(np.float64(logits) - np.float64(wanted)).max() <= allowed
    if name == "gpu":
        assert report["whole"]


@pytest.mark.clients
def test_gpu_names_the_operator_that_it_refuses(tmp_path):
    """A ReLU after a deconvolution is fused into it, which needs version 4 of the operator."""
    import keras
    import tensorflow as tf

    skip_without(CLIENTS["gpu"])
    x = keras.Input((8, 8, 3), batch_size=1)
    up = keras.layers.Conv2DTranspose(4, 2, 2, activation="relu", bias_initializer="ones")
    model, source = tmp_path / "model.tflite", tmp_path / "input.bin"
    with contextlib.redirect_stdout(io.StringIO()):  # the converter lists every variable
        content = tf.lite.TFLiteConverter.from_keras_model(keras.Model(x, up(x))).convert()
    model.write_bytes(content)
    source.write_bytes(bytes(8 * 8 * 3 * 4))
    code, report = run_client(CLIENTS["gpu"], model, source, tmp_path / "output.bin")
    assert code == 1 and report["whole"] is False
    assert report["refused"] == ["TRANSPOSE_CONV: Max version supported: 3. Requested version 4."]


@pytest.mark.clients
def test_export_runs_the_gpu_where_there_is_one(finished, tmp_path):
    skip_without(CLIENTS["gpu"])
    run = shutil.copytree(finished / "run", tmp_path / "run")
    command = python("-m", "export", str(run), "--target", "xnnpack,gpu,npu", "--lower", "auto")
    end = subprocess.run([*SOFTWARE, *command], cwd=ROOT, capture_output=True, text=True)
    assert end.returncode == 0, end.stderr
    targets = json.loads((run / "export/float32/report.json").read_text())["targets"]
    how = {name: found["how"].split(" and ")[0] for name, found in targets.items()}
    listed = "checked against the operator list"
    assert how == {"xnnpack": "run here", "gpu": "run here", "coreml": listed, "npu": listed}


def test_difference_and_ties_by_hand():
    wanted = np.array(
        [[[[1.0, -4.0], [0.5, 2.0]]]]
    )  # two pixels, margins 5 and 1.5; the largest absolute logit is 4
    assert difference(wanted, wanted) == 0.0
    assert difference(wanted + [[[[0.0, 0.0], [2.0, 0.0]]]], wanted) == 0.5
    assert clear(wanted, 0.0).tolist() == [[[True, True]]]
    assert clear(wanted, 0.1875).tolist() == [[[True, True]]]  # each logit may change by 0.75
    assert clear(wanted, 0.19).tolist() == [[[True, False]]]
