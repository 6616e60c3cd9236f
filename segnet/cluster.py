"""The processes and accelerators that train one model together: their start, shares and ends.

JAX computes on all of them as on one: a batch is split, gradients and batch norms are of the whole.
Every process runs the same steps in the same order; what only one of them did would hang the rest.
"""

import contextlib
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field

from cli import Refusal, postponed, say, stop
from segnet import backend
from segnet.place import Place, choose

HEARTBEAT = 20  # seconds without a word, after which a process counts as lost
FAILED = "segnet/failed"  # what the coordinator knows of the first process that failed
DONE = "none"
HEARD = 1.0  # seconds in which the others hear of it


def join(place: Place) -> "Cluster":
    """Starts JAX on all processes and devices. Raises Refusal where they are not there."""
    os.environ["KERAS_BACKEND"] = choose(place)
    if os.environ["KERAS_BACKEND"] != "jax":
        return ALONE
    backend.installed()
    import jax

    if place.several:
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        named = (place.coordinator, place.processes, place.rank) if place.coordinator else ()
        jax.distributed.initialize(*named, heartbeat_timeout_seconds=HEARTBEAT)
    keras = backend.start()
    devices = jax.devices()
    if place.devices != "all":
        here, wanted = jax.local_device_count(), int(place.devices)
        if wanted > here:
            raise Refusal(f"--devices is {wanted}, but this machine has {here} for jax")
        devices = [one for process in range(jax.process_count())
                   for one in jax.local_devices(process_index=process)[:wanted]]  # fmt: skip
    if len(devices) == 1:
        return ALONE
    names = [f"{one.platform}:{one.id}" for one in devices]
    layout = keras.distribution.DataParallel(devices=names, auto_shard_dataset=False)
    found = Cluster(jax.process_index(), jax.process_count(), len(devices), layout)
    if found.processes > 1:
        found.listen()
    return found


@dataclass
class Cluster:
    """rank: of this process, one of so many `processes`; devices: of all processes together."""

    rank: int = 0
    processes: int = 1
    devices: int = 1
    layout: object = None  # a keras.distribution.DataParallel
    copy: object = None  # of the model, see `local`
    listener: threading.Thread | None = None
    steps: dict = field(default_factory=dict)  # number of images of a batch: its compiled step

    @property
    def leads(self) -> bool:
        """Whether this process writes the run folder."""
        return self.rank == 0

    @property
    def each(self) -> int:
        """Devices of a process."""
        return self.devices // self.processes

    def share(self, count: int) -> slice:
        """Which of a batch's images this process reads: as many for each device, the last fewer."""
        most = -(-count // self.devices) * self.each
        return slice(self.rank * most, (self.rank + 1) * most)

    @property
    def part(self) -> slice:
        """Which batches of validation images this process scores."""
        return slice(self.rank, None, self.processes)

    def scope(self):
        """The block in which a model is made, or takes a step."""
        return self.layout.scope() if self.layout else contextlib.nullcontext()

    def share_model(self, build: Callable):
        """What `build` returns, with its variables on all devices."""
        with self.scope():
            model = build()
        self.copy = build() if self.layout else None
        return model

    def step(self, model, images, target, count: int) -> float:
        """Takes a training step; the mean loss of the whole batch.

        images, target: this process's share of a batch of `count` images.
        """
        if not self.layout:
            return float(model.train_on_batch(images, target))
        most = -(-count // self.devices) * self.each
        with self.scope():
            model.train_function = self.step_of(model, count)
            return float(model.train_on_batch(filled(images, most), filled(target, most)))

    def step_of(self, model, count: int):
        """The compiled step for a batch of `count` images. What fills the shares of the last
        devices is cut off inside, where the batch is one array."""
        if count not in self.steps:
            plain = type(model).train_step

            def train_step(state, data):
                images, target, _ = data
                return plain(model, state, (images[:count], target[:count], None))

            model.train_step = train_step
            model.make_train_function(force=True)
            self.steps[count] = model.train_function
        return self.steps[count]

    def postponed(self):
        """The block of a step. Of several processes JAX handles SIGTERM, see `stops`."""
        return postponed() if self.processes == 1 else contextlib.nullcontext([])

    def stops(self, step: int) -> bool:
        """Whether all processes are to end after this step, because one was told to (SIGTERM)."""
        if self.processes == 1:
            return False
        from jax.experimental.multihost_utils import reached_preemption_sync_point

        return reached_preemption_sync_point(step)

    def stop(self, signals: list[int]) -> None:
        """Ends the training of all processes, which have come to the same step."""
        if self.processes == 1:
            stop(signals)
        self.gather(b"")  # all have come; the checkpoint is written
        if self.leads:
            time.sleep(HEARD)  # the coordinator goes last
        leave("stopped; run the same command again to continue", 128 + signal.SIGTERM, "")

    def total(self, array):
        """The sum over the processes, in the order of their ranks, in the array's own type."""
        import numpy as np

        if self.processes == 1:
            return array
        return sum(np.frombuffer(raw, array.dtype).reshape(array.shape)
                   for raw in self.gather(array.tobytes()))  # fmt: skip

    def gather(self, raw: bytes | None) -> list[bytes | None]:
        """What every process gave, by rank."""
        import numpy as np
        from jax.experimental.multihost_utils import process_allgather

        size = -1 if raw is None else len(raw)
        sizes = process_allgather(np.array([size], np.int32)).ravel()
        padded = (raw or b"").ljust(max(*sizes, 1), b"\0")
        rows = process_allgather(np.frombuffer(padded, np.uint8)).reshape(self.processes, -1)
        return [None if size < 0 else row[:size].tobytes()
                for row, size in zip(rows, sizes, strict=True)]  # fmt: skip

    def from_leader(self, make: Callable[[], bytes | None]) -> bytes | None:
        """What `make` returns on the process that leads."""
        raw = make() if self.leads else None
        return raw if self.processes == 1 else self.gather(raw)[0]

    def listen(self) -> None:
        """Ends this process, with the reason, as soon as another one says that it has failed."""

        def wait():
            with contextlib.suppress(Exception):  # JAX itself tells of a coordinator that is gone
                text = client().blocking_key_value_get(FAILED, 2**31)
                if text != DONE and not text.startswith(f"process {self.rank} "):
                    if self.leads:
                        time.sleep(2 * HEARD)  # the coordinator goes last
                    leave(text, Refusal.exit_code)

        self.listener = threading.Thread(target=wait, daemon=True)
        self.listener.start()

    @contextlib.contextmanager
    def together(self):
        """The block of the whole training: where one process fails, all end and say why."""
        if self.processes == 1:
            yield
            return
        try:
            yield
            if self.leads:
                client().key_value_set(FAILED, DONE)
            self.listener.join()
        except BaseException as error:
            name, code = f"process {self.rank} of {self.processes}", 1
            if type(error).__name__ == "JaxRuntimeError":  # the network of the processes is broken
                time.sleep(HEARD)  # `listen` may know why
                leave("another process has ended without a word: look at what it said", 2)
            if isinstance(error, KeyboardInterrupt):
                text = "was stopped; run the same command again to continue"
                code = 128 + signal.SIGINT
            elif isinstance(error, Refusal):
                text, code = f"could not go on: {error}", Refusal.exit_code
            else:
                traceback.print_exc()
                text = f"failed: {type(error).__name__}: {error}"
            with contextlib.suppress(Exception):
                client().key_value_set(FAILED, f"{name} {text}")
                time.sleep(HEARD)
            leave(f"{name} {text}", code)

    def local(self, model):
        """The model on this process alone, with the weights of now: what evaluates and is saved."""
        if not self.layout:
            return model
        import numpy as np

        self.copy.set_weights([np.asarray(weight) for weight in model.weights])
        return self.copy


ALONE = Cluster()  # it never changes


def client():
    """Of JAX's coordination service."""
    from jax._src.distributed import global_state

    return global_state.client


def leave(text: str, code: int, kind: str = "error: ") -> None:
    """Ends the process at once: JAX would wait for the others."""
    say(f"{kind}{text}")
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def filled(array, count: int):
    import numpy as np

    return np.pad(array, [(0, count - len(array)), *[(0, 0)] * (array.ndim - 1)])
