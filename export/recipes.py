"""The recipes, a row for each combination of types that a file can have, and the outputs."""

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


class Output(NamedTuple):
    """What a file of any recipe can give.

    values: "logits", "probabilities" or "classes". dtype: its type, None for that of the recipe.
    head_error: the most by which it may differ from softmax or argmax of the logits; that of a
    quantised softmax is HEAD_STEP.
    """

    name: str
    values: str
    dtype: str | None
    head_error: float
    meant_for: str

    def of(self, recipe: Recipe) -> Recipe:
        """The recipe with the type of this output."""
        return recipe._replace(output=self.dtype or recipe.output)

    def error_most(self, recipe: Recipe) -> float:
        quantised = self.values == "probabilities" and recipe.output == "uint8"
        return HEAD_STEP if quantised else self.head_error

    def kit(self, recipe: Recipe) -> str:
        """The name of the kit's folder."""
        return recipe.name if self.name == "logits" else f"{recipe.name}-{self.name}"


HEAD_STEP = 1 / 256  # of a quantised softmax
# fmt: off
OUTPUTS = (
    #      name             values           dtype    error  meant for
    Output("logits",        "logits",        None,    0.0,
           "the scores before softmax, for the smoothest masks"),
    Output("probabilities", "probabilities", None,    1e-6,
           "ends in softmax: the probability of each class"),
    Output("classes",       "classes",       "int32", 0.0,
           "ends in argmax: the class ids, enlarged without interpolation"),
    Output("classes8",      "classes",       "uint8", 0.0,
           "as classes, a byte each"),
)
# fmt: on
OUTPUT_BY_NAME = {output.name: output for output in OUTPUTS}


def parse(text: str) -> list[Recipe]:
    """The recipes of "all" or of comma-separated names. Raises Refusal."""
    if text == "all":
        return list(RECIPES)
    names = [name for name in text.split(",") if name]
    if not names:
        raise Refusal(f"no recipe given. Choose from: all, {', '.join(BY_NAME)}")
    return [BY_NAME[one_of(name, BY_NAME, "recipe")] for name in dict.fromkeys(names)]
