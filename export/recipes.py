"""The recipes: one row for each combination of types that a file can have."""

from typing import NamedTuple

from cli import Refusal, one_of


class Recipe(NamedTuple):
    """weights, activations, input, output: their types in the file.

    kernels: the runtime's kernels that compute it. Recipes with the same kernels take the same
    time and share one choice of lowering. training: the fine-tuning that it needs, if any.
    pixel_agreement: the least fraction of pixels whose class must be that of the float model, which
    is the fine-tuned one if there is one. snr: the least signal to quantisation noise ratio of a
    layer, in decibels. logits: the most by which a logit's mean and scale may differ, relative.
    """

    name: str
    weights: str
    activations: str
    input: str
    output: str
    kernels: str
    calibrated: bool
    training: str | None
    pixel_agreement: float
    snr: float
    logits: float
    meant_for: str

    @property
    def input_zero(self) -> int:
        """The byte of a uint8 input that stands for 0; fine-tuning needs one that does exactly."""
        return 128 if self.training else 127


# fmt: off
RECIPES = (
    #      name         weights    activations input     output   kernels   calib. training
    Recipe("float32",   "float32", "float32", "float32", "float32", "float",   False, None,
           0.999, 90.0, 1e-4, "the reference, for CPUs and GPUs"),
    Recipe("float16",   "float16", "float32", "float32", "float32", "float",   False, None,
           0.99, 90.0, 0.01,
           "float16 weights: about half the size, the same speed; for GPUs, CPUs too"),
    Recipe("dynamic8",  "int8",    "float32", "float32", "float32", "dynamic", False, None,
           0.9, 16.0, 0.1,
           "dynamic-range quantisation: int8 weights, no calibration images"),
    Recipe("int8",      "int8",    "int8",    "uint8",   "float32", "int8",    True,  None,
           0.9, 20.0, 0.1, "quantised after training: usually the fastest and smallest on CPUs"),
    Recipe("int8-full", "int8",    "int8",    "uint8",   "uint8",   "int8",    True,  None,
           0.9, 20.0, 0.1,
           "as int8, for NPUs and microcontrollers without float arithmetic"),
    Recipe("qat8",      "int8",    "int8",    "uint8",   "float32", "int8",    False, "qat",
           0.9, 20.0, 0.1,
           "quantisation-aware training, where int8 loses too much"),
    Recipe("sparse",    "float32", "float32", "float32", "float32", "float",   False, "sparse",
           0.999, 90.0, 1e-4, "pruned, zeros are not stored: smaller, not faster; CPUs only"),
    Recipe("sparse16",  "float16", "float32", "float32", "float32", "float",   False, "sparse",
           0.99, 90.0, 0.01,
           "as sparse, but smaller; CPUs only, WebGPU gives wrong results"),
    Recipe("clustered", "float32", "float32", "float32", "float32", "float",   False, "cluster",
           0.999, 90.0, 1e-4, "few distinct weights: smaller once an app store compresses it"),
)
# fmt: on
BY_NAME = {recipe.name: recipe for recipe in RECIPES}


def parse(text: str) -> list[Recipe]:
    """The recipes of "all" or of comma-separated names. Raises Refusal."""
    if text == "all":
        return list(RECIPES)
    names = [name for name in text.split(",") if name]
    if not names:
        raise Refusal(f"no recipe given. Choose from: all, {', '.join(BY_NAME)}")
    return [BY_NAME[one_of(name, BY_NAME, "recipe")] for name in dict.fromkeys(names)]
