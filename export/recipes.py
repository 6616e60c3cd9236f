"""What a file can be made of: one row a recipe."""

from typing import NamedTuple

from cli import Refusal, one_of


class Recipe(NamedTuple):
    """weights, activations, input, output: how the file holds them.

    kernels: which of the runtime's kernels compute it; recipes of the same kernels take the same
    time, so that a lowering is chosen once for them. training: what fine-tuning it needs, if any.
    pixel_agreement: the lowest fraction of pixels of the class that Keras predicts.
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
    meant_for: str


# fmt: off
RECIPES = (
    #      name         weights    activations input     output   kernels   calib. training  agree
    Recipe("float32",   "float32", "float32", "float32", "float32", "float",   False, None, 0.999,
           "the reference; GPUs and CPUs"),
    Recipe("float16",   "float16", "float32", "float32", "float32", "float",   False, None, 0.998,
           "half the size, the same speed; GPUs"),
    Recipe("dynamic8",  "int8",    "float32", "float32", "float32", "dynamic", False, None, 0.99,
           "a quarter of the size where no calibration images are to be had"),
    Recipe("int8",      "int8",    "int8",    "uint8",   "float32", "int8",    True,  None, 0.97,
           "CPUs: the fastest and smallest; takes the image's bytes"),
    Recipe("int8-full", "int8",    "int8",    "uint8",   "uint8",   "int8",    True,  None, 0.97,
           "NPUs and microcontrollers that know no float"),
    Recipe("qat8",      "int8",    "int8",    "uint8",   "float32", "int8",    False, "qat", 0.95,
           "as int8, where int8 loses too much"),
    Recipe("sparse",    "float32", "float32", "float32", "float32", "float",   False, "sparse",
           0.95, "CPUs: a small download, zeros are not stored; not faster"),
    Recipe("sparse16",  "float16", "float32", "float32", "float32", "float",   False, "sparse",
           0.95, "as sparse, smaller still; wrong on WebGPU"),
    Recipe("clustered", "float32", "float32", "float32", "float32", "float",   False, "cluster",
           0.95, "stores that ship compressed files"),
)
# fmt: on
BY_NAME = {recipe.name: recipe for recipe in RECIPES}


def parse(words: str) -> list[Recipe]:
    """The recipes of "all" or of names with commas between them. Raises Refusal."""
    if words == "all":
        return list(RECIPES)
    names = [name for name in words.split(",") if name]
    if not names:
        raise Refusal(f"no recipe given. There are: all, {', '.join(BY_NAME)}")
    return [BY_NAME[one_of(name, BY_NAME, "recipe")] for name in dict.fromkeys(names)]
