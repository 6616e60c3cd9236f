"""What the golden files allow each kind of kernels, with runtimes whose outputs are known."""

import numpy as np
import pytest
from test_golden_files import PHOTO, Echo, contract, echoes
from tiny_files import file_of

from export.proof import golden as module
from export.proof.golden import write
from export.tflite.inspect import operators

__all__ = ["echoes"]  # a fixture


@pytest.mark.parametrize(
    ("change", "tolerance"), [(0.0, 0.001), (0.0001, 0.001), (0.01, 0.02), (-0.01, 0.02)]
)
def test_twice_what_other_kernels_change_is_allowed(tmp_path, change, tolerance):
    def off(outputs):
        found = outputs.copy()
        found[0, 1, 2, 0] += np.float32(change)
        return found

    entry = write(tmp_path / "golden", contract(), Echo(other=Echo(off)), PHOTO)
    assert entry["reference"]["tolerance"] == pytest.approx(tolerance, rel=1e-4)
    assert entry["xnnpack"]["tolerance"] == entry["half"]["tolerance"] == 0.001


@pytest.mark.parametrize(
    ("exact", "half", "tolerance"),
    [
        (0.0, 0.0, 0.001),
        (0.01, 0.01, 0.02),  # twice what the file changes without rounding to integers
        (0.01, -0.02, 0.14),  # and four times what half precision changes of that
        (0.01, np.inf, 0.02),  # half precision cannot run it, but a GPU in float can
    ],
)
def test_what_a_gpu_may_change(tmp_path, exact, half, tolerance):
    def off(change):
        return Echo(lambda outputs: outputs + np.float32(change))

    emulated = {np.float32: off(exact), np.float16: off(half)}
    entry = write(tmp_path / "golden", contract(), Echo(emulated=emulated), PHOTO)
    assert entry["half"]["tolerance"] == pytest.approx(tolerance, rel=1e-4)
    assert entry["xnnpack"]["tolerance"] == entry["reference"]["tolerance"] == 0.001


def test_what_xnnpack_may_change(tmp_path):
    """Where a runtime rounds to steps of 0.5, a value near the middle may fall on either side.

    Bytes have no last digits.
    """
    steps = Echo(lambda outputs: outputs if outputs.dtype == np.uint8 else np.float32(
        0.5 * np.floor(2 * outputs + np.float32(1e-7))))  # fmt: skip
    made = contract() | {"mean": 0.0, "std": 1.0}
    entry = write(tmp_path / "golden", made, steps, PHOTO)
    assert entry["xnnpack"]["tolerance"] == 1.0  # twice a step
    entry = write(tmp_path / "bytes", contract("uint8"), steps, PHOTO)
    assert entry["xnnpack"]["tolerance"] == 0.001


@pytest.mark.parametrize("to", [0, 2])
@pytest.mark.parametrize(
    ("rows", "wanted"), [(0, 0.995), (1, 0.98), (3, 0.94), (5, 0.9), (6, 0.9), (100, 0.9)]
)
def test_pixels_that_other_kernels_change(tmp_path, rows, wanted, to):
    """Each row of 100 is a hundredth of the photo's mask; twice as many may differ."""
    made = contract("uint8", (100, 10))
    photo = np.random.default_rng(1).integers(0, 256, (100, 10, 3), np.uint8)
    photo[..., to] = 0  # so that another class wins

    def off(outputs):
        found = outputs.copy()
        found[0, :rows] = 255 * np.eye(3, dtype=np.uint8)[to]
        return found

    entry = write(tmp_path / "golden", made, Echo(other=Echo(off)), photo)
    assert entry["reference"]["pixel_agreement"] == pytest.approx(wanted)
    assert entry["xnnpack"]["pixel_agreement"] == entry["half"]["pixel_agreement"] == 0.995


def test_the_least_tolerance_by_hand(monkeypatch):
    monkeypatch.undo()
    outputs = np.float32([3, -5])
    made = {"output": {"dtype": "float32", "values": "logits"}}
    assert module.least_tolerance(made, file_of("float32"), outputs) == pytest.approx(5e-4)
    *_, last = operators(file_of("int8"))
    step = last.inputs[0].scales[0]  # of the values that the last DEQUANTIZE makes float
    found = module.least_tolerance(made, file_of("int8"), outputs)
    assert last.name == "DEQUANTIZE" and found == pytest.approx(step, rel=1.01e-4) and found > step
    # One that ends in unpacking float16 has no step.
    half = last.inputs[0]._replace(dtype="float16", scales=())
    monkeypatch.setattr(module.inspect, "operators", lambda _: [last._replace(inputs=(half,))])
    assert module.least_tolerance(made, b"", outputs) == pytest.approx(5e-4)
    bytes_ = {"output": {"dtype": "uint8", "values": "logits"}}
    assert module.least_tolerance(bytes_, file_of("int8-full"), np.uint8([200])) == 1.0
