"""Runs the self-test of kits in this Python's runtime: self_test_client.py KERNELS KIT...

KERNELS is xnnpack; reference, without XNNPACK; half, XNNPACK in half precision, judged by what the
kit allows GPUs; or tensorflow, TensorFlow's interpreter, judged as in ios/. Prints a line of JSON
for each kit: its folder, the fault or null, and the largest difference as a fraction of what is
allowed.
"""

import contextlib
import importlib.util
import io
import json
import re
import sys
import types
from functools import partial
from pathlib import Path

import numpy as np

FORCE_FP16 = 4  # TFLITE_XNNPACK_DELEGATE_FLAG_FORCE_FP16


def use_tensorflow():
    """Imports of ai_edge_litert get TensorFlow's interpreter."""
    from tensorflow.lite.python import interpreter

    sys.modules["ai_edge_litert"] = types.ModuleType("ai_edge_litert")
    sys.modules["ai_edge_litert.interpreter"] = interpreter


def module_of(kit):
    """The kit's python/segment.py."""
    spec = importlib.util.spec_from_file_location("segment", Path(kit, "python", "segment.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Half:
    """In the place of an interpreter, XNNPACK in half precision."""

    def __init__(self, path):
        from ai_edge_litert.compiled_model import CompiledModel, HardwareAccelerator, Options
        from ai_edge_litert.cpu_options import CpuOptions

        cpu = CpuOptions(num_threads=1, xnnpack_flags=FORCE_FP16)
        options = Options(hardware_accelerators=HardwareAccelerator.CPU, cpu_options=cpu)
        self.model = CompiledModel.from_file(path, options=options)
        self.inputs = self.model.create_input_buffers(0)
        self.outputs = self.model.create_output_buffers(0)

    def logits(self, tensor, contract):
        self.inputs[0].write(np.ascontiguousarray(tensor).ravel())
        self.model.run_by_index(0, self.inputs, self.outputs)
        shape = contract["output"]["shape"]
        kind = np.dtype(contract["output"]["dtype"])
        found = self.outputs[0].read(int(np.prod(shape)), kind)
        return found.reshape(shape)[0].astype(np.float32)  # as the kit's infer gives logits


def segmenter_of(module, kit, kernels):
    contract = json.loads(Path(kit, "contract.json").read_text())
    if kernels == "reference":
        from ai_edge_litert.interpreter import OpResolverType

        kind = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        module.Interpreter = partial(module.Interpreter, experimental_op_resolver_type=kind)
    segmenter = module.Segmenter()
    if kernels == "half":
        half, allowed = Half(str(Path(kit, "model.tflite"))), contract["golden"]["half"]
        segmenter.infer = lambda tensor: half.logits(tensor, contract)
        module.TOLERANCE = allowed["tolerance"]
        module.PIXEL_AGREEMENT = allowed["pixel_agreement"]
    if kernels == "tensorflow" and contract["input"]["dtype"] == "float32":
        segmenter.is_reference = lambda: True
    return segmenter


def main(kernels, *kits):
    if kernels == "tensorflow":
        use_tensorflow()
    for kit in kits:
        module, said = module_of(kit), io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(io.StringIO()):
            fault = module.self_test(segmenter_of(module, kit, kernels))
        part = None if fault else float(re.search(r"up to ([\d.]+)", said.getvalue())[1])
        print(json.dumps({"kit": str(kit), "fault": fault, "part": part}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
