"""train.py in double precision, where rounding is too small to tell one order of sums from another.

In single precision AdamW follows the sign of gradients that are nothing but rounding.
"""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
os.environ["JAX_ENABLE_X64"] = "1"

import cli
import train
from segnet import backend

single = backend.configured


def double(name):
    k = single(name)
    from keras.src.backend.common import dtypes

    k.backend.set_floatx("float64")
    k.config.set_dtype_policy("float64")
    dtypes.BIT64_TO_BIT32_DTYPE["float64"] = "float64"  # Keras would round to 32 bits on JAX
    return k


backend.configured = double
cli.run(train.main)
