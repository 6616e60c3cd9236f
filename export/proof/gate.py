"""The limits that a file must keep to leave, and the verdict. It measures nothing, it judges."""

from typing import NamedTuple

from export.recipes import BY_NAME, Recipe

FP16_LARGEST = 65504.0


class Limit(NamedTuple):
    """A figure of report.json and what it may be.

    most, least: a number, or the name of the report's figure that holds it. of: the recipes whose
    kernels, or whose name, it is about; all when empty.
    """

    name: str
    most: float | str | None
    least: float | str | None
    why: str
    of: tuple[str, ...] = ()


# fmt: off
LIMITS = (
    Limit("pixel_agreement", None, "pixel_agreement_floor",
          "fraction of pixels for which the file predicts the class that Keras predicts"),
    Limit("miou_drop", "max_drop", None, "mIoU lost against Keras, a fraction; --max-drop sets it"),
    Limit("max_abs_error", 1e-4, None, "largest logit error as a share of the largest logit",
          ("float32",)),
    Limit("target_faults", 0, None, "operators that a target does not run (`targets` names them)"),
    Limit("open_shapes", 0, None, "tensors whose shape the file leaves open"),
    Limit("custom_operators", 0, None, "operators that no runtime has by itself, Flex among them"),
    Limit("dead_layers", 0, None,
          "layers that gave next to nothing on the calibration images: XNNPACK cannot load them",
          ("int8",)),
    Limit("metadata_faults", 0, None, "where the file's metadata and the contract differ"),
    Limit("contract_agreement", None, 1.0,
          "share of the golden photo's pixels to which a reader of the contract gives the class "
          "that the pipeline gives"),
    Limit("float_operators", 0, None, "operators that compute in float in an int8 file", ("int8",)),
    Limit("clipped", 0.02, None, "largest share of a layer's values beyond its int8 range",
          ("int8",)),
    Limit("calibration_distance", 0.15, None,
          "between the calibration images' histogram and the training set's, 0 to 1", ("int8",)),
    Limit("largest_activation", FP16_LARGEST, None, "float16 holds no more",
          ("float16", "sparse16")),
)
# fmt: on


def applies(limit: Limit, recipe: Recipe) -> bool:
    return not limit.of or recipe.name in limit.of or recipe.kernels in limit.of


def failures(report: dict) -> list[str]:
    """What the figures of a report break, in words; empty when they break nothing.

    A figure that is missing or None was not measured, and the limit is left out.
    """
    lines = []
    for limit in LIMITS:
        value = report.get(limit.name)
        if value is None or not applies(limit, BY_NAME[report["recipe"]]):
            continue
        value = len(value) if isinstance(value, list) else value
        most, least = (report[b] if isinstance(b, str) else b for b in (limit.most, limit.least))
        # "not <=" and not ">": NaN must fail.
        if most is not None and not value <= most:
            lines.append(f"{limit.name} is {value:g}, at most {most:g}: {limit.why}")
        if least is not None and not value >= least:
            lines.append(f"{limit.name} is {value:g}, at least {least:g}: {limit.why}")
    return lines
