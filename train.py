"""python train.py --data DIR --run runs/NAME: a folder of images and masks to a trained model."""

import dataclasses
from functools import partial
from pathlib import Path

import cli

SAMPLE_EPOCHS = 5


def main() -> None:
    from segnet.plan import Plan

    parser = cli.parser("python train.py", "Train a segmentation model on your own images.")
    parser.add_argument("--run", required=True, metavar="runs/NAME", help="folder of this run")
    cli.add_flags(parser, Plan)
    words = vars(parser.parse_args())
    folder = Path(words.pop("run"))
    train(Plan(**words), folder)


def train(plan, folder: Path) -> None:
    from data.dataset import read_dataset
    from segnet import backend
    from segnet.build import build, check
    from segnet.run import has_begun
    from segnet.weights import check_source, load_encoder

    dataset = read_dataset(plan.data, plan.damaged)
    network, classes = plan.network(), len(dataset.classes)
    check(network, plan.size, classes)
    probe(dataset)
    # What can be refused is refused before TensorFlow is there, which takes seconds.
    if not has_begun(folder, plan, described(dataset)):
        check_source(network, plan.weights)
    backend.seed_everything(plan.seed)
    model = build(backend.start(), network, plan.size, classes)
    loop, finished = fit(
        model, dataset, plan, folder, lambda: load_encoder(model, network, plan.weights)
    )
    print(f"{folder}: best mIoU {loop.best:.4f} on the validation set")
    if finished:
        print("finished already; to train longer: "
              f"a new --run with --weights {folder}")  # fmt: skip


def fit(model, dataset, plan, folder: Path, load):
    """Trains a built model in a run folder, or goes on there: (loop, had it finished before).

    load(): puts the first weights into `model` and says in a line which; asked when a run begins.
    """
    from data.batches import training_batches
    from data.statistics import class_weights
    from segnet.loop import Hooks, Loop, compile_model
    from segnet.losses import distillation_loss, segmentation_loss, taught
    from segnet.run import has_checkpoint, open_run

    if not has_checkpoint(folder):
        said = load()
    open_run(folder, plan, described(dataset))
    steps = max(1, len(dataset.pairs("train")) // plan.batch)
    weights = class_weights(dataset, plan.class_weights)
    teacher = teacher_of(plan, dataset)
    loss = distillation_loss if teacher else segmentation_loss
    compile_model(model, plan, plan.epochs * steps, weights, loss)
    hooks = Hooks(
        lambda start: training_batches(
            dataset, plan.size, plan.batch, plan.seed, start, plan.augment
        ),
        lambda: evaluate(model, dataset, plan), Notes(model, dataset, plan, folder),
        **({"target": partial(taught, teacher)} if teacher else {}),
    )  # fmt: skip
    loop = Loop(model, plan, folder, steps, hooks)
    if loop.restore():
        said = f"continues at step {loop.step} of {loop.steps}"
    cli.say(said)
    finished = loop.step == loop.steps and (folder / "last.weights.h5").exists()
    if not finished:
        loop.run()
    return loop, finished


def described(dataset) -> dict:
    """What a run's manifest keeps of its data."""
    kept = {field: getattr(dataset, field) for field in ("classes", "colours", "void")}
    return {**kept, "fingerprint": dataset.fingerprint()}


def teacher_of(plan, dataset):
    """The model of `plan.teacher` at the plan's size, None where there is none. Raises Refusal."""
    if not plan.teacher:
        return None
    from segnet.run import load_run

    teacher, _, manifest = load_run(plan.teacher, plan.size)
    theirs = manifest["dataset"]["classes"]
    if theirs != list(dataset.classes):
        raise cli.Refusal(
            f"{plan.teacher} knows the classes {', '.join(theirs)}; needed: "
            f"{', '.join(dataset.classes)}. Name a --teacher that was trained on these"
        )
    return teacher


def probe(dataset) -> None:
    """Reads one pair of each split, so that a plain mistake is told before anything is written."""
    from data.images import read_pair

    for split in ("train", "val"):
        read_pair(dataset.pairs(split)[0], dataset)


def evaluate(model, dataset, plan) -> dict:
    import numpy as np

    from data.batches import evaluation_pairs
    from segnet.metrics import confusion, scores, to_mask

    matrix = 0
    for inputs, masks, _ in evaluation_pairs(dataset, "val", plan.size, plan.batch):
        logits = np.asarray(model.predict_on_batch(inputs))
        for truth, guess in zip(masks, logits, strict=True):
            matrix = matrix + confusion(truth, to_mask(guess, truth.shape), len(dataset.classes))
    return scores(matrix, dataset.classes)


@dataclasses.dataclass
class Notes:
    """What a person looks at after an epoch: TensorBoard curves and sample images."""

    model: object
    dataset: object
    plan: object
    folder: Path
    writer: object = None

    def __call__(self, epoch: int, history: list[dict]) -> None:
        import tensorflow as tf

        self.writer = self.writer or tf.summary.create_file_writer(str(self.folder / "tensorboard"))
        with self.writer.as_default(step=epoch):
            for name, value in history[-1].items():
                if value is not None:
                    tf.summary.scalar(name, value)
        self.writer.flush()
        if epoch % SAMPLE_EPOCHS == 0 or epoch == self.plan.epochs:
            self.draw(self.folder / "samples" / f"epoch{epoch:04}.png")

    def draw(self, path: Path) -> None:
        import numpy as np

        from data.drawing import sheet
        from data.images import write_image
        from segnet.metrics import to_mask

        def predict(inputs, shape):
            return to_mask(np.asarray(self.model.predict_on_batch(inputs))[0], shape)

        write_image(path, sheet(self.dataset, self.plan.size, predict))


if __name__ == "__main__":
    cli.run(main)
