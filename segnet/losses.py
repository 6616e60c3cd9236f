"""The training loss: cross-entropy plus Dice.

Shapes: truth (N, H, W) integer class ids, 255 for void (the ignore index: pixels that are neither
trained on nor scored); logits (N, H, W, C) float.
"""

import numpy as np

VOID = 255  # as in data/layout.py: the two packages do not import each other, a test compares them


def one_hot(k, truth, classes):
    """(one-hot truth (N, H, W, C), all 0 where void; (N, H, W), 0.0 where void, else 1.0)."""
    truth = k.ops.cast(truth, "int32")
    counts = truth != VOID
    hot = k.ops.one_hot(k.ops.where(counts, truth, 0), classes)
    counts = k.ops.cast(counts, "float32")
    return hot * counts[..., None], counts


def cross_entropy(k, hot, counts, log_probabilities, weights=None):
    """Mean over the pixels that are not void. weights: factors of the classes (C,), or None.

    hot: one-hot truth or probabilities, log_probabilities: of the network; both (N, H, W, C).
    """
    if weights is not None:
        hot = hot * k.ops.convert_to_tensor(weights, "float32")
    losses = -k.ops.sum(hot * log_probabilities, axis=-1)
    return k.ops.sum(losses) / k.ops.maximum(k.ops.sum(counts), 1.0)


def dice(k, hot, counts, log_probabilities):
    """Soft Dice loss: 1 - the mean over classes of 2 |A and B| / (|A| + |B|), of the whole batch.

    A class that is neither in the truth nor predicted adds no loss.
    """
    probabilities = k.ops.exp(log_probabilities) * counts[..., None]
    axes = (0, 1, 2)
    intersection = k.ops.sum(probabilities * hot, axis=axes)
    total = k.ops.sum(probabilities, axis=axes) + k.ops.sum(hot, axis=axes)
    return 1.0 - k.ops.mean((2.0 * intersection + 1.0) / (total + 1.0))


def segmentation_loss(k, classes, weights=None):
    """The loss function (truth, logits) -> scalar."""

    def loss(truth, logits):
        hot, counts = one_hot(k, truth, classes)
        predicted = k.ops.log_softmax(logits)
        return cross_entropy(k, hot, counts, predicted, weights) + dice(k, hot, counts, predicted)

    return loss


def distillation_loss(k, classes, weights=None):
    """`segmentation_loss` plus the cross-entropy with a teacher's softmax probabilities.

    The loss function takes what `distillation_targets` gives as its truth, and ignores the teacher
    too where a pixel is void (Hinton et al. 2015, at temperature 1).
    """
    hard = segmentation_loss(k, classes, weights)

    def loss(targets, logits):
        truth, probabilities = targets[..., 0], targets[..., 1:]
        _, counts = one_hot(k, truth, classes)
        known = probabilities * counts[..., None]
        return hard(truth, logits) + cross_entropy(k, known, counts, k.ops.log_softmax(logits))

    return loss


def distillation_targets(teacher, images, masks):
    """(N, H, W, 1 + C) float32: class ids, then the teacher's softmax probabilities."""
    logits = np.asarray(teacher.predict_on_batch(images), np.float32)
    probabilities = np.exp(logits - logits.max(-1, keepdims=True))
    probabilities /= probabilities.sum(-1, keepdims=True)
    return np.concatenate([np.asarray(masks, np.float32)[..., None], probabilities], -1)
