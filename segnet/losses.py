"""The training loss: cross entropy plus Dice, void pixels ignored in each.

Shapes: truth (N, H, W) integer class ids, 255 for void; logits (N, H, W, C) float.
"""

import numpy as np

VOID = 255  # as data/labels.py: the rooms do not import each other, a test compares the two


def one_hot(k, truth, classes):
    """(one-hot truth (N, H, W, C), 1.0 where a pixel counts (N, H, W))."""
    truth = k.ops.cast(truth, "int32")
    counts = truth != VOID
    hot = k.ops.one_hot(k.ops.where(counts, truth, 0), classes)
    counts = k.ops.cast(counts, "float32")
    return hot * counts[..., None], counts


def cross_entropy(k, hot, counts, logs, weights=None):
    """Mean over the pixels that count; `weights` (C,) multiplies each pixel by its class's.

    logs: of the shares that the network gives the classes, (N, H, W, C).
    """
    if weights is not None:
        hot = hot * k.ops.convert_to_tensor(weights, "float32")
    losses = -k.ops.sum(hot * logs, axis=-1)
    return k.ops.sum(losses) / k.ops.maximum(k.ops.sum(counts), 1.0)


def dice(k, hot, counts, logs):
    """1 - the mean over classes of 2 |A and B| / (|A| + |B|), soft, over the whole batch.

    A class that neither truth nor prediction has counts as found.
    """
    share = k.ops.exp(logs) * counts[..., None]
    axes = (0, 1, 2)
    both = k.ops.sum(share * hot, axis=axes)
    all_ = k.ops.sum(share, axis=axes) + k.ops.sum(hot, axis=axes)
    return 1.0 - k.ops.mean((2.0 * both + 1.0) / (all_ + 1.0))


def segmentation_loss(k, classes, weights=None):
    """The function (truth, logits) -> scalar that training minimises."""

    def loss(truth, logits):
        hot, counts = one_hot(k, truth, classes)
        logs = k.ops.log_softmax(logits)
        return cross_entropy(k, hot, counts, logs, weights) + dice(k, hot, counts, logs)

    return loss


def distillation_loss(k, classes, weights=None):
    """`segmentation_loss` plus the cross entropy with a teacher's shares (Hinton et al. 2015).

    Takes truth as `taught` makes it. Where truth is void the teacher is not heard either.
    """
    hard = segmentation_loss(k, classes, weights)

    def loss(lesson, logits):
        truth, shares = lesson[..., 0], lesson[..., 1:]
        _, counts = one_hot(k, truth, classes)
        soft = cross_entropy(k, shares * counts[..., None], counts, k.ops.log_softmax(logits))
        return hard(truth, logits) + soft

    return loss


def taught(teacher, images, masks):
    """(N, H, W, 1 + C) float32: class ids, then the shares that `teacher` gives the classes."""
    logits = np.asarray(teacher.predict_on_batch(images), np.float32)
    shares = np.exp(logits - logits.max(-1, keepdims=True))
    shares /= shares.sum(-1, keepdims=True)
    return np.concatenate([np.asarray(masks, np.float32)[..., None], shares], -1)
