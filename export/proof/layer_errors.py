"""Quantisation error and clipping of each layer of an int8 file, against the float graph."""

import numpy as np

from export.tflite.inspect import operators
from export.tflite.runtime import to_bytes
from files import quiet


def layer_errors(content: bytes, graph, inputs: np.ndarray) -> list[dict]:
    """layer, error, added and clipped of every layer of the file, most added error first.

    error: root mean square of the difference to the float graph's output, relative to that of the
    output; added: error less the largest error of the layer's inputs; clipped: fraction of the
    float graph's values outside the range of the file's tensor. graph: the deploy graph that the
    file was made from; inputs: (N, H, W, 3) float32 in [-1, 1].
    """
    layers = list(graph.layers[1:])
    probe = type(graph)(graph.input, [layer.output for layer in layers])
    interpreter = reference_interpreter(content)
    steps = [step for step in operators(content) if step.outputs[0].scales]
    sums = {}
    for image in inputs:
        wanted = dict(
            zip([layer.name for layer in layers], probe.predict_on_batch(image[None]), strict=True)
        )
        found = tensors_of(interpreter, to_bytes(image[None]))
        for step in steps:
            tensor, true = step.outputs[0], wanted.get(step.layer)
            if true is None or true.shape != found[tensor.name].shape:
                continue
            scale, zero = tensor.scales[0], tensor.zero_points[0]
            value = (found[tensor.name].astype(np.float32) - zero) * scale
            least, most = (np.array([-128.5, 127.5]) - zero) * scale
            terms = [
                ((value - true) ** 2).mean(),
                (true**2).mean(),
                ((true < least) | (true > most)).mean(),
            ]
            sums[tensor.name] = sums.get(tensor.name, 0) + np.array(terms)
    return rows(steps, sums, len(inputs))


def rows(steps, sums, images) -> list[dict]:
    error = {name: float(np.sqrt(s[0] / s[1])) if s[1] else 0.0 for name, s in sums.items()}
    found = []
    for step in steps:
        name = step.outputs[0].name
        if name in sums:
            before = max((error.get(t.name, 0.0) for t in step.activations[:-1]), default=0.0)
            found.append({
                "layer": step.layer, "error": error[name], "added": error[name] - before,
                "clipped": float(sums[name][2] / images),
            })  # fmt: skip
    return sorted(found, key=lambda row: -row["added"])


def reference_interpreter(content: bytes):
    """An interpreter without the delegate, which would not keep all tensors."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    with quiet():
        interpreter = Interpreter(
            model_content=content, experimental_preserve_all_tensors=True,
            experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        )  # fmt: skip
        interpreter.allocate_tensors()
    return interpreter


def tensors_of(interpreter, inputs: np.ndarray) -> dict[str, np.ndarray]:
    """Name to value of every tensor of a file, after it has run on `inputs`."""
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], inputs)
    interpreter.invoke()
    found = {}
    for detail in interpreter.get_tensor_details():
        try:
            found[detail["name"]] = interpreter.get_tensor(detail["index"])
        except ValueError:  # a tensor that is not used
            continue
    return found
