"""32x32 patches, each with the class of its centre, from a dataset folder or from CIFAR."""

from pathlib import Path

import cli

SIDE = 32  # of a patch
# Of the two central pixels of a side, the one that convolutions of stride 2 sample if they pad on
# the right and below.
CENTRE = 15
CLASSES = 10  # the most frequent ones are used
PATCHES = {"train": 6000, "val": 1500}
LABELS = {"data_batch_1.bin": 1, "train.bin": 2}  # CIFAR-10 and -100: label bytes per record


def read_patches(folder: Path) -> tuple[dict, int]:
    """(patches by split, number of classes). A split is (images (N, 32, 32, 3) uint8 RGB, labels).

    The patches are the same in every call and on every machine.
    """
    for first, labels in LABELS.items():
        if (folder / first).exists():
            return read_cifar(folder, labels)
    if any((folder / name).exists() for name in ("batches.meta", "meta")):
        raise cli.Refusal(
            f"{folder} is the Python version of CIFAR, whose files may execute code when read. "
            "Download the binary version"
        )
    return cut_patches(folder)


def cut_patches(folder: Path) -> tuple[dict, int]:
    """Patches of a dataset folder. Raises Refusal if a split has fewer than two classes of them."""
    import numpy as np

    from data.dataset import read_dataset
    from data.statistics import count_pixels

    dataset = read_dataset(folder)
    classes = most_frequent(count_pixels(dataset, "train"))
    rng, found = np.random.default_rng(0), {}
    for split, count in PATCHES.items():
        spots = centres(dataset, split, classes, count, rng)
        if len(np.unique(spots[:, 3])) < 2:
            raise cli.Refusal(
                f"{folder}/{split} has no {SIDE}x{SIDE} patches of two classes. Name another --data"
            )
        spots = spots[balanced(spots[:, 3], classes, count, rng)]
        found[split] = cut(dataset, split, spots), np.searchsorted(classes, spots[:, 3])
    return found, len(classes)


def most_frequent(counts):
    """Ids of the at most CLASSES most frequent classes that occur, ascending."""
    import numpy as np

    order = np.argsort(-counts, kind="stable")[:CLASSES]
    return np.sort(order[counts[order] > 0])


def centres(dataset, split: str, classes, count: int, rng):
    """Random pixels (index of the pair, y, x, class) whose patch is inside the image.

    At most 2 * count / images per class and image: a class that is in only one of twenty images can
    still fill a tenth of `count`.
    """
    import numpy as np
    from tqdm import tqdm

    from data.images import read_mask

    pairs, found = dataset.pairs(split), [np.zeros((0, 4), int)]
    most = -(-2 * count // len(pairs))
    for number in tqdm(range(len(pairs)), desc=f"masks of {split}", leave=False, disable=None):
        mask = read_mask(pairs[number][1], dataset)
        height, width = (max(0, side - SIDE + 1) for side in mask.shape)
        inner = mask[CENTRE : CENTRE + height, CENTRE : CENTRE + width]
        for class_ in np.intersect1d(inner, classes):
            spots = np.argwhere(inner == class_) + CENTRE
            spots = spots[rng.choice(len(spots), min(most, len(spots)), replace=False)]
            found.append(np.insert(spots, [0, 2], [number, class_], axis=1))
    return np.concatenate(found)


def cut(dataset, split: str, spots):
    """The patches (N, 32, 32, 3) uint8 around the pixels that `centres` returns."""
    import numpy as np

    from data.images import read_image

    patches = np.empty((len(spots), SIDE, SIDE, 3), np.uint8)
    pairs = dataset.pairs(split)
    for number in np.unique(spots[:, 0]):
        image = read_image(pairs[number][0])
        for at in np.flatnonzero(spots[:, 0] == number):
            y, x = spots[at, 1:3] - CENTRE
            patches[at] = image[y : y + SIDE, x : x + SIDE]
    return patches


def balanced(labels, classes, count: int, rng):
    """Indices of at most `count` labels, drawn at random and as balanced as possible; ascending.

    Classes too rare for an equal share are taken completely.
    """
    import numpy as np

    indices = sorted((np.flatnonzero(labels == class_) for class_ in classes), key=len)
    taken, left = [], count
    for number, own in enumerate(indices):
        share = left // (len(indices) - number)
        taken.append(rng.permutation(own)[:share])
        left -= len(taken[-1])
    return np.sort(np.concatenate(taken))


def read_cifar(folder: Path, labels: int) -> tuple[dict, int]:
    """Reads the binary version of CIFAR, cs.toronto.edu/~kriz/cifar.html.

    A record is the label (CIFAR-100: coarse label, fine label) and the red, green and blue plane in
    row-major order, one byte per value. Of CIFAR-100 the fine label is used.
    """
    import numpy as np

    names = {
        1: {"train": [f"data_batch_{n}.bin" for n in range(1, 6)], "val": ["test_batch.bin"]},
        2: {"train": ["train.bin"], "val": ["test.bin"]},
    }[labels]
    rng, found, classes = np.random.default_rng(0), {}, None
    for split, count in PATCHES.items():
        records = np.concatenate([cifar_records(folder / name, labels) for name in names[split]])
        if classes is None:
            classes = most_frequent(np.bincount(records[:, labels - 1]))
        records = records[balanced(records[:, labels - 1], classes, count, rng)]
        planes = records[:, labels:].reshape(-1, 3, SIDE, SIDE)
        found[split] = (
            np.ascontiguousarray(planes.transpose(0, 2, 3, 1)),
            np.searchsorted(classes, records[:, labels - 1]),
        )
    return found, len(classes)


def cifar_records(path: Path, labels: int):
    """(N, bytes per record) uint8. Raises Refusal for a truncated file."""
    import numpy as np

    from data.images import read_bytes

    raw, record = read_bytes(path), labels + 3 * SIDE * SIDE
    if not raw or len(raw) % record:
        raise cli.Refusal(
            f"{path} has {len(raw)} bytes; needed: a multiple of {record}. Download it again"
        )
    return np.frombuffer(raw, np.uint8).reshape(-1, record)
