"""Batches of loaded faces, placed on the devices by a thread; TFDS is read elsewhere."""

import queue
import threading
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from imagefec.data.samplers import shuffled_forever
from imagefec.errors import UserError
from imagefec.training.config import IdentityRemovalConfig, UdaConfig
from imagefec.training.step.mesh import global_batch, local_slice, replicated

_PREFETCH = 2  # batches that wait on the devices for their step


class FaceInput:
    """Batches of labelled faces, followed by unlabelled faces for UDA, as MeshTrainer takes them.

    Labelled faces are in the sampler's order, unlabelled ones in that of a seeded shuffle. Both are
    the same for any number of devices and after a resume.

    Args:
      sampler: TripletSampler or IdentitySampler.
      seed: seed of the order of unlabelled faces.
      mesh: all devices; each process sends the slice of the batch that its own devices hold.
      uda: consistency term; if its weight is not 0, a batch ends with the weight at its step.
      unlabelled_faces: uint8 [m, size, size, 3], of which uda.batch_faces follow each batch's
        labelled faces; None for none.
      device_resident: copy all faces to every device, as `device_faces`, and send indices.
      removal: identity removal; if its weight is not 0, a batch has who its labelled faces show and
        the weight at its step, before UDA's weight.
      persons: int [n], who each of the sampler's faces shows, below 0 if that is not known; for
        identity removal.

    Raises:
      UserError: there are too few unlabelled faces, or a device has no memory for all faces.
    """

    def __init__(
        self,
        sampler: Any,
        seed: int,
        mesh: Mesh,
        uda: UdaConfig,
        unlabelled_faces: np.ndarray | None = None,
        device_resident: bool = False,
        removal: IdentityRemovalConfig | None = None,
        persons: np.ndarray | None = None,
    ) -> None:
        self._sampler, self._faces, self._seed, self._mesh = sampler, sampler.faces, seed, mesh
        self._uda, self._unlabelled = uda, unlabelled_faces
        self._removal, self._persons = removal or IdentityRemovalConfig(), persons
        if unlabelled_faces is not None and len(unlabelled_faces) < uda.batch_faces:
            raise UserError(
                f"uda_consistency.batch_faces is {uda.batch_faces}, but split {uda.split!r} of "
                f"{uda.dataset!r} holds {len(unlabelled_faces)} faces. Use fewer, or a larger "
                "split."
            )
        self.faces_per_step = sampler.faces_per_step + uda.batch_faces
        self.device_faces = self._copy_to_devices() if device_resident else None

    def sample(self) -> tuple:
        """The first batch on the host: (faces, *labels), with UDA (faces, *labels, weight)."""
        indices, *others = next(self._host_batches(skip=0))
        return (self._gather(indices), *others)

    def batches(self, done_steps: int) -> "Prefetched":
        """Batches on the devices, from that of step done_steps + 1."""
        placed = (self._place(batch) for batch in self._host_batches(skip=done_steps))
        return Prefetched(placed, _PREFETCH)

    def _host_batches(self, skip: int) -> Iterator[tuple]:
        n = self._uda.batch_faces
        n_unlabelled = 0 if self._unlabelled is None else len(self._unlabelled)
        unlabelled = shuffled_forever(
            np.arange(n_unlabelled), n, np.random.default_rng((self._seed, 1))
        )
        for _ in range(skip if n else 0):
            next(unlabelled)
        for step, (indices, *labels) in enumerate(self._sampler.batches(skip), start=skip + 1):
            labels += self._persons_and_weight(indices, step)
            if n:
                indices = np.concatenate([indices, len(self._faces) + next(unlabelled)])
            weight = (np.float32(self._uda.weight_at(step)),) if self._uda.weight else ()
            yield (indices.astype(np.int32), *labels, *weight)

    def _persons_and_weight(self, indices: np.ndarray, step: int) -> list:
        if not self._removal.weight or self._persons is None:
            return []
        # A face that is in the batch twice must not count as two faces of a person.
        persons = np.full(len(indices), -1, np.int32)
        _, first = np.unique(indices, return_index=True)
        persons[first] = self._persons[indices[first]]
        return [persons, np.float32(self._removal.weight_at(step))]

    def _place(self, batch: tuple) -> tuple:
        indices, *others = batch
        local = indices[local_slice(len(indices), self._mesh)]
        if self.device_faces is None:
            local = self._gather(local)
        return (global_batch(local, len(indices), self._mesh), *others)

    def _gather(self, indices: np.ndarray) -> np.ndarray:
        if self._unlabelled is None:
            return np.asarray(self._faces[indices])
        faces = np.empty((len(indices), *self._faces.shape[1:]), np.uint8)
        labelled = indices < len(self._faces)
        faces[labelled] = self._faces[indices[labelled]]
        faces[~labelled] = self._unlabelled[indices[~labelled] - len(self._faces)]
        return faces

    def _copy_to_devices(self) -> jax.Array:
        faces = (
            self._faces
            if self._unlabelled is None
            else np.concatenate([self._faces, self._unlabelled])
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
                f"training.faces_on_device: {len(faces)} faces take {faces.nbytes / 2**30:.1f} "
                "GiB, more than a device has free. Set it to False; batches then contain the faces."
            ) from error


class Prefetched:
    """An iterator whose items a thread produces in advance.

    Args:
      items: the iterator; `next` raises what it raises, in order.
      depth: how many items may wait.
    """

    def __init__(self, items: Iterator[Any], depth: int) -> None:
        self._queue: queue.Queue = queue.Queue(depth)
        self._closed = threading.Event()
        self._thread = threading.Thread(
            target=self._work, args=(items,), name="prefetch", daemon=True
        )
        self._thread.start()

    def __iter__(self) -> "Prefetched":
        return self

    def __next__(self) -> Any:
        item, error = self._queue.get()
        if error is not None:
            self._put((None, error))  # every later call raises it again
            raise error
        return item

    def close(self) -> None:
        """Stops the thread."""
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
                self._queue.put(entry, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False
