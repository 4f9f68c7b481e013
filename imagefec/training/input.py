"""A run's batches, from loaded faces to the devices, made ahead of the step that takes them; nothing is read from disk."""

import queue
import threading
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from imagefec.data.samplers import shuffled_forever
from imagefec.errors import UserError
from imagefec.training.step.mesh import global_batch, local_slice, replicated
from imagefec.training.step.objectives import Uda

_AHEAD = 2  # batches that wait, placed, for their step


class FaceInput:
    """Batches of labelled faces, with faces for UDA alone behind them, as MeshTrainer takes them.

    The order is that of `draws` and of a seeded shuffle of the extra faces: the same for any number
      of devices, and after a
    resume.

    Args:
      draws: TripletSampler or IdentitySampler.
      seed: of the order of the extra faces.
      mesh: of all devices; a process sends its own devices their share and no more.
      uda: its weight comes with the batches where it has one.
      extra_faces: uint8 [m, size, size, 3], of which uda.batch_faces come behind each batch's own;
        None for none.
      on_device: put all faces on every device, as `resident`, and send row numbers.

    Raises:
      UserError: the extra faces are too few, or the faces do not fit on a device.
    """

    def __init__(
        self,
        draws: Any,
        seed: int,
        mesh: Mesh,
        uda: Uda,
        extra_faces: np.ndarray | None = None,
        on_device: bool = False,
    ):
        self._draws, self._faces, self._seed, self._mesh = draws, draws.faces, seed, mesh
        self._uda, self._extra_faces = uda, extra_faces
        if extra_faces is not None and len(extra_faces) < uda.batch_faces:
            raise UserError(
                f"uda_consistency.batch_faces is {uda.batch_faces}, and {uda.split!r} of {uda.dataset!r} holds "
                f"{len(extra_faces)} faces. Take fewer, or a larger split."
            )
        self.faces_per_step = draws.faces_per_step + uda.batch_faces
        self.resident = self._all_faces() if on_device else None

    def sample(self) -> tuple:
        """The first batch, on the host, its faces as pictures: (faces, *labels), with UDA (faces, *labels, weight)."""
        rows, *others = next(self._host_batches(skip=0))
        return (self._pictures(rows), *others)

    def batches(self, done_steps: int) -> "Prefetched":
        """Placed batches, from that of step done_steps + 1 on."""
        return Prefetched(
            (self._placed(batch) for batch in self._host_batches(skip=done_steps)), _AHEAD
        )

    def _host_batches(self, skip: int) -> Iterator[tuple]:
        n, n_extra = (
            self._uda.batch_faces,
            0 if self._extra_faces is None else len(self._extra_faces),
        )
        extras = shuffled_forever(np.arange(n_extra), n, np.random.default_rng((self._seed, 1)))
        for _ in range(skip if n else 0):
            next(extras)
        for step, (rows, *labels) in enumerate(self._draws.batches(skip), start=skip + 1):
            if n:
                rows = np.concatenate([rows, len(self._faces) + next(extras)])
            weight = (np.float32(self._uda.weight_at(step)),) if self._uda.weight else ()
            yield (rows.astype(np.int32), *labels, *weight)

    def _placed(self, batch: tuple) -> tuple:
        rows, *others = batch
        own = rows[local_slice(len(rows), self._mesh)]
        return (
            global_batch(
                self._pictures(own) if self.resident is None else own, len(rows), self._mesh
            ),
            *others,
        )

    def _pictures(self, rows: np.ndarray) -> np.ndarray:
        faces, extra = self._faces, self._extra_faces
        if extra is None:
            return np.asarray(faces[rows])
        pictures = np.empty((len(rows), *faces.shape[1:]), np.uint8)
        of_triplets = rows < len(faces)
        pictures[of_triplets] = faces[rows[of_triplets]]
        pictures[~of_triplets] = extra[rows[~of_triplets] - len(faces)]
        return pictures

    def _all_faces(self) -> jax.Array:
        faces = (
            self._faces
            if self._extra_faces is None
            else np.concatenate([self._faces, self._extra_faces])
        )
        try:
            placed = jax.make_array_from_callback(
                faces.shape, replicated(self._mesh), lambda index: np.asarray(faces[index])
            )
            return jax.block_until_ready(placed)
        except jax.errors.JaxRuntimeError as error:
            if "RESOURCE_EXHAUSTED" not in str(error):
                raise
            raise UserError(
                f"training.faces_on_device: {len(faces)} faces take {faces.nbytes / 2**30:.1f} GiB, more than a "
                "device has free. Turn it off: faces then travel with each batch."
            ) from error


class Prefetched:
    """An iterator whose items a thread makes ahead of their being asked for.

    Args:
      items: the iterator; what it raises is raised where the item was due.
      depth: how many items may wait.
    """

    def __init__(self, items: Iterator[Any], depth: int):
        self._waiting: queue.Queue = queue.Queue(depth)
        self._closed = threading.Event()
        self._thread = threading.Thread(
            target=self._work, args=(items,), name="prefetch", daemon=True
        )
        self._thread.start()

    def __iter__(self) -> "Prefetched":
        return self

    def __next__(self) -> Any:
        item, error = self._waiting.get()
        if error is not None:
            self._put((None, error))  # whoever asks again is told again
            raise error
        return item

    def close(self) -> None:
        """Ends the thread."""
        self._closed.set()
        self._thread.join()

    def _work(self, items: Iterator[Any]) -> None:
        try:
            for item in items:
                if not self._put((item, None)):
                    return
            self._put((None, StopIteration()))
        except BaseException as error:
            self._put((None, error))

    def _put(self, entry: tuple) -> bool:
        while not self._closed.is_set():
            try:
                self._waiting.put(entry, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False
