"""LiteRT's GPU accelerator over one file, on a software Vulkan: gpu_client.py MODEL INPUT OUTPUT.

In float32, and alone: with the processor beside it `is_fully_accelerated` was seen true while half
of the operators ran there. Exit code other than 0 = refused; some operators end the process.
"""

import ctypes
import json
import os
import re
import sys
import tempfile
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import numpy as np

VULKAN = Path(__file__).resolve().parents[2] / ".clients" / "vulkan"
# Read when the first Vulkan instance is made; the loader is found by its name once it is in memory.
os.environ["VK_ICD_FILENAMES"] = str(VULKAN / "vk_swiftshader_icd.json")
ctypes.CDLL(str(VULKAN / "libvulkan.so.1"))

from ai_edge_litert.compiled_model import (  # noqa: E402
    CompiledModel,
    GpuOptions,
    HardwareAccelerator,
    Options,
)

RUNTIME = f"LiteRT {version('ai-edge-litert')} GPU alone, fp32, SwiftShader"


@contextmanager
def kept_messages():
    """The file into which goes what the runtime itself says on stderr."""
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
    options = Options(
        hardware_accelerators=HardwareAccelerator.GPU, gpu_options=GpuOptions(enforce_f32=True)
    )
    with kept_messages() as messages:
        try:
            compiled = CompiledModel.from_file(model, options=options)
        except RuntimeError as error:
            messages.seek(0)
            refused = refused_operators(f"{messages.read()}\n{error}")
            print(json.dumps({"version": RUNTIME, "whole": False, "refused": refused}))
            return 1
    key = compiled.get_signature_by_index(0)["key"]
    (image,) = compiled.get_input_tensor_details(key).values()
    (logits,) = compiled.get_output_tensor_details(key).values()
    inputs, outputs = compiled.create_input_buffers(0), compiled.create_output_buffers(0)
    inputs[0].write(np.fromfile(source, image["dtype"]))
    compiled.run_by_index(0, inputs, outputs)
    outputs[0].read(int(np.prod(logits["shape"])), np.dtype(logits["dtype"])).tofile(target)
    print(json.dumps({"version": RUNTIME, "whole": compiled.is_fully_accelerated()}))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
