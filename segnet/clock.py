"""How long a training takes, and will take."""

import time

ESTIMATE_STEPS = 10  # after which the time that is left is estimated


class Clock:
    """Measures the steps of this process, for the times that are reported."""

    def __init__(self):
        self.steps = 0
        self.started = self.first = self.epoch = time.perf_counter()

    def step(self, left: int) -> float | None:
        """Counts a step. After the tenth it returns the seconds that `left` more steps will take.

        The first step also traces the graph and is left out; validation is not included.
        """
        self.steps += 1
        if self.steps == 1:
            self.first = time.perf_counter()
        if self.steps != ESTIMATE_STEPS or left < ESTIMATE_STEPS:
            return None
        return left * (time.perf_counter() - self.first) / (ESTIMATE_STEPS - 1)

    def end_epoch(self, left: int) -> tuple[float, float | None]:
        """(seconds of this epoch, seconds that `left` steps will take, validation included).

        What is left is not known, None, where this process has only evaluated so far.
        """
        now, start = time.perf_counter(), self.epoch
        self.epoch = now
        return now - start, left * (now - self.started) / self.steps if self.steps else None


def duration(seconds: float) -> str:
    """12 s, 3 min, 1.5 h."""
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
