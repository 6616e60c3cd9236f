"""The targets by name, and the audit of a file: a check against the table of a target."""

from cli import one_of
from export.targets import coreml, gpu, npu, xnnpack
from export.targets.target import faults

TARGETS = {
    "xnnpack": xnnpack.TARGET,
    "gpu": gpu.TARGET,
    "coreml": coreml.TARGET,
    "npu": npu.TARGET,
}


def audit(content: bytes, name: str) -> list[str]:
    """A line for each operator of a .tflite that the target does not support. Raises Refusal."""
    return faults(content, TARGETS[one_of(name, TARGETS, "target")])
