"""Runs a file on LiteRT's GPU accelerator: python -m export.targets.run_gpu MODEL INPUT OUTPUT.

It computes as in an app, in half precision where the GPU does, and without the CPU accelerator:
with it, `is_fully_accelerated` was observed to be true while half of the operators ran on the CPU.
It runs in a separate process, because some operators crash the process.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from functools import cache
from importlib.metadata import version
from pathlib import Path

import numpy as np

RUNTIME = f"LiteRT {version('ai-edge-litert')} GPU alone"
EQUAL = 0.99  # least pixel agreement with the CPU; a GPU does not round to int8 between layers


@cache
def available(probe: bytes) -> bool:
    """Whether this machine has a GPU, or a software Vulkan, that runs `probe`.

    probe: a .tflite that any GPU supports, with a (1, 8, 8, 3) float32 input.
    """
    return not run(probe, np.zeros((1, 8, 8, 3), np.float32))[1]


def faults(content: bytes, runtime, images: np.ndarray) -> list[str]:
    """What the GPU does not run of a file, or that its output differs from that of `runtime`.

    images: (N, H, W, 3) float32 RGB in [-1, 1].
    """
    inputs = np.concatenate([runtime.encode(image[None]) for image in images])
    output, refused = run(content, inputs)
    if refused:
        return refused
    wanted = np.concatenate([runtime.run(image[None]) for image in inputs])
    found = np.frombuffer(output, wanted.dtype).reshape(wanted.shape)
    if wanted.ndim > 3:  # not class ids (N, H, W)
        found, wanted = found.argmax(-1), wanted.argmax(-1)
    equal = float((found == wanted).mean())
    return [] if equal >= EQUAL else [f"{equal:.2%} pixel agreement with the CPU"]


def run(content: bytes, inputs: np.ndarray) -> tuple[bytes, list[str]]:
    """(bytes of the output tensors of the inputs (N, H, W, 3), refusals), from another process."""
    with tempfile.TemporaryDirectory() as folder:
        model, source, target = (Path(folder) / name for name in ("model.tflite", "in", "out"))
        model.write_bytes(content)
        source.write_bytes(inputs.tobytes())
        command = [sys.executable, "-m", "export.targets.run_gpu", model, source, target]
        root = Path(__file__).parents[2]
        end = subprocess.run(command, cwd=root, capture_output=True, text=True)
        if end.returncode == 0:
            return target.read_bytes(), []
        lines = [line for line in end.stdout.splitlines() if line.startswith("{")]
        refused = json.loads(lines[-1])["refused"] if lines else end.stderr.splitlines()[-1:]
        return b"", refused or ["the process crashed"]


@contextmanager
def kept_messages():
    """A file that receives what the runtime writes to stderr."""
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile("w+") as messages:
        os.dup2(messages.fileno(), 2)
        try:
            yield messages
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


def refused_operators(messages: str) -> list[str]:
    """One line for each operator and reason: "TRANSPOSE_CONV: Max version supported: 3. ..."."""
    listed = re.search(r"not supported by GPU delegate:\n(.*?)\n\w+ operations", messages, re.S)
    return (listed.group(1) if listed else messages[-500:]).splitlines()


def main(model: str, source: str, target: str) -> int:
    """Returns the exit code; other than 0: refused."""
    from ai_edge_litert.compiled_model import (
        CompiledModel,
        GpuOptions,
        HardwareAccelerator,
        Options,
    )

    options = Options(hardware_accelerators=HardwareAccelerator.GPU, gpu_options=GpuOptions())
    with kept_messages() as messages:
        try:
            compiled = CompiledModel.from_file(model, options=options)
        except RuntimeError as error:
            messages.seek(0)
            refused = refused_operators(f"{messages.read()}\n{error}")
            print(json.dumps({"version": RUNTIME, "whole": False, "refused": refused}))
            return 1
    if not compiled.is_fully_accelerated():
        refused = ["some operators run on the CPU"]
        print(json.dumps({"version": RUNTIME, "whole": False, "refused": refused}))
        return 1
    key = compiled.get_signature_by_index(0)["key"]
    (image,) = compiled.get_input_tensor_details(key).values()
    (logits,) = compiled.get_output_tensor_details(key).values()
    inputs, outputs = compiled.create_input_buffers(0), compiled.create_output_buffers(0)
    size, kind = int(np.prod(logits["shape"])), np.dtype(logits["dtype"])
    with open(target, "wb") as file:
        for each in np.fromfile(source, image["dtype"]).reshape(-1, int(np.prod(image["shape"]))):
            inputs[0].write(each)
            compiled.run_by_index(0, inputs, outputs)
            outputs[0].read(size, kind).tofile(file)
    print(json.dumps({"version": RUNTIME, "whole": True}))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
