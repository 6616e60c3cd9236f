"""32x32 patches and the class of each one's centre, from a dataset folder or from CIFAR."""

from pathlib import Path

import cli

SIDE = 32  # of a patch
CENTRE = 15  # of the two middle pixels the one that stride 2, padding right and below, hits exactly
CLASSES = 10  # the most frequent
PATCHES = {"train": 6000, "val": 1500}
LABELS = {"data_batch_1.bin": 1, "train.bin": 2}  # CIFAR-10 and -100: bytes before the pixels


def read_patches(folder: Path) -> tuple[dict, int]:
    """{"train", "val"}: (images (N, 32, 32, 3) uint8 RGB, labels (N,)), and how many classes.

    The same whenever and wherever they are drawn.
    """
    for first, labels in LABELS.items():
        if (folder / first).exists():
            return read_cifar(folder, labels)
    if any((folder / name).exists() for name in ("batches.meta", "meta")):
        raise cli.Refusal(
            f"{folder} is CIFAR's Python version, whose files may run programs. "
            "Fetch the binary version"
        )
    return cut_patches(folder)


def cut_patches(folder: Path) -> tuple[dict, int]:
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
    """Ids of the classes that are there, at most CLASSES, ascending."""
    import numpy as np

    order = np.argsort(-counts, kind="stable")[:CLASSES]
    return np.sort(order[counts[order] > 0])


def centres(dataset, split: str, classes, count: int, rng):
    """Pixels (number of the pair, y, x, class) whose patch lies in the image, at random.

    So many of each class in each image that a class of one image in twenty has its tenth.
    """
    import numpy as np
    from tqdm import tqdm

    from data.images import read_mask

    pairs, found = dataset.pairs(split), [np.zeros((0, 4), int)]
    most = -(-2 * count // len(pairs))
    for number in tqdm(range(len(pairs)), desc=f"masks of {split}", leave=False):
        mask = read_mask(pairs[number][1], dataset)
        height, width = (max(0, side - SIDE + 1) for side in mask.shape)
        inner = mask[CENTRE : CENTRE + height, CENTRE : CENTRE + width]
        for class_ in np.intersect1d(inner, classes):
            spots = np.argwhere(inner == class_) + CENTRE
            spots = spots[rng.choice(len(spots), min(most, len(spots)), replace=False)]
            found.append(np.insert(spots, [0, 2], [number, class_], axis=1))
    return np.concatenate(found)


def cut(dataset, split: str, spots):
    """The patches (N, 32, 32, 3) uint8 around pixels as `centres` gives them."""
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
    """Places of at most `count` labels, as many of each class as can be; the rarest are all taken.

    Ascending, drawn at random.
    """
    import numpy as np

    places = sorted((np.flatnonzero(labels == class_) for class_ in classes), key=len)
    taken, left = [], count
    for number, own in enumerate(places):
        share = left // (len(places) - number)
        taken.append(rng.permutation(own)[:share])
        left -= len(taken[-1])
    return np.sort(np.concatenate(taken))


def read_cifar(folder: Path, labels: int) -> tuple[dict, int]:
    """CIFAR's binary version, cs.toronto.edu/~kriz/cifar.html.

    A record is the label (CIFAR-100: coarse label, fine label) and the red, green and blue plane,
    row by row, a byte each. The fine label counts.
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
    """(N, bytes of a record) uint8."""
    import numpy as np

    from data.images import read_bytes

    raw, record = read_bytes(path), labels + 3 * SIDE * SIDE
    if not raw or len(raw) % record:
        raise cli.Refusal(
            f"{path} has {len(raw)} bytes; needed: a multiple of {record}. Fetch it once more"
        )
    return np.frombuffer(raw, np.uint8).reshape(-1, record)
