"""The gate: the limits that a file's figures must keep before its kit is written."""

from typing import NamedTuple

from export.recipes import BY_NAME, Recipe

FP16_LARGEST = 65504.0


class Limit(NamedTuple):
    """A figure of report.json and its bounds.

    most, least: a number, or the name of the figure in the report that holds it. of: names or
    kernels of the recipes that the limit applies to; empty for all.
    """

    name: str
    most: float | str | None
    least: float | str | None
    why: str
    of: tuple[str, ...] = ()


# fmt: off
LIMITS = (
    Limit("pixel_agreement", None, "pixel_agreement_floor",
          "pixel agreement with Keras, the fraction of pixels to which both give the same class"),
    Limit("miou_drop", "max_drop", None,
          "mIoU lost against Keras, a fraction; --max-drop sets the limit"),
    Limit("max_abs_error", 1e-4, None,
          "largest absolute error of a logit divided by the largest absolute logit", ("float32",)),
    Limit("target_faults", 0, None,
          "operators that a target does not support, listed under `targets`"),
    Limit("open_shapes", 0, None, "tensors without a fixed shape"),
    Limit("custom_operators", 0, None,
          "custom and Flex operators, which need an additional library"),
    Limit("dead_layers", 0, None,
          "layers that XNNPACK cannot load, because their output was almost zero on the "
          "calibration images", ("int8",)),
    Limit("metadata_faults", 0, None,
          "values in which the file's metadata and the contract differ"),
    Limit("contract_agreement", None, 1.0,
          "fraction of the golden photo's pixels to which a program that follows the contract "
          "gives the same class as the pipeline"),
    Limit("float_operators", 0, None,
          "operators of an int8 file that compute in float, other than layers kept in float",
          ("int8",)),
    Limit("clipped", 0.02, None,
          "largest fraction of a layer's values outside its int8 range", ("int8",)),
    Limit("calibration_distance", 0.15, None,
          "distance, 0 to 1, between the histograms of the pixel values of the calibration images "
          "and of the training images", ("int8",)),
    Limit("largest_activation", FP16_LARGEST, None,
          "largest activation, which must fit into float16", ("float16", "sparse16")),
)
# fmt: on


def applies(limit: Limit, recipe: Recipe) -> bool:
    return not limit.of or recipe.name in limit.of or recipe.kernels in limit.of


def failures(report: dict) -> list[str]:
    """A line for each limit that the figures of a report break.

    A figure that is missing or None was not measured; its limit is skipped.
    """
    lines = []
    for limit in LIMITS:
        value = report.get(limit.name)
        if value is None or not applies(limit, BY_NAME[report["recipe"]]):
            continue
        value = len(value) if isinstance(value, list) else value
        most, least = (report[b] if isinstance(b, str) else b for b in (limit.most, limit.least))
        # "not <=" instead of ">", so that NaN fails.
        if most is not None and not value <= most:
            lines.append(f"{limit.name} is {value:g}, but must be at most {most:g}: {limit.why}")
        if least is not None and not value >= least:
            lines.append(f"{limit.name} is {value:g}, but must be at least {least:g}: {limit.why}")
    return lines
