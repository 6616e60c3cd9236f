"""Weights files of strangers: what they may not contain, wherever weights are read."""

import resource
import shutil

import h5py
import keras
import numpy as np
import pytest

from cli import Refusal
from segnet.build import build
from segnet.hdf5 import shapes, weights_file
from segnet.presets import preset
from segnet.run import load_run
from segnet.weights import load_encoder

HUGE = 10**12  # elements


def external_link(file, folder):
    del file["conv1/kernel"]
    file["conv1/kernel"] = h5py.ExternalLink(str(folder / "other.h5"), "/secret")


def external_link_of_a_group(file, folder):
    file["more"] = h5py.ExternalLink(str(folder / "other.h5"), "/")


def soft_link(file, _):
    file["again"] = h5py.SoftLink("/conv1/kernel")


def external_storage(file, folder):
    (folder / "raw.bin").write_bytes(bytes(40))
    file.create_dataset("raw", (10,), "f4", external=[(str(folder / "raw.bin"), 0, 40)])


def virtual(file, folder):
    layout = h5py.VirtualLayout((4,), "f4")
    layout[:] = h5py.VirtualSource(str(folder / "other.h5"), "secret", (4,))
    file.create_virtual_dataset("virtual", layout)


def huge(file, _):
    file.create_dataset("huge", (HUGE,), "f4")


def huge_in_chunks(file, _):
    file.create_dataset("huge", (HUGE,), "f4", chunks=(1024,))


def bomb(file, _):
    file.create_dataset("bomb", (1 << 20,), "f4", compression="gzip", data=np.zeros(1 << 20))


def strings(file, _):
    file["name"] = "a text"


def empty(file, _):
    file["nothing"] = h5py.Empty("f4")


TRICKS = [external_link, external_link_of_a_group, soft_link, external_storage, virtual, huge,
          huge_in_chunks, bomb, strings, empty]  # fmt: skip


def encoder_file(path):
    """A file in the layout of keras.applications with one layer."""
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = ["conv1"]
        file.create_group("conv1").attrs["weight_names"] = ["kernel"]
        file["conv1/kernel"] = np.ones((3, 3, 3, 16), np.float32)
    return path


@pytest.fixture
def little_memory():
    """What a test asks for beyond 4 GB more than now is refused by the system."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    with open("/proc/self/statm") as file:
        now = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + (4 << 30), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.parametrize("trick", TRICKS)
def test_tricks_of_an_encoder_file(tmp_path, little_memory, trick):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["secret"] = np.arange(4, dtype=np.float32)
    path = encoder_file(tmp_path / "weights.h5")
    with weights_file(path) as file:
        assert list(file) == ["conv1"]
    with h5py.File(path, "a") as file:
        trick(file, tmp_path)
    for read in (shapes, lambda path: load_encoder(None, preset("tiny"), str(path))):
        with pytest.raises(Refusal, match=r"weights\.h5 is not safe to read: /\S+ is "):
            read(path)


@pytest.mark.parametrize("trick", TRICKS)
def test_tricks_of_a_run(finished, tmp_path, trick):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["secret"] = np.arange(4, dtype=np.float32)
    run = shutil.copytree(finished / "run", tmp_path / "run")
    with h5py.File(run / "best.weights.h5", "a") as file:
        file["conv1/kernel"] = np.zeros(3, np.float32)  # what two of the tricks replace
        trick(file, tmp_path)
    with pytest.raises(Refusal, match=r"best\.weights\.h5 is not safe to read: /\S+ is "):
        load_run(run)


def test_links_in_a_circle(tmp_path):
    path = encoder_file(tmp_path / "weights.h5")
    with h5py.File(path, "a") as file:
        file["conv1/root"] = file["/"]
    assert shapes(path) == [(3, 3, 3, 16)]


def test_shapes_that_the_network_does_not_have(finished, tmp_path):
    run = shutil.copytree(finished / "run", tmp_path / "run")
    with h5py.File(run / "best.weights.h5", "a") as file:
        file["more"] = np.zeros(1 << 16, np.float32)
    with pytest.raises(Refusal, match=r"does not fit tiny .* arrays are not the \d+ of this netw"):
        load_run(run)


@pytest.mark.parametrize("names", [[3], ["conv2"], ["/"], "conv1"])
def test_names_that_lead_nowhere(tmp_path, names):
    path = encoder_file(tmp_path / "weights.h5")
    with h5py.File(path, "a") as file:
        file.attrs["layer_names"] = names
    with pytest.raises(Refusal, match=r"weights\.h5 is damaged or no weights file"):
        load_encoder(None, preset("tiny"), str(path))


def test_numbers_that_are_not_finite(tmp_path):
    path = encoder_file(tmp_path / "weights.h5")
    with h5py.File(path, "a") as file:
        file["conv1/kernel"][0, 0, 0, 0] = np.inf
    model = build(keras, preset("tiny"), (64, 64), 3)
    with pytest.raises(Refusal, match=r"weights\.h5 is damaged: conv1 has weights that are not"):
        load_encoder(model, preset("tiny"), str(path))
