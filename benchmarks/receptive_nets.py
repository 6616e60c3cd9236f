"""The networks of the dilation article's study, and the pruning of some during training."""

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

from benchmarks.patches import CENTRE, SIDE
from segnet import cost

MOMENTUM = 0.9  # of batch norm; 0.99 lags on small datasets


class Layer(NamedTuple):
    """A convolution with bias, batch norm and ReLU."""

    out: int  # channels
    kernel: int = 3
    dilation: int = 1
    stride: int = 1
    depthwise: bool = False


class Net(NamedTuple):
    name: str
    layers: tuple[Layer, ...]
    kept: int | None = None  # trainable parameters left by tfmot's constant sparsity
    most: int | None = None  # non-zero weights per k x k kernel


# The article gives widths, kernels and dilations, and the numbers of parameters: 25,474 (dilated),
# 172,930 (large), 86,404 (cascade), 21,601 (25 % of it) and 25,940 (15 % of 172,930). It does not
# give the layout of the cascade; ours has 86,506 parameters.
# fmt: off
PLAIN   = (Layer(16), Layer(24), Layer(32), Layer(48))
DILATED = (Layer(16), Layer(24, dilation=2), Layer(32, dilation=3), Layer(48, dilation=4))
WIDE    = (Layer(64), Layer(128, dilation=2), Layer(256, dilation=3), Layer(512, dilation=4))
STRIDED = (Layer(16, stride=2), Layer(24, stride=2), Layer(32), Layer(48))
LARGE   = (Layer(16, 3), Layer(24, 5), Layer(32, 7), Layer(48, 9))
CASCADE = (
    Layer(16), Layer(16), Layer(16), Layer(24), Layer(24),
    Layer(32), Layer(32), Layer(48), Layer(48), Layer(48),
)
DEPTHWISE = (
    Layer(16), Layer(16, depthwise=True), Layer(16, depthwise=True),
    Layer(24), Layer(24, depthwise=True),
    Layer(32), Layer(32, depthwise=True),
    Layer(48), Layer(48, depthwise=True), Layer(48, depthwise=True),
)
NETS = {net.name: net for net in (
    Net("plain",          PLAIN),
    Net("dilated",        DILATED),
    Net("strided",        STRIDED),
    Net("wide",           WIDE),
    Net("large",          LARGE),
    Net("large_sparse",   LARGE, kept=25_940),
    Net("large_two",      LARGE, most=2),  # of 9, 25, 49 and 81
    Net("cascade",        CASCADE),
    Net("cascade_sparse", CASCADE, kept=21_601),
    Net("cascade_two",    CASCADE, most=2),
    Net("depthwise",      DEPTHWISE),
)}
# fmt: on


def receptive_field(layers: tuple[Layer, ...]) -> int:
    """Side of the receptive field of an output pixel, in pixels."""
    field = jump = 1
    for layer in layers:
        field += (layer.kernel - 1) * layer.dilation * jump
        jump *= layer.stride
    return field


def parameters(layers: tuple[Layer, ...], classes: int) -> int:
    """Trainable parameters of the layers and of the head, a 1x1 convolution with bias.

    Bias and batch norm of a layer are three parameters per channel.
    """
    total, cin = 0, 3
    for layer in layers:
        groups = cin if layer.depthwise else 1
        total += cost.conv(1, cin, layer.out, layer.kernel, groups, extra=3).parameters
        cin = layer.out
    return total + cost.conv(1, cin, classes, extra=1).parameters


def build(net: Net, classes: int):
    """A tf_keras model from patches (N, 32, 32, 3) in [-1, 1] to the centre's logits (N, classes).

    In tf_keras because tfmot supports nothing else.
    """
    import tf_keras

    layers, field = tf_keras.layers, receptive_field(net.layers)
    first = CENTRE - field // 2
    image = tf_keras.Input((SIDE, SIDE, 3))
    x = layers.Cropping2D(((first, SIDE - first - field),) * 2)(image)
    for layer in net.layers:
        if layer.depthwise:
            x = layers.DepthwiseConv2D(layer.kernel)(x)
        elif layer.dilation > 1:
            x = dilated_layer()(layer.out, layer.kernel, dilation_rate=layer.dilation)(x)
        else:
            x = layers.Conv2D(layer.out, layer.kernel, layer.stride)(x)
        x = layers.ReLU()(layers.BatchNormalization(momentum=MOMENTUM)(x))
    x = layers.Conv2D(classes, 1, name="head")(x)
    return tf_keras.Model(image, layers.Reshape((classes,))(x))


@cache
def dilated_layer() -> type:
    import tensorflow as tf
    import tf_keras

    class Dilated(tf_keras.layers.Conv2D):
        """Computes a dilated convolution tap by tap.

        Keras computes all phases of the dilation, of which only one is needed here. TensorFlow's
        own operator has no gradient on CPUs for which oneDNN is disabled.
        """

        def convolution_op(self, inputs, kernel):
            (down, right), (rows, columns) = self.dilation_rate, kernel.shape[:2]
            height, width = (
                inputs.shape[1] - down * (rows - 1),
                inputs.shape[2] - right * (columns - 1),
            )
            taps = [
                inputs[:, i * down : i * down + height, j * right : j * right + width]
                for i in range(rows)
                for j in range(columns)
            ]
            return tf.tensordot(tf.concat(taps, -1), tf.reshape(kernel, (-1, kernel.shape[-1])), 1)

    return Dilated


class Constrained(NamedTuple):
    """A model to train, a callback after each step, and a function that returns the final model."""

    model: object
    after: Callable[[], None] = lambda: None
    finish: Callable = lambda model: model


def sparsified(net: Net, model, dense_steps: int) -> Constrained:
    """`model` prepared for the pruning that `net` prescribes, which begins after `dense_steps`."""
    if net.kept:
        return constant_sparsity(model, net.kept, dense_steps)
    if net.most:
        return projected(model, net.most, dense_steps)
    return Constrained(model)


def constant_sparsity(model, kept: int, dense_steps: int) -> Constrained:
    """Pruning by tfmot with the same sparsity in every kernel; `kept` parameters are left in total.

    Only kernels are pruned, not biases and norms.
    """
    from tensorflow_model_optimization.sparsity import keras as tfmot

    in_kernels = sum(size(kernel) for kernel in kernels(model))
    others = sum(map(size, model.trainable_weights)) - in_kernels
    sparsity = 1 - (kept - others) / in_kernels
    schedule = tfmot.ConstantSparsity(sparsity, dense_steps + 1)  # tfmot counts steps from 1
    pruned, masks = tfmot.prune_low_magnitude(model, schedule), tfmot.UpdatePruningStep()
    masks.set_model(pruned)
    masks.on_train_begin()

    def finish(model):
        masks.on_epoch_end(0)  # the last step also changed masked weights
        return tfmot.strip_pruning(model)

    return Constrained(pruned, finish=finish)


def projected(model, most: int, dense_steps: int) -> Constrained:
    """After each step all but the `most` largest weights of every k x k kernel are set to zero."""
    import tensorflow as tf

    spatial = [kernel for kernel in kernels(model) if kernel.shape[0] > 1]

    @tf.function(jit_compile=False)
    def project():
        for kernel in spatial:
            flat = tf.transpose(tf.reshape(kernel, (kernel.shape[0] ** 2, -1)))
            largest = tf.math.top_k(tf.abs(flat), most).indices
            mask = tf.reduce_sum(tf.one_hot(largest, flat.shape[1]), axis=1)
            kernel.assign(tf.reshape(tf.transpose(flat * mask), kernel.shape))

    def after():
        if model.optimizer.iterations > dense_steps:
            project()

    return Constrained(model, after=after)


def kernels(model) -> list:
    """Kernels of all convolutions except the depthwise ones."""
    import tf_keras

    convolutions = tf_keras.layers.Conv2D  # DepthwiseConv2D is not a subclass
    return [layer.kernel for layer in model.layers if isinstance(layer, convolutions)]


def size(weight) -> int:
    return weight.shape.num_elements()


def nonzero(model) -> int:
    """Trainable parameters, not counting zeros in kernels."""
    zeros = sum(int((kernel.numpy() == 0).sum()) for kernel in kernels(model))
    return sum(map(size, model.trainable_weights)) - zeros
