"""Initial weights from keras.applications, a weights file or another run.

CReLU halves the filters of a pointwise layer. The pretrained filters are paired greedily by cosine,
the most opposite first; of each pair one filter is kept, and the negated half stands for the other.
The input channels of the layers that follow are reordered accordingly.
"""

from pathlib import Path

import numpy as np

from cli import Refusal
from segnet.hdf5 import weights_file
from segnet.rows import Context, Conv, Preset, Sep


def check_source(preset: Preset, source: str) -> None:
    """Raises Refusal, before a model is built, for weights that `load_encoder` cannot find."""
    if source == "imagenet" and preset.pretrained is None:
        raise Refusal("no published weights fit this preset's encoder. Type --weights none")
    if source not in ("imagenet", "none") and not Path(source).exists():
        raise Refusal(
            f"there are no weights at {source}. --weights takes imagenet, none, a .h5 file of "
            "keras.applications or runs/OTHER"
        )


def load_encoder(model, preset: Preset, source: str) -> str:
    """Loads weights into `model`; returns a line that reports what it loaded. Raises Refusal."""
    check_source(preset, source)
    if source == "none":
        return "weights: random"
    if source == "imagenet":
        return copy_encoder(model, preset, imagenet(preset), source)
    path = Path(source)
    if path.is_dir():
        return copy_run(model, path)
    return copy_encoder(model, preset, read_h5(path), source)


def imagenet(preset: Preset) -> dict[str, list[np.ndarray]]:
    from segnet.backend import start

    name, width = preset.pretrained
    build = getattr(start().applications, name)
    try:
        net = build((224, 224, 3), alpha=width, include_top=False, weights="imagenet")
    except Exception as error:  # offline: urllib, http and Keras each raise their own
        raise Refusal(
            "the ImageNet weights cannot be downloaded. Type --weights none, or "
            f"--weights FILE with the no_top .h5 file of keras.applications' {name} {width}"
        ) from error
    return {layer.name: layer.get_weights() for layer in net.layers if layer.weights}


def read_h5(path: Path) -> dict[str, list[np.ndarray]]:
    """Arrays by layer name, of a weights file in the legacy Keras layout."""
    layers = {}
    with weights_file(path) as file:
        for name in file.attrs["layer_names"]:
            group = file[text(name)]
            layers[text(name)] = [group[text(w)][()] for w in group.attrs["weight_names"]]
    for name, arrays in layers.items():
        if not all(np.isfinite(array).all() for array in arrays):
            raise Refusal(f"{path} is damaged: {name} has weights that are not finite")
    return {name: arrays for name, arrays in layers.items() if arrays}


def text(name) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)


def copy_run(model, folder: Path) -> str:
    from segnet.run import load_run

    other, _, _ = load_run(folder)
    names = {layer.name for layer in other.layers}
    layers = [layer for layer in model.layers if layer.weights]
    copied = 0
    for layer in layers:
        theirs = other.get_layer(layer.name).get_weights() if layer.name in names else []
        if [w.shape for w in theirs] == [tuple(w.shape) for w in layer.weights]:
            layer.set_weights(theirs)
            copied += 1
    if 2 * copied < len(layers):
        raise Refusal(
            f"only {copied} of {len(layers)} layers of {folder} fit this preset, fewer than half. "
            "Name a run of a network that is more alike, or type --weights none"
        )
    return f"weights: {copied} of {len(layers)} layers from {folder}"


def copy_encoder(model, preset: Preset, source: dict, name: str) -> str:
    """Copies a MobileNet with keras.applications' layer names up to the first row that differs."""
    order = np.arange(preset.encoder[0].out)
    rows, number = 0, 0
    for row in preset.encoder:
        if isinstance(row, Sep):
            number += 1
            if row.mid or f"conv_pw_{number}" not in source:
                break
            order = copy_separable(model, row, source, number, order, name)
        elif isinstance(row, Context):  # has no published weights; the rows after it may still fit
            if row.out != len(order):
                break
            order = np.arange(row.out)
            continue
        else:
            for layer in layers_of(model, row):
                copy_layer(model, layer, source, name)
        rows += 1
    return f"weights: {rows} of {len(preset.encoder)} encoder rows from {name}"


def layers_of(model, row) -> list[str]:
    """Names of a row's convolutions, for rows whose layers have their published names."""
    if isinstance(row, Conv):
        return [row.name]
    parts = [layer.name for layer in model.layers if layer.name.startswith(f"{row.name}_")]
    ends = ("expand", "depthwise", "project")
    return [name for name in parts if name[len(row.name) + 1 :] in ends]


def copy_layer(model, layer: str, source: dict, name: str) -> None:
    wanted = [tuple(weight.shape) for weight in model.get_layer(layer).weights]
    weights = source.get(layer, [])
    if [weight.shape for weight in weights] != wanted:
        came = f"{layer} has shape {weights[0].shape}" if weights else f"they have no {layer}"
        raise Refusal(
            f"weights {name} do not fit: {came}; needed: shape {wanted[0]}. "
            "Choose the MobileNet of the preset's version and width"
        )
    model.get_layer(layer).set_weights(weights)
    for norm in (f"{layer}_bn", f"{layer}_BN", f"bn_{layer}"):
        if norm in source:
            model.get_layer(f"{layer}_bn").set_weights(source[norm])


def copy_separable(model, row, source, number, order, name) -> np.ndarray:
    """Copies a row. order: the pretrained channel of each input channel; returns the same for its
    output channels."""
    depth = source[f"conv_dw_{number}"][0]
    point = source[f"conv_pw_{number}"][0]
    if depth.shape[2] != len(order) or point.shape[-1] != row.out:
        raise Refusal(
            f"weights {name} do not fit: conv_pw_{number} has {point.shape[-1]} filters; "
            f"needed for {row.name}: {row.out}. "
            "Choose the MobileNet of the preset's version and width"
        )
    depth_norm = [values[order] for values in source[f"conv_dw_{number}_bn"]]
    put(model, f"{row.name}_dw", depth[:, :, order], depth_norm)
    point, norm = point[:, :, order], source[f"conv_pw_{number}_bn"]
    if not row.crelu:
        put(model, f"{row.name}_pw", point, norm)
        return np.arange(row.out)
    kept, opposite = opposite_pairs(point[0, 0])
    gamma, beta, mean, variance = norm
    if row.norm == "before":
        put(model, f"{row.name}_pw", point[..., kept], [values[kept] for values in norm])
        return np.concatenate([kept, opposite])
    # Norm after the concat: the negated half first, with its pair's gain and its own statistics.
    order = np.concatenate([opposite, kept])
    doubled = [gamma[order], beta[order], np.concatenate([-mean[kept], mean[kept]])]
    doubled.append(np.concatenate([variance[kept], variance[kept]]))
    model.get_layer(f"{row.name}_pw").set_weights([point[..., kept]])
    model.get_layer(f"{row.name}_pw_crelu_bn").set_weights(doubled)
    return order


def put(model, name, kernel, norm) -> None:
    model.get_layer(name).set_weights([kernel])
    model.get_layer(f"{name}_bn").set_weights(norm)


def opposite_pairs(filters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(kept, opposite): column indices of n pairs of the filters (inputs, 2n), most opposite first.

    The filter of larger norm is the one kept.
    """
    lengths = np.linalg.norm(filters, axis=0)
    unit = filters / np.maximum(lengths, 1e-12)
    cosines = unit.T @ unit
    rows, columns = np.triu_indices(filters.shape[1], 1)
    free = np.ones(filters.shape[1], bool)
    kept, opposite = [], []
    for at in np.argsort(cosines[rows, columns], kind="stable"):
        i, j = rows[at], columns[at]
        if free[i] and free[j]:
            free[[i, j]] = False
            keep, drop = (i, j) if lengths[i] >= lengths[j] else (j, i)
            kept.append(keep)
            opposite.append(drop)
    return np.array(kept), np.array(opposite)
