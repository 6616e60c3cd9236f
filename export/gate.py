"""The limits that a file must keep to leave, and the verdict. It measures nothing, it judges."""

from typing import NamedTuple


class Limit(NamedTuple):
    name: str  # of the figure in report.json
    most: float | None  # the figure may reach this
    least: float | None
    why: str


LIMITS = (
    Limit("partitions", 1, 1, "XNNPACK must run the whole file as one part"),
    Limit("agreement", None, 0.999, "share of pixels with the class that Keras gives"),
    Limit("max_abs_error", 1e-4, None, "largest logit error as a share of the largest logit"),
)


def failures(report: dict) -> list[str]:
    """What the figures of a report break, in words; empty when the file may leave."""
    lines = []
    for limit in LIMITS:
        value = report[limit.name]
        # "not <=" and not ">": NaN must fail.
        if limit.most is not None and not value <= limit.most:
            lines.append(f"{limit.name} is {value:g}, at most {limit.most:g}: {limit.why}")
        if limit.least is not None and not value >= limit.least:
            lines.append(f"{limit.name} is {value:g}, at least {limit.least:g}: {limit.why}")
    return lines
