"""The gate: the limits that a file's figures must keep before its kit is written."""

from typing import NamedTuple

from export.recipes import BY_NAME, Recipe

FP16_LARGEST = 65504.0


class Limit(NamedTuple):
    """A figure of report.json and its bounds.

    most, least: a number, or the name of the figure in the report that holds it. of: names, kernels
    or fine-tunings of the recipes that the limit applies to, outputs, or targets that were asked
    for; empty for all files. early: whether the figure is read from the file, before it is run.
    """

    name: str
    most: float | str | None
    least: float | str | None
    why: str
    of: tuple[str, ...] = ()
    early: bool = False


# fmt: off
LIMITS = (
    Limit("graph_error", 1e-4, None,
          "largest absolute difference of a logit between the float graph that is converted and "
          "Keras, divided by the largest absolute logit"),
    Limit("weight_error", 0.75, None,
          "largest difference of a stored weight or bias to the float graph's, in steps of its "
          "type; rounding is at most 0.5"),
    Limit("layer_snr", None, "layer_snr_floor",
          "signal to quantisation noise ratio, in decibels, of the worst channel of the worst "
          "layer, given the file's own inputs of that layer"),
    Limit("logit_bias", "logit_bias_most", None,
          "largest mean difference of a class's logits to the float model, relative to the root "
          "mean square of the logits"),
    Limit("logit_scale_error", "logit_bias_most", None,
          "factor by which the file's logits are larger than the float model's, less 1"),
    Limit("pixel_agreement", None, "pixel_agreement_floor",
          "pixel agreement with the float model, the fraction of pixels to which both give the "
          "same class"),
    Limit("max_abs_error", 1e-4, None,
          "largest absolute error of a logit divided by the largest absolute logit", ("float32",)),
    Limit("miou_difference", 0.005, None,
          "difference of Keras' mIoU on the validation images to that of the training"),
    Limit("miou_drop", "max_drop", None,
          "mIoU lost against Keras, a fraction; --max-drop sets the limit"),
    Limit("worst_class_drop", "max_class_drop", None,
          "IoU that the worst class loses against Keras, a fraction; five times --max-drop"),
    Limit("minority", None, 0.1,
          "pixels outside the class that is predicted most, relative to those of the ground truth: "
          "a model that gives one class nearly everywhere proves nothing"),
    Limit("mistakes_seen", None, 1,
          "of the mistakes channel order, range and resize rule, how many change the masks: a "
          "model that does not look at its input proves nothing"),
    Limit("claim_faults", 0, None,
          "weights, input or output whose types, scales or zeros are not those of the recipe",
          early=True),
    Limit("target_faults", 0, None,
          "operators that a target does not support, listed under `targets`"),
    Limit("open_shapes", 0, None, "tensors without a fixed shape", early=True),
    Limit("custom_operators", 0, None,
          "custom and Flex operators, which need an additional library", early=True),
    Limit("dead_layers", 0, None,
          "layers that XNNPACK cannot load, because their output was almost zero on the "
          "calibration images", ("int8",), early=True),
    Limit("metadata_faults", 0, None,
          "values in which the file's metadata and the contract differ"),
    Limit("contract_agreement", None, 1.0,
          "fraction of the golden photo's pixels to which a program that follows the contract "
          "gives the same class as the pipeline"),
    Limit("float_operators", 0, None,
          "operators of an int8 file that compute in float, other than layers kept in float",
          ("int8",), early=True),
    Limit("clipped", 0.02, None,
          "largest fraction of a layer's values outside its int8 range", ("int8",)),
    Limit("calibration_distance", 0.1, None,
          "by how much the histograms of the calibration images are further from those of the "
          "judged images than the training images' are, 0 to 1", ("calibrated",)),
    Limit("calibration_error", 1.0, None,
          "mean difference, in levels of a byte, between a calibration image and the same image "
          "prepared by the contract", ("calibrated",)),
    Limit("head_error", "head_error_most", None,
          "largest difference of a probability to the softmax of the logits, or largest fraction "
          "of an image's pixels whose class is not the one of the largest logit",
          ("probabilities", "classes", "classes8")),
    Limit("largest_activation", FP16_LARGEST, None,
          "largest activation, which must fit into float16", ("float16", "sparse16", "gpu")),
)
# fmt: on


def asked(report: dict) -> tuple[str, ...]:
    """The targets that the file was asked to run on, and its output."""
    return (*report.get("asked_targets", ()), report.get("output", "logits"))


def applies(limit: Limit, recipe: Recipe, asked=()) -> bool:
    """asked: see the function of this name."""
    kinds = {recipe.name, recipe.kernels, *asked, *(["calibrated"] if recipe.calibrated else [])}
    return not limit.of or bool(kinds & set(limit.of))


def failures(report: dict, early: bool = False) -> list[str]:
    """A line for each limit that the figures of a report break or that lacks its figure.

    early: only the limits on what is read from the file.
    """
    lines = []
    for limit in LIMITS:
        if early > limit.early:
            continue
        if applies(limit, BY_NAME[report["recipe"]], asked(report)):
            lines += broken(limit, report)
    return lines


def broken(limit: Limit, report: dict) -> list[str]:
    value = report.get(limit.name)
    if value is None:
        return [f"{limit.name} is missing, {why_missing(limit, report)}: {limit.why}"]
    value = len(value) if isinstance(value, list) else value
    most, least = (report[b] if isinstance(b, str) else b for b in (limit.most, limit.least))
    # "not <=" instead of ">", so that NaN fails.
    if most is not None and not value <= most:
        return [f"{limit.name} is {value:g}, but must be at most {most:g}: {limit.why}"]
    if least is not None and not value >= least:
        return [f"{limit.name} is {value:g}, but must be at least {least:g}: {limit.why}"]
    return []


def why_missing(limit: Limit, report: dict) -> str:
    """not measured, because ..."""
    known = report.get("not_measured", {})
    return f"not measured, because {known.get(limit.name, 'nothing measured it')}"


def unmeasured(because: str) -> dict[str, str]:
    """The report's `not_measured` for a file that was only read."""
    names = [limit.name for limit in LIMITS if not limit.early]
    return dict.fromkeys([*names, "miou_by_resize"], because)
