"""The error that each layer of a file adds, against the float graph that it was made from."""

from contextlib import suppress

import numpy as np

from data.batches import STD
from export.graph.layers import layers_before
from export.proof.stored import Stored
from export.recipes import Recipe
from export.tflite.inspect import operators
from export.tflite.runtime import to_bytes
from files import quiet

LEVELS = 255  # in a float tensor; an int8 one has its own step
FLOOR = 10  # levels
SILENT = 1e10  # the ratio where nothing differs, so that decibels stay finite


def layer_errors(content: bytes, graph, recipe: Recipe, inputs: np.ndarray) -> list[dict]:
    """What each layer of the file adds to the error, against the float graph it was made from.

    A layer's wanted output is that of the float layer for the file's own inputs of this layer, so
    that errors of earlier layers do not count: a fault shows at the operator that has it, and the
    rounding of a sound one is small. The weights have a comparison of their own (`stored`); snr is
    that to the float layer with the file's weights, so that only activations are rounded. Layers
    that are fused away are computed in float and count with the next one. The last row, "output",
    is the file's output against the last layer's.

    Rows, most added error first: layer; added, the root mean square of the difference relative to
    that of the wanted output; snr, see `snr`, of the values within the tensor's int8 range;
    clipped, the fraction of the wanted values outside that range, 0 in float.
    graph: the deploy graph, of Keras or tf_keras; inputs: (N, H, W, 3) float32 in [-1, 1].
    """
    interpreter, tensors = reference_interpreter(content), tensors_by_layer(content)
    detail = interpreter.get_output_details()[0]
    names = {detail["name"], *(t.name for several in tensors.values() for t in several)}
    found = run(interpreter, inputs, names)
    values, rows = {graph.layers[0].name: file_input(recipe, inputs)}, []
    stored = Stored(content)
    for layer in graph.layers[1:]:
        sources = [values[other.name] for other in layers_before(layer)]
        sources = sources if len(sources) > 1 else sources[0]
        true = rounded = np.asarray(layer(sources))
        with stored.inside(layer) as has_weights:
            if has_weights:
                rounded = np.asarray(layer(sources))
        values[layer.name] = rounded
        tensor = next((t for t in tensors.get(layer.name, []) if fits(found, t, true)), None)
        if tensor:
            value = dequantised(found[tensor.name], tensor.scales, tensor.zero_points)
            values[layer.name] = value
            rows.append(row(layer.name, value, true, rounded, tensor))
    scales, zeros = ([value] for value in detail["quantization"])
    output = dequantised(found[detail["name"]], scales if scales[0] else (), zeros)
    last = values[graph.layers[-1].name]
    rows.append(row("output", output, last, last, None))
    return sorted(rows, key=lambda each: -each["added"])


def file_input(recipe: Recipe, inputs: np.ndarray) -> np.ndarray:
    """The values that a file of the recipe sees for inputs in [-1, 1]: its own for its bytes."""
    if recipe.input != "uint8":
        return inputs
    return (to_bytes(inputs).astype(np.float32) - recipe.input_zero) / np.float32(STD)


def tensors_by_layer(content: bytes) -> dict[str, list]:
    """Keras layer to the tensors that its operators write, the last one first."""
    found = {}
    for step in operators(content):
        if step.outputs[0].role != "constant":
            found.setdefault(step.layer, []).insert(0, step.outputs[0])
    return found


def fits(found: dict, tensor, true: np.ndarray) -> bool:
    return tensor.name in found and found[tensor.name].shape == true.shape


def dequantised(values: np.ndarray, scales, zeros) -> np.ndarray:
    values = values.astype(np.float32)
    return (values - zeros[0]) * np.float32(scales[0]) if len(scales) else values


def row(name: str, value, true, rounded, tensor) -> dict:
    """value: of the file; true, rounded: wanted, with the graph's weights and with the file's."""
    level, clipped, within = float(np.abs(true).max()) / LEVELS, 0.0, rounded
    if tensor and tensor.scales:
        level = tensor.scales[0]
        least, most = (np.array([-128, 127]) - tensor.zero_points[0]) * level
        outside = (true < least - level / 2) | (true > most + level / 2)
        clipped = float(outside.mean())
        within = np.clip(rounded, least, most)
    size, error = (float(np.linalg.norm(rms(each))) for each in (true, value - true))
    return {
        "layer": name, "added": error / size if size else float(error > 0),
        "snr": snr(value, within, level), "clipped": clipped,
    }  # fmt: skip


def rms(values: np.ndarray) -> np.ndarray:
    """Root mean square of each channel of (N, H, W, C)."""
    return np.sqrt(np.square(values, dtype=np.float64).mean((0, 1, 2)))


def snr(value: np.ndarray, true: np.ndarray, level: float) -> float:
    """The least signal to quantisation noise ratio of a channel of (N, H, W, C), in decibels.

    A channel smaller than FLOOR levels counts as that large: its rounding does no harm.
    """
    signal, noise = rms(true) + FLOOR * level, rms(value - true)
    noisy = noise != 0  # NaN is
    ratio = np.where(noisy, signal / np.where(noisy, noise, 1), SILENT)
    return float(20 * np.log10(ratio).min())


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


def run(interpreter, inputs: np.ndarray, names: set[str]) -> dict[str, np.ndarray]:
    """Name to values (N, ...) of the tensors `names` of a file that has run on each input."""
    detail = interpreter.get_input_details()[0]
    wanted = [each for each in interpreter.get_tensor_details() if each["name"] in names]
    batches = {}
    for image in inputs:
        image = to_bytes(image[None]) if detail["dtype"] == np.uint8 else image[None]
        interpreter.set_tensor(detail["index"], image)
        interpreter.invoke()
        for each in wanted:
            with suppress(ValueError):  # a tensor that is not used
                value = interpreter.get_tensor(each["index"])
                batches.setdefault(each["name"], []).append(value)
    return {name: np.concatenate(values) for name, values in batches.items()}
