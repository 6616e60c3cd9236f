"""Prepares a deploy graph to be fine-tuned for 8 bits, for zero weights or for few distinct ones.

`segnet.finetune` trains it. This is the only file that imports tfmot (TensorFlow Model Optimization
Toolkit), and only inside functions, because the import sets TF_USE_LEGACY_KERAS for the process.
tfmot supports tf_keras models only, so the graph is one.
"""

import copy
import dataclasses
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np

from cli import Refusal
from segnet.plan import SEEDS, check_counts, check_range, check_types

LEVEL = 1 / 127.5  # step between two input bytes, over [-1, 1]
MOVING = ("DepthToSpace", "Cropping2D")  # layers that only move or drop values
# Custom layers, and the Keras layer they are quantised like: Add has its output quantised, Flatten
# nothing.
QUANTISED_LIKE = {"Signs": "Add", "LateBias": "Add", "DepthToSpace": "Flatten"}
ACTIVATIONS = ("linear", "relu")  # those that fuse into an 8-bit convolution
MASK_UPDATES = 50  # number of pruning steps; each sorts all weights


@dataclasses.dataclass(frozen=True)
class FinePlan:
    steps: int  # per epoch
    epochs: int
    learning_rate: float  # the initial one; it decays to 0 along a cosine
    batch: int = 16  # images per step
    sparsity: float = 0.7  # fraction of zeros in the layers that are pruned
    clusters: int = 16  # distinct weights per layer
    seed: int = 0

    def __post_init__(self):
        check_types(self)
        check_counts(self, ("epochs", "batch"))
        check_range(self, ("steps", "learning_rate"), lambda v: v > 0, "above 0")
        check_range(self, ("sparsity",), lambda v: 0 < v < 1, "between 0 and 1")
        check_range(self, ("clusters",), lambda v: v >= 2, "2 or more")
        check_range(self, ("seed",), lambda v: 0 <= v < SEEDS, f"0 to {SEEDS - 1}")


class Tuned(NamedTuple):
    """A graph prepared for fine-tuning.

    model: the model to train; takes images (N, H, W, 3) in [-1, 1]. finish(model): the model to
    convert. settle(): brings the model's masks up to date; called before every evaluation. first:
    the first epoch that may become the best one.
    """

    model: object
    finish: Callable
    settle: Callable = lambda: None
    first: int = 1


def arrays(variables) -> list[np.ndarray]:
    return [np.array(variable) for variable in variables]


def assign(variables, values) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def fresh(layer):
    """A copy of `layer` with the same name and weights."""
    other = type(layer).from_config(layer.get_config())
    other.build(layer.input_shape)
    other.built = True  # else a custom build() that does not set it would run again
    other.set_weights(layer.get_weights())
    return other


def rebuilt(graph, batch: int | None, apply=lambda layer, x: fresh(layer)(x), first=lambda x: x):
    """A copy of `graph`: apply(layer, x) is called for every layer, after first(image)."""
    import tf_keras

    image = tf_keras.Input(graph.input_shape[1:], batch_size=batch, name="image")
    made = {id(graph.input): first(image)}
    for layer in graph.layers[1:]:
        x = layer.input
        x = [made[id(t)] for t in x] if isinstance(x, list) else made[id(x)]
        made[id(layer.output)] = apply(layer, x)
    return tf_keras.Model(image, made[id(graph.output)], name="segnet")


def heavy(graph) -> list[str]:
    """Names of the layers with most weights: convolutions, except the first and depthwise ones."""
    kinds = ("Conv2D", "Conv2DTranspose")
    return [layer.name for layer in graph.layers if type(layer).__name__ in kinds][1:]


def wrapped(graph, wrap):
    """A copy of `graph` for any batch size in which wrap(layer) replaces each heavy layer."""
    names = heavy(graph)

    def apply(layer, x):
        return (wrap(fresh(layer)) if layer.name in names else fresh(layer))(x)

    return rebuilt(graph, None, apply)


def stripped(graph, model):
    """A copy of `graph` for batch 1 with the weights of `model`, which has no wrappers any more."""
    result = rebuilt(graph, 1)
    for layer in result.layers:
        layer.set_weights(model.get_layer(layer.name).get_weights())
    return result


def sparse(graph, plan: FinePlan, images) -> Tuned:
    """Magnitude pruning during the first half of the steps (Zhu and Gupta 2017)."""
    from tensorflow_model_optimization.sparsity import keras as tfmot

    half = max(1, plan.epochs * plan.steps // 2)
    every = max(1, half // MASK_UPDATES)
    end = half // every * every
    schedule = tfmot.PolynomialDecay(0.0, plan.sparsity, 0, end, frequency=every)
    model = wrapped(graph, lambda layer: tfmot.prune_low_magnitude(layer, schedule))
    masks = tfmot.UpdatePruningStep()
    masks.set_model(model)
    masks.on_train_begin()
    return Tuned(
        model, lambda model: stripped(graph, tfmot.strip_pruning(model)),
        lambda: masks.on_epoch_end(0), -(-end // plan.steps),
    )  # fmt: skip


def cluster(graph, plan: FinePlan, images) -> Tuned:
    """Weight clustering: the weights of each layer share a few values, which are trained."""
    from tensorflow_model_optimization.clustering import keras as tfmot

    start = tfmot.CentroidInitialization.KMEANS_PLUS_PLUS
    model = wrapped(graph, lambda layer: tfmot.cluster_weights(layer, plan.clusters, start))
    return Tuned(model, lambda model: stripped(graph, tfmot.strip_clustering(model)))


def qat(graph, plan: FinePlan, images) -> Tuned:
    """Quantisation-aware training: 8-bit weights with a range per channel, 8-bit activations."""
    model = quantised(graph, None, offset=-LEVEL / 2)
    begin_ranges(model, extremes(graph, images))

    def finish(model):
        result = quantised(graph, 1)
        assign(result.variables, arrays(model.variables))
        return result

    return Tuned(model, finish)


def quantised(graph, batch: int | None, offset: float = 0.0):
    """A copy of `graph` with tfmot's default 8-bit quantisation.

    A byte of the file's input tensor stands for (byte - 128) / 127.5, because zero must be one of
    the levels. In training a byte of an image becomes byte / 127.5 - 1, which is half a level more
    and so a tie between two levels. The `offset` -LEVEL / 2 turns the latter into the former.
    """
    from tensorflow_model_optimization.quantization import keras as tfmot

    registry, inputs = tfmot.default_8bit.Default8BitQuantizeRegistry(), joined(graph)

    def apply(layer, x):
        config = quantisation(registry, layer, x)
        if layer.name in inputs:
            config = copy.copy(config)  # the registry shares one among all layers of a type
            config.activation_attrs, config.quantize_output = [], False
        return tfmot.QuantizeWrapperV2(fresh(layer), config, name_prefix="")(x)

    return rebuilt(graph, batch, apply, input_layer()(offset, name="bytes"))


def joined(graph) -> set[str]:
    """Names of the layers that only a concatenation reads, directly or through `MOVING` layers.

    They take the concatenation's range. With a range of their own the file would have to requantise
    in between, which runtimes round differently: MediaPipe 1.2.2 was off by one level.
    """
    readers = {}
    for layer in graph.layers[1:]:
        for x in layer.input if isinstance(layer.input, list) else [layer.input]:
            readers.setdefault(id(x), []).append(layer)

    def is_joined(layer):
        (reader, *others) = readers.get(id(layer.output), [None])
        kind = type(reader).__name__
        return not others and (kind == "Concatenate" or (kind in MOVING and is_joined(reader)))

    return {layer.name for layer in graph.layers[1:] if is_joined(layer)}


def quantisation(registry, layer, x):
    """tfmot's QuantizeConfig for a layer with input x. Raises Refusal for an unsupported layer."""
    import tf_keras

    kind, known = type(layer).__name__, layer
    if kind in QUANTISED_LIKE:
        known = getattr(tf_keras.layers, QUANTISED_LIKE[kind])()
    elif kind == "Concatenate" and all(tensor is x[0] for tensor in x):
        known = tf_keras.layers.Flatten()  # a tensor concatenated with itself keeps its range
    activation = getattr(getattr(layer, "activation", None), "__name__", "linear")
    if not registry.supports(known) or activation not in ACTIVATIONS:
        raise Refusal(
            f"layer {layer.name} ({kind}, {activation}) does not support quantisation-aware "
            "training. Leave out the recipe qat8, or choose a --lower without this layer"
        )
    config = registry.get_quantize_config(known)
    if kind == "DepthwiseConv2D":
        config.weight_quantizer = channel_quantizer()
    return config


@cache
def input_layer() -> type:
    import tensorflow as tf
    import tf_keras

    class Bytes(tf_keras.layers.Layer):
        """Rounds the input to the levels of its bytes."""

        def __init__(self, offset, **kwargs):
            super().__init__(**kwargs)
            self.offset = offset

        def call(self, x):
            x = x + self.offset if self.offset else x
            return tf.quantization.fake_quant_with_min_max_args(x, -128 * LEVEL, 127 * LEVEL)

    return Bytes


@cache
def channel_quantizer():
    """A range per channel for depthwise kernels (3, 3, C, 1); tfmot has one for all channels."""
    import tensorflow as tf
    import tf_keras
    from tensorflow_model_optimization.quantization.keras import quantizers

    class ChannelQuantizer(quantizers.LastValueQuantizer):
        def build(self, tensor_shape, name, layer):
            shape = (tensor_shape[2] * tensor_shape[3],)
            return {
                f"{end}_var": layer.add_weight(
                    f"{name}_{end}", shape, initializer=tf_keras.initializers.Constant(value),
                    trainable=False,
                )
                for end, value in (("min", -6.0), ("max", 6.0))
            }  # fmt: skip

        def __call__(self, inputs, training, weights, **kwargs):
            height, width, channels, multiplier = inputs.shape
            flat = tf.reshape(inputs, (1, height, width, channels * multiplier))
            found = super().__call__(flat, training, weights, **kwargs)
            return tf.reshape(found, inputs.shape)  # the converter folds both reshapes away

    return ChannelQuantizer(num_bits=8, per_axis=True, symmetric=True, narrow_range=True)


def extremes(graph, images) -> dict[str, tuple[float, float]]:
    """Minimum and maximum of every layer's output over `images`, extended to include 0."""
    import tf_keras

    layers = graph.layers[1:]
    outputs = tf_keras.Model(graph.input, [layer.output for layer in layers])
    ends = np.zeros((len(layers), 2))
    for image in images:  # one by one: all outputs of a batch would take a gigabyte
        for end, output in zip(ends, outputs(image[None]), strict=True):
            end[:] = min(end[0], np.min(output)), max(end[1], np.max(output))
    return {layer.name: tuple(end) for layer, end in zip(layers, ends, strict=True)}


def begin_ranges(model, ends: dict) -> None:
    """Starts the activations' ranges at `ends`; tfmot's start, [-6, 6], moves by 1/1000 a step."""
    for layer in model.layers:
        for variable in layer.weights:
            name = variable.name.split("/")[-1].split(":")[0]
            if name in ("post_activation_min", "output_min"):
                variable.assign(ends[layer.name][0])
            if name in ("post_activation_max", "output_max"):
                variable.assign(ends[layer.name][1])


class Kind(NamedTuple):
    prepare: Callable
    epochs: int
    learning_rate: float


# The epochs and the first learning rate that each needs: pruning changes the network most, 8 bits
# hardly move the weights, and clusters start near them.
KINDS = {
    "qat": Kind(qat, 10, 3e-5),
    "sparse": Kind(sparse, 20, 1e-3),
    "cluster": Kind(cluster, 10, 1e-4),
}
