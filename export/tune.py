"""Fine-tunes the deploy graph of a run for a recipe that needs it; resumes where it stopped."""

import dataclasses
from pathlib import Path

import cli
from export.proof.score import keras_function, score_function


def lowering_file(run: Path, kind: str) -> Path:
    """Where a fine-tuning records the lowering it was started with."""
    return run / "compress" / kind / "lowering.json"


def twin_of(trained, graph, lowering):
    """The tf_keras copy of `graph`, a deploy graph of a run, for any batch size."""
    from segnet.backend import start_tf_keras

    twin = trained.graph(lowering, start_tf_keras(), batch=None)
    for layer in twin.layers:
        layer.set_weights(graph.get_layer(layer.name).get_weights())
    return twin


def fine_plan(trained, kind: str, sparsity: float, epochs: int | None):
    """epochs: None for as many as the kind is known to need."""
    from data.batches import steps_per_epoch
    from segnet.compress import KINDS, FinePlan

    plan = trained.plan
    steps = steps_per_epoch(trained.dataset, plan.batch)
    epochs = KINDS[kind].epochs if epochs is None else epochs
    fine = FinePlan(steps, epochs, KINDS[kind].learning_rate, plan.batch, seed=plan.seed)
    return dataclasses.replace(fine, sparsity=sparsity) if kind == "sparse" else fine


def tune(trained, kind: str, twin, fine):
    """The fine-tuned copy of `twin`. kind: "qat", "sparse" or "cluster"."""
    from data.batches import training_batches
    from data.statistics import class_weights
    from segnet.finetune import finetune

    plan, dataset = trained.plan, trained.dataset
    return finetune(
        kind, twin, fine, trained.folder / "compress" / kind,
        lambda start: training_batches(
            dataset, plan.size, plan.batch, plan.seed, start, plan.augment
        ),
        lambda model: score_function(keras_function(model), dataset, "val", plan.size),
        cli.say, class_weights(dataset, plan.class_weights),
    )  # fmt: skip
