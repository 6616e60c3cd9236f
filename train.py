"""python train.py --data DIR --run runs/NAME: trains a model on a folder of images and masks."""

import contextlib
import dataclasses
from collections.abc import Callable
from functools import partial
from pathlib import Path

import cli
from segnet.cluster import ALONE

SAMPLE_EPOCHS = 5


def main() -> None:
    from segnet.cluster import join
    from segnet.place import Place
    from segnet.plan import Plan

    parser = cli.parser("python train.py", "Train a segmentation model on your own images.")
    about = "folder of the run; an interrupted run in it continues"
    parser.add_argument("--run", required=True, metavar="runs/NAME", help=about)
    cli.add_flags(parser, Plan)
    cli.add_flags(parser, Place)
    args = vars(parser.parse_args())
    folder = Path(args.pop("run"))
    place = Place(**{field.name: args.pop(field.name) for field in dataclasses.fields(Place)})
    plan, cluster = Plan(**args), join(place)
    with cluster.together():
        train(plan, folder, cluster)


def train(plan, folder: Path, cluster=ALONE) -> None:
    from data.dataset import read_dataset
    from data.formats.auto import advice
    from data.ready import check_ready, remarks
    from files import held
    from segnet.build import check
    from segnet.checkpoint import has_checkpoint
    from segnet.run import has_begun
    from segnet.weights import check_source

    try:
        str(folder).encode()
    except UnicodeEncodeError as error:
        raise cli.Refusal(
            f"{folder} is not valid UTF-8, which TensorBoard's files need. Name a new --run"
        ) from error
    if advised := advice(plan.data):
        raise cli.Refusal(f"{plan.data} is no dataset. {advised}")
    dataset = read_dataset(plan.data, plan.damaged)
    network = plan.network()
    check(network, plan.size, len(dataset.classes))
    probe(dataset)
    if plan.batch < cluster.devices:
        raise cli.Refusal(
            f"--batch is {plan.batch} for {cluster.devices} devices; needed: an image for each"
        )
    if not has_checkpoint(folder):
        check_source(network, plan.weights)
        check_ready(dataset, plan.batch)
        for line in remarks(dataset) if cluster.leads else ():
            cli.say(line)
    with held(folder) if cluster.leads else contextlib.nullcontext():
        if cluster.leads:
            has_begun(folder, plan, origin(plan, dataset))  # refuses before TensorFlow's seconds
        model, load = begin(plan, len(dataset.classes), cluster)
        loop, finished = fit(model, dataset, plan, folder, load, cluster)
    if cluster.leads:
        print(ending(loop, dataset, folder, finished))


def ending(loop, dataset, folder: Path, finished: bool) -> str:
    images = len(dataset.pairs("val"))
    line = f"{folder}: best mIoU {loop.best:.4f} on the {images} validation images"
    more = f"\nfinished already; to train longer, start a new --run with --weights {folder}"
    return line + more if finished else line


def begin(plan, classes: int, cluster=ALONE):
    """(model with random weights, function that loads the initial ones and returns a line)."""
    from segnet import backend
    from segnet.build import build
    from segnet.weights import load_encoder

    backend.seed_everything(plan.seed)
    network = plan.network()
    model = cluster.share_model(lambda: build(backend.start(), network, plan.size, classes))
    return model, lambda: load_encoder(model, network, plan.weights)


def fit(model, dataset, plan, folder: Path, load, cluster=ALONE):
    """Trains a built model in a run folder, or continues there: (loop, whether it was finished).

    load(): puts the initial weights into `model` and returns a line that names them; called when a
    run begins. The caller holds the folder (`files.held`).
    """
    from segnet.checkpoint import has_checkpoint
    from segnet.loop import Loop
    from segnet.run import LAST, epochs_done, open_run

    if cluster.from_leader(lambda: None if has_checkpoint(folder) else b"new") is not None:
        line = load()
    if cluster.leads:
        open_run(folder, plan, origin(plan, dataset))
    steps, hooks = prepare(model, dataset, plan, folder, cluster)
    loop = Loop(model, plan, folder, steps, hooks, cluster=cluster)
    if loop.restore():
        line = f"continues at step {loop.step} of {loop.steps}"
        if cluster.leads and epochs_done(folder) < len(loop.history):
            hooks.after_epoch(len(loop.history), loop.history)  # killed before its pictures
    if cluster.leads:
        cli.say(line)
    done = cluster.from_leader(lambda: b"1" if (folder / LAST).exists() else None)
    finished = loop.done and done is not None
    if not finished:
        loop.run()
    return loop, finished


def prepare(model, dataset, plan, folder: Path, cluster=ALONE):
    """Compiles the model; (steps per epoch, hooks of the loop)."""
    from data.batches import steps_per_epoch, training_batches
    from data.statistics import class_weights
    from segnet.loop import Hooks, compile_model
    from segnet.losses import distillation_loss, distillation_targets, segmentation_loss

    steps = steps_per_epoch(dataset, plan.batch)
    weights = class_weights(dataset, plan.class_weights)
    teacher = teacher_of(plan, dataset)
    loss = distillation_loss if teacher else segmentation_loss
    with cluster.scope():
        compile_model(model, plan, plan.epochs * steps, weights, loss)
    return steps, Hooks(
        lambda start: training_batches(
            dataset, plan.size, plan.batch, plan.seed, start, plan.augment, cluster.share
        ),
        lambda: evaluate(cluster.local(model), dataset, plan, weights, cluster),
        EpochLog(lambda: cluster.local(model), dataset, plan, folder),
        **({"target": partial(distillation_targets, teacher)} if teacher else {}),
    )  # fmt: skip


def origin(plan, dataset):
    from segnet.run import Origin, best_file, sha256

    teacher = sha256(best_file(plan.teacher)) if plan.teacher else ""
    return Origin(dataset.described(plan.trust_times), teacher, dataset.changes)


def teacher_of(plan, dataset):
    """The model of `plan.teacher` at the plan's size, None without a teacher. Raises Refusal."""
    if not plan.teacher:
        return None
    from segnet.backend import trace_every_shape
    from segnet.run import load_run

    teacher, _, manifest = load_run(plan.teacher, plan.size)
    theirs = manifest["dataset"]["classes"]
    if theirs != list(dataset.classes):
        raise cli.Refusal(
            f"{plan.teacher} was trained on the classes {', '.join(theirs)}; needed: "
            f"{', '.join(dataset.classes)}. Name a --teacher that was trained on these"
        )
    trace_every_shape(teacher)
    return teacher


def probe(dataset) -> None:
    """Reads one pair of each split: an obvious mistake is found before anything is written."""
    from data.images import read_pair

    for split in ("train", "val"):
        read_pair(dataset.pairs(split)[0], dataset)


def evaluate(model, dataset, plan, weights=None, cluster=ALONE) -> dict:
    """`segnet.metrics.scores` on the validation set, and its "loss".

    The loss is that of training at the model's input size, without distillation. weights: of the
    classes, (C,), or None. Each process of a cluster scores a part of the set.
    """
    import cv2
    import keras
    import numpy as np

    from data.batches import evaluation_pairs
    from segnet.losses import segmentation_loss
    from segnet.metrics import confusion, scores, to_mask

    classes, losses = len(dataset.classes), [0.0]
    matrix = np.zeros((classes, classes), np.int64)
    loss = segmentation_loss(keras, classes, weights)
    for inputs, masks, _ in evaluation_pairs(dataset, "val", plan.size, plan.batch, cluster.part):
        logits = np.asarray(model.predict_on_batch(inputs))
        for truth, each in zip(masks, logits, strict=True):
            matrix = matrix + confusion(truth, to_mask(each, truth.shape), classes)
        rule = cv2.INTER_NEAREST_EXACT
        small = np.stack([cv2.resize(m, plan.size[::-1], interpolation=rule) for m in masks])
        losses.append(float(loss(small, logits)) * len(masks))
    mean = float(cluster.total(np.array(sum(losses)))) / len(dataset.pairs("val"))
    return {**scores(cluster.total(matrix), dataset.classes), "loss": mean}


@dataclasses.dataclass
class EpochLog:
    """Writes TensorBoard curves and sample images after an epoch, then records that it is done."""

    model: Callable  # returns it, with the weights of now
    dataset: object
    plan: object
    folder: Path
    writer: object = None

    def __call__(self, epoch: int, history: list[dict]) -> None:
        import tensorflow as tf

        from segnet.manifest import record

        self.writer = self.writer or tf.summary.create_file_writer(str(self.folder / "tensorboard"))
        with self.writer.as_default(step=epoch):
            for name, value in history[-1].items():
                if value is not None:
                    tf.summary.scalar(name, value)
        self.writer.flush()
        if epoch % SAMPLE_EPOCHS == 0 or epoch == self.plan.epochs:
            drawn = self.draw(self.folder / "samples" / f"epoch{epoch:04}.png")
            with self.writer.as_default(step=epoch):
                tf.summary.image("samples", drawn[None])
            self.writer.flush()
        record(self.folder, epochs_done=epoch)

    def draw(self, path: Path):
        """Writes the sheet of sample images; (H, W, 3) uint8 RGB."""
        import numpy as np

        from data.drawing import sheet
        from data.images import write_image
        from segnet.metrics import to_mask

        model = self.model()

        def predict(inputs, shape):
            return to_mask(np.asarray(model.predict_on_batch(inputs))[0], shape)

        drawn = sheet(self.dataset, self.plan.size, predict)
        write_image(path, drawn)
        return drawn


if __name__ == "__main__":
    cli.run(main)
