"""Kits and the command line of export."""

import errno
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import cv2
import numpy as np
import pytest

from cli import Refusal
from export import make, recipes, refuse
from export.graph.convert import to_tflite
from export.graph.deploy import lowering
from export.kit import write as kit_write
from export.make import Choices, export_run
from export.proof import contract, gate, golden, measure, verify
from export.targets import run_gpu
from export.tflite import inspect
from export.tflite.metadata import read_metadata
from export.tflite.runtime import Runtime
from segnet import compress, finetune

ROOT = Path(__file__).parent.parent
FIXED = Choices(lower="signs+depth_to_space")  # spares a test the comparison of lowerings
LABELS = ["background", "disc", "box", "star"]


@pytest.fixture(scope="module")
def run(finished, tmp_path_factory):
    """A run of `tiny` of one epoch, to be exported."""
    return shutil.copytree(finished / "run", tmp_path_factory.mktemp("export") / "run")


@pytest.fixture(scope="module")
def exported(run, tmp_path_factory):
    """The same run with a float32 write. To be looked at, not written to."""
    copy = shutil.copytree(run, tmp_path_factory.mktemp("exported") / "run")
    export_run(copy, choices=FIXED)
    return copy


@pytest.fixture
def earlier(exported, tmp_path):
    """A copy of it, to be written to."""
    return shutil.copytree(exported, tmp_path / "run")


SOUND = {
    "recipe": "float32", "pixel_agreement": 1.0, "pixel_agreement_floor": 0.999, "miou_drop": 0.0,
    "max_drop": 0.01, "max_abs_error": 1e-6, "target_faults": [], "open_shapes": [],
    "custom_operators": [], "dead_layers": [], "metadata_faults": [], "contract_agreement": 1.0,
    "clipped": 0.0, "float_operators": [], "calibration_distance": 0.0, "largest_activation": 100.0,
}  # fmt: skip


@pytest.mark.parametrize(
    ("recipe", "name", "value"),
    [
        ("float32", "pixel_agreement", 0.9989),
        ("float32", "pixel_agreement", float("nan")),
        ("float32", "max_abs_error", 1.1e-4),
        ("float32", "max_abs_error", float("nan")),
        ("dynamic8", "miou_drop", 0.011),
        ("int8", "target_faults", ["RELU (conv1): not taken"]),
        ("int8", "open_shapes", ["image"]),
        ("int8", "custom_operators", ["FlexLgamma"]),
        ("int8", "dead_layers", ["conv1"]),
        ("int8", "metadata_faults", ["metadata says mean 0"]),
        ("int8", "contract_agreement", 0.9989),
        ("int8-full", "float_operators", ["ADD (conv1)"]),
        ("qat8", "clipped", 0.021),
        ("int8", "calibration_distance", 0.16),
        ("float16", "largest_activation", 70000.0),
    ],
)
def test_limits(recipe, name, value):
    assert gate.failures({**SOUND, "recipe": recipe}) == []
    (line,) = gate.failures({**SOUND, "recipe": recipe, name: value})
    assert line.startswith(f"{name} is ")


def test_every_limit_is_tested():
    tested = {words[1] for words in test_limits.pytestmark[0].args[1]}
    assert tested == {limit.name for limit in gate.LIMITS}


def test_limits_are_of_their_recipes():
    """A file of float32 activations may have float operators, one of float16 weights errors."""
    assert gate.failures({**SOUND, "float_operators": ["ADD (conv1)"]}) == []
    assert gate.failures({**SOUND, "recipe": "float16", "max_abs_error": 0.01}) == []


def test_kit(run):
    reports, refused = export_run(run)
    (report,) = reports.values()
    assert refused == []
    out = run / "export" / "float32"
    contract = json.loads((out / "contract.json").read_text())
    content = (out / "model.tflite").read_bytes()
    assert contract["sha256"] == hashlib.sha256(content).hexdigest()
    assert contract["input"]["shape"] == [1, 64, 64, 3] and contract["input"]["dtype"] == "float32"
    assert contract["output"]["shape"] == [1, 64, 64, 4]
    assert (contract["input"]["name"], contract["output"]["name"]) == ("image", "logits")
    assert contract["labels"] == read_metadata(content)["labels"] == LABELS
    assert (out / "labels.txt").read_text().split() == LABELS
    image = np.fromfile(out / "golden/input.bin", "<f4").reshape(1, 64, 64, 3)
    assert -1 <= image.min() < image.max() <= 1
    answer = np.fromfile(out / "golden/output.bin", "<f4").reshape(1, 64, 64, 4)
    assert np.array_equal(Runtime(content)(image), answer)
    assert np.array_equal(cv2.imread(str(out / "golden/mask.png"), 0), answer[0].argmax(-1))
    assert report == json.loads((out / "report.json").read_text())
    assert report["verdict"] == "yes" and report["partitions"] == 1 and report["outside"] == {}
    assert report["size_bytes"] == len(content) and report["latency_ms"] > 0
    assert report["machine"].endswith(f" {os.cpu_count()} cores")
    assert report["miou_keras"] == pytest.approx(report["miou_tflite"], abs=1e-3)
    assert len(report["mistakes"]) == 4 and min(report["mistakes"].values()) > 0
    # Three forms of a deconvolution, then two more of CReLU; one as fast as any was taken.
    costs = report["lowerings"]
    assert len(costs) == 5 and costs[report["lowering"]] <= 1.03 * min(costs.values())
    assert contract["lowering"] == report["lowering"]
    export_run(run, choices=Choices(lower=report["lowering"]))
    assert (out / "model.tflite").read_bytes() == content


@pytest.mark.parametrize(
    ("side", "wanted"),
    [
        ((100, 120), (100, 120)),
        ((128, 120), (80, 120)),  # half: bilinear would give what area gives
        ((64, 60), (80, 80)),  # it must shrink
        ((1280, 640), (640, 320)),
    ],
)
def test_golden_photo_tells_resize_rules_apart(side, wanted):
    noise = np.random.default_rng(0).integers(0, 256, (*side, 3), np.uint8)
    photo = golden.limited(noise, (64, 64))
    assert photo.shape == (*wanted, 3)
    right, wrong = (
        contract.input_tensor({"input": {"shape": (1, 64, 64, 3), "dtype": "uint8"},
                       "colour_order": "RGB", "resize": rule}, photo)
        for rule in (contract.RESIZE, "bilinear")
    )  # fmt: skip
    off = np.abs(right.astype(int) - wrong)
    assert (off > verify.LEVEL).mean() > 0.5


def test_int8_kit(run):
    """Bytes in: the input tensor is the image, and the answer is the same bits everywhere."""
    reports, refused = export_run(run, "int8,int8-full", FIXED)
    assert refused == []
    for name, report in reports.items():
        out = run / "export" / name
        contract = json.loads((out / "contract.json").read_text())
        assert contract["input"]["dtype"] == "uint8"
        assert contract["output"]["dtype"] == ("float32" if name == "int8" else "uint8")
        assert contract["input"]["scale"] == pytest.approx(1 / 127.5)
        raw = np.fromfile(out / "golden/input.bin", np.uint8).reshape(64, 64, 3)
        image = cv2.imread(str(out / "golden/image.png"), cv2.IMREAD_COLOR_RGB)
        assert np.array_equal(raw, image)
        digest = hashlib.sha256((out / "golden/output.bin").read_bytes()).hexdigest()
        assert contract["golden"]["output_sha256"] == digest
        assert contract["golden"]["tolerance"] == 0
        assert report["partitions"] == 1 and set(report["outside"]) <= {"QUANTIZE"}
        assert report["float_operators"] == []


def test_anatomy_of_a_whole_file():
    import keras

    x = keras.Input((8, 8, 3), batch_size=1)
    net = keras.Model(x, keras.layers.Conv2D(4, 3, activation="relu")(x))
    found = Runtime(to_tflite(net)).partitioning()
    assert found == {"ops": {"CONV_2D": 1}, "partitions": 1, "outside": {}}


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_full_disk_keeps_the_earlier_kit(earlier, monkeypatch):
    out = earlier / "export" / "float32"
    before = contents(out)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(kit_write, "write_image", full)
    with pytest.raises(Refusal, match=r"cannot write .*float32: No space left .* Free some space"):
        export_run(earlier, choices=FIXED)
    assert contents(out) == before
    assert not list(out.parent.glob(".*"))


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
@pytest.mark.parametrize("name", [None, "model.tflite", "contract.json"])
def test_stopped_export_leaves_the_earlier_kit(earlier, name, how):
    """Stopped as soon as the new kit's folder, or that file in it, is there; then done again."""
    out = earlier / "export" / "float32"
    before = contents(out)
    words = [sys.executable, "-m", "export", str(earlier), "--lower", FIXED.lower]
    process = subprocess.Popen(words, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    while process.poll() is None:
        if any((part / (name or ".")).exists() for part in out.parent.glob(".part-*.float32")):
            process.send_signal(how)
            break
        time.sleep(1e-4)
    said = process.communicate()[1]
    assert process.returncode == (130 if how == signal.SIGINT else -how), said
    assert "Traceback" not in said
    assert contents(out) == before
    export_run(earlier, choices=FIXED)
    assert contents(out).keys() == before.keys()
    assert not list(out.parent.glob(".part-*"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("end", "left"), [("raise KeyboardInterrupt", True), ("os._exit(9)", False)]
)
def test_stopped_between_the_two_renames(earlier, end, left):
    """Ctrl-C brings the earlier kit back; a kill leaves none, and no half one."""
    out = earlier / "export" / "float32"
    before = contents(out)
    program = f"""
import os, sys
from pathlib import Path
from export.make import Choices, export_run

rename = os.replace
def stopped(source, target):
    if Path(target).name == "float32" and Path(source).name != "kit":
        {end}
    rename(source, target)

os.replace = stopped
export_run(Path(sys.argv[1]), choices=Choices(lower=sys.argv[2]))"""
    words = [sys.executable, "-c", program, str(earlier), FIXED.lower]
    end = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert end.returncode in (9, 130, -signal.SIGINT), end.stderr
    assert (contents(out) if out.exists() else None) == (before if left else None)
    export_run(earlier, choices=FIXED)
    assert contents(out).keys() == before.keys()
    assert not list(out.parent.glob(".part-*"))


def test_refusals(run, tmp_path):
    with pytest.raises(Refusal, match=r"no recipe 'float23'. Did you mean float32\?"):
        export_run(run, "float23")
    with pytest.raises(Refusal, match=r"no target 'gpus'. Did you mean gpu\?"):
        Choices(targets=("gpus",))
    with pytest.raises(Refusal, match=r"no lowering 'depth_to_space'.* There are: signs"):
        export_run(run, choices=Choices(lower="depth_to_space"))
    reports, refused = export_run(run, "int8", Choices(targets=("coreml",)))
    assert reports == {} and "int8: refused: no lowering runs whole on coreml: signs" in refused[0]
    numbers = json.loads((run / "export" / "int8.refused.json").read_text())
    assert numbers["verdict"] == "no" and "coreml: " in numbers["lowerings"][FIXED.lower]
    with pytest.raises(Refusal, match=r"is no run: plan.json is missing"):
        export_run(tmp_path / "nothing")
    words = [sys.executable, "-m", "export", str(tmp_path / "nothing")]
    end = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert end.returncode == 2 and end.stderr.startswith("error: ") and end.stdout == ""


def test_score_of_run_and_file_agree(exported, finished):
    data = str(finished / "shapes")
    found = []
    for model in (exported, exported / "export" / "float32" / "model.tflite"):
        words = [sys.executable, "-m", "export", "score", str(model), "--data", data, "--json"]
        end = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
        found.append(json.loads(end.stdout))
    assert found[0]["miou"] == pytest.approx(found[1]["miou"], abs=1e-3)
    assert list(found[0]["iou"]) == ["background", "disc", "box", "star"]


@pytest.mark.parametrize(
    ("answer", "line"),
    [
        (lambda wanted: (b"", ["CONV_2D: no"]), "CONV_2D: no"),
        (lambda wanted: ((-wanted).tobytes(), []), "0.00% of pixels as on the processor"),
        (lambda wanted: (wanted.tobytes(), []), None),
    ],
)
def test_gpu_that_is_there_is_asked(answer, line, exported, monkeypatch):
    """A stand-in for the accelerator; the real one is asked in test_clients."""
    content = (exported / "export/float32/model.tflite").read_bytes()
    runtime = Runtime(content)
    image = np.random.default_rng(0).uniform(-1, 1, (1, 64, 64, 3)).astype(np.float32)
    monkeypatch.setattr(run_gpu, "available", lambda _: True)
    monkeypatch.setattr(run_gpu, "run", lambda content, inputs: answer(runtime.run(inputs)))
    found = measure.whole(content, ("xnnpack", "gpu"), image)
    assert found["target_faults"] == ([line] if line else [])
    assert found["targets"]["gpu"]["how"] == "run here and published list"
    found = measure.whole(content, ("xnnpack",), image)
    assert found["target_faults"] == []
    assert found["targets"]["gpu"]["how"] == "published list"


def test_what_may_be_chosen_of_fine_tuning(run, monkeypatch):
    found = []
    monkeypatch.setattr(finetune, "finetune", lambda *words: found.append(words[2]))
    exporter = make.Exporter(make.load(run), Choices(sparsity=0.5, epochs=3))
    for kind in ("sparse", "qat"):
        exporter.tuned(kind, exporter.trained.graph(lowering(FIXED.lower)), lowering(FIXED.lower))
    assert [(fine.epochs, fine.sparsity) for fine in found] == [(3, 0.5), (3, 0.7)]
    plain = make.Exporter(exporter.trained, Choices())
    plain.tuned("sparse", plain.trained.graph(lowering(FIXED.lower)), lowering(FIXED.lower))
    assert (found[2].epochs, found[2].sparsity) == (compress.KINDS["sparse"].epochs, 0.7)
    with pytest.raises(Refusal, match=r"sparsity is 1.5; needed: between 0 and 1"):
        wrong = make.Exporter(exporter.trained, Choices(sparsity=1.5))
        wrong.tuned("sparse", wrong.trained.graph(lowering(FIXED.lower)), lowering(FIXED.lower))


def test_advice_of_fine_tuning():
    report = {"recipe": "sparse", "iou_keras": {"a": 0.9}, "iou_tflite": {"a": 0.5},
              "layer_errors": []}  # fmt: skip
    assert refuse.advice(report) == (
        "Classes: a -0.400. Try more --epochs of fine-tuning, or fewer zeros with --sparsity. "
    )


def test_recipes_are_listed():
    words = [sys.executable, "-m", "export", "recipes"]
    end = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    lines = end.stdout.splitlines()
    assert [line.split()[0] for line in lines[1:]] == [row.name for row in recipes.RECIPES]


def test_layers_kept_in_float(run):
    """The last deconvolution computes in float, the rest in bytes; XNNPACK still runs it whole."""
    choices = Choices(lower=FIXED.lower, keep_float=("deconv5",))
    reports, refused = export_run(run, "int8", choices)
    assert refused == []
    kept = inspect.float_operators((run / "export/int8/model.tflite").read_bytes())
    assert {o.layer.removeprefix("behind ") for o in kept if o.name == "CONV_2D"} == {"deconv5"}
    assert reports["int8"]["float_operators"] == [] and reports["int8"]["partitions"] == 1
    with pytest.raises(Refusal, match=r"no layer 'deconv55'. Did you mean deconv5\?"):
        export_run(run, "int8", Choices(lower=FIXED.lower, keep_float=("deconv55",)))
    with pytest.raises(Refusal, match=r"the first layer cannot stay in float"):
        export_run(run, "int8", Choices(lower=FIXED.lower, keep_float=("conv1",)))


def test_equal_vectors_are_written_once():
    """A graph of two tensors, each with zero points of its own; numbers and readers stay."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    from export.tflite.inspect import parse
    from export.tflite.pack import pack

    tree = schema.ModelT()
    graph, tree.buffers = schema.SubGraphT(), [schema.BufferT()]
    tree.subgraphs, graph.tensors = [graph], []
    for number in (1, 2):
        tensor = schema.TensorT()
        tensor.quantization = schema.QuantizationParametersT()
        tensor.quantization.scale = np.full(100, number, np.float32)
        tensor.quantization.zeroPoint = np.zeros(100, np.int64)
        graph.tensors.append(tensor)
    builder = flatbuffers.Builder(64)
    builder.Finish(tree.Pack(builder), b"TFL3")
    packed = pack(tree)
    assert len(bytes(builder.Output())) - len(packed) in range(800, 816)
    for number, tensor in enumerate(parse(packed).subgraphs[0].tensors, 1):
        assert (tensor.quantization.scale == number).all()
        assert (tensor.quantization.zeroPoint == np.zeros(100)).all()


def test_data_of_tensors_is_aligned():
    """schema.fbs: Buffer.data has force_align 16. Offsets are those of a file mapped to memory."""
    import keras
    from ai_edge_litert import schema_py_generated as schema

    from export.graph.convert import to_tflite

    x = keras.Input((8, 8, 3), batch_size=1)
    y = keras.layers.Conv2D(5, 3, bias_initializer="normal")(x)
    content = to_tflite(keras.Model(x, keras.layers.Conv2D(3, 3, bias_initializer="normal")(y)))
    start = np.frombuffer(content, np.uint8).ctypes.data
    model = schema.Model.GetRootAs(content, 0)
    buffers = [model.Buffers(i) for i in range(model.BuffersLength())]
    places = [b.DataAsNumpy().ctypes.data - start for b in buffers if not b.DataIsNone()]
    assert len(places) >= 4 and all(place % 16 == 0 for place in places)
