"""The options that say where a run is trained: backend, GPUs, processes."""

import os
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from cli import Refusal, option
from segnet import BACKEND


@dataclass(frozen=True)
class Place:
    """Where a run is trained. It is no part of the plan: the same run can go on elsewhere."""

    backend: str = option(
        "", metavar="{tensorflow,jax}",
        help="library that trains (default: jax where there is a GPU for it or several processes "
        "train together, else tensorflow)",
    )  # fmt: skip
    devices: str = option(
        "all", metavar="N", help="GPUs of this machine that share the batches; jax alone"
    )
    coordinator: str = option(
        "", metavar="HOST:PORT", help="address of the process of rank 0, for several processes, "
        "each started with this, --processes and --rank; under Slurm's srun all three are known",
    )  # fmt: skip
    processes: int = option(1, type=int, help="processes that train together")
    rank: int = option(0, type=int, help="number of this process, from 0")

    def __post_init__(self):
        if self.processes < 1 or not 0 <= self.rank < self.processes:
            raise Refusal(
                f"--rank is {self.rank} of --processes {self.processes}; needed: ranks from 0 to "
                "one less than the number of processes"
            )
        if (self.processes > 1) != bool(self.coordinator):
            raise Refusal(
                "several processes need --coordinator HOST:PORT, --processes N and --rank R, each; "
                "HOST:PORT is a free port of the machine of rank 0"
            )
        if self.devices != "all" and not (self.devices.isdecimal() and int(self.devices) > 0):
            raise Refusal(f"--devices is {self.devices!r}; needed: all, or a number from 1")

    @property
    def several(self) -> bool:
        return self.processes > 1 or int(os.environ.get("SLURM_STEP_NUM_TASKS") or 1) > 1


def choose(place: Place) -> str:
    """The backend: that of the option, of the environment, or the default."""
    wanted = place.backend or BACKEND
    if not wanted:
        return "jax" if find_spec("jax") and (place.several or has_accelerator()) else "tensorflow"
    if wanted != "jax" and (place.several or place.devices != "all"):
        raise Refusal(
            f"several processes or GPUs train on jax, not on {wanted}. Type --backend jax"
        )
    return wanted


def has_accelerator() -> bool:
    """Whether there are a GPU and JAX's code for it, without starting either."""
    plugins = any(find_spec(f"jax_cuda{version}_plugin") for version in (12, 13))
    return plugins and Path("/dev/nvidiactl").exists()
