"""The images of the report: masks of Keras and of each file over judged images."""

from contextlib import suppress
from pathlib import Path

import numpy as np

from cli import Refusal
from data.dataset import Dataset, read_dataset
from data.drawing import IMAGES, overlay, uri
from data.images import read_pair
from data.layout import VOID
from export.graph import calibration
from export.proof.score import predictor
from segnet.plan import Plan

SIDE = 280  # pixels, the largest side of an image on the page
DIFFERENT = (255, 96, 255)  # RGB of a pixel that differs, drawn on the darkened image


def images(folder: Path, plan: Plan, colours: list, kits: dict[str, Path]) -> dict:
    """For the page: numbers of images, rows of drawn images, or the reason why there are none.

    kits: name of a recipe to its kit.
    """
    found = {}
    try:
        dataset = read_dataset(plan.data, plan.damaged)
        found = image_counts(dataset)
        pairs = dataset.pairs("val")
        # Neighbours are often similar: frames of one video, photographs of one person.
        pairs = pairs[:: max(1, len(pairs) // IMAGES)][:IMAGES]
        samples = [read_pair(pair, dataset) for pair in pairs]
        functions = {"Keras": predictor(folder)}
        functions |= {name: predictor(kit / "model.tflite") for name, kit in kits.items()}
        masks = {n: [function(p) for p, _ in samples] for n, function in functions.items()}
    except Refusal as reason:
        return {**found, "missing": str(reason)}
    return {
        **found,
        "names": [pair[0].name for pair in pairs],
        "rows": rows(samples, masks, colours),
    }


def image_counts(dataset: Dataset) -> dict[str, int]:
    """Numbers of validation images and, if they can be counted, of calibration images."""
    found = {"validation": len(dataset.pairs("val"))}
    with suppress(Refusal):
        if dataset.damaged != "skip":  # which would read every training image
            found["calibration"] = min(calibration.IMAGES, len(dataset.pairs("train")))
    return found


def rows(samples: list, masks: dict, colours: list) -> list[dict]:
    """A row for the ground truth, for Keras and for each recipe, with one cell per image.

    samples: (image, ground truth); masks: lists as long as `samples`, for "Keras" and each recipe.
    """
    truths = [truth for _, truth in samples]
    first = [
        {"uris": (uri(image, SIDE), uri(overlay(image, truth, colours), SIDE)), "fraction": None}
        for image, truth in samples
    ]
    found = [{"name": "ground truth", "beside": "ground truth", "cells": first}]
    for name, predicted in masks.items():
        references = truths if name == "Keras" else masks["Keras"]
        cells = [
            compared(image, mask, reference, colours)
            for (image, _), mask, reference in zip(samples, predicted, references, strict=True)
        ]
        reference = "the ground truth" if name == "Keras" else "Keras"
        found.append({"name": name, "beside": f"differences from {reference}", "cells": cells})
    return found


def compared(image, mask, reference, colours) -> dict:
    """A mask over its image, where it differs from a reference mask, and the fraction of pixels.

    Pixels that are void in the reference do not differ.
    """
    differs = (mask != reference) & (reference != VOID)
    grey = np.repeat(image.mean(-1, keepdims=True) / 2, 3, -1).astype(np.uint8)
    where = np.where(differs[..., None], np.uint8(DIFFERENT), grey)
    return {
        "uris": (uri(overlay(image, mask, colours), SIDE), uri(where, SIDE)),
        "fraction": differs.mean(),
    }
