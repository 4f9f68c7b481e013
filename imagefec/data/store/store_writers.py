"""From batches of a dataset's examples to the files of a face bank and of a triplet index, in one pass; reads no dataset."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from imagefec.data.store.face_store import (
    NAMES,
    FaceStore,
    FaceStoreWriter,
    read_names,
    write_names,
)
from imagefec.data.store.triplets import TripletIndex

Batches = Iterable[
    Mapping[str, np.ndarray]
]  # of each: feature -> [b, ...]; texts and pictures are bytes, votes are counted


def write_faces(batches: Batches, size: int, folder: Path) -> None:
    """Writes the bank of examples of single faces (image, face_id, url and, where there are any, identity), row by row."""
    with FaceStoreWriter(folder, size) as bank:
        for batch in batches:
            columns = [batch[name] for name in ("face_id", "url", "identity") if name in batch]
            bank.add(
                batch["image"], [tuple(text.decode() for text in names) for names in zip(*columns)]
            )


def write_triplets(batches: Batches, size: int, folder: Path) -> None:
    """Writes the bank of self-contained triplets, each face when it is first mentioned, and their index beside it."""
    row_of: dict[bytes, int] = {}
    parts = []
    with FaceStoreWriter(folder, size) as bank:
        for batch in batches:
            new = _number_new(batch["face_ids"], row_of)
            bank.add(
                [batch["image_" + "abc"[image]][triplet] for triplet, image in new],
                [
                    (batch["face_ids"][place].decode(), batch["urls"][place].decode())
                    for place in new
                ],
            )
            parts.append(_index_of(batch, row_of))
    TripletIndex.joined(parts).save(folder)


def read_triplets(folder: Path, size: int) -> tuple[FaceStore, TripletIndex]:
    """Reads what write_triplets wrote; OSError, ValueError or KeyError where it is damaged."""
    bank = FaceStore.open(folder, size)
    return bank, TripletIndex.open(folder, len(bank))


def write_index(batches: Batches, folder: Path) -> None:
    """Writes the index of triplets that name their faces, its rows being places in the list of names beside it."""
    row_of: dict[bytes, int] = {}
    parts = []
    for batch in batches:
        _number_new(batch["face_ids"], row_of)
        parts.append(_index_of(batch, row_of))
    TripletIndex.joined(parts).save(folder)
    with open(folder / NAMES, "w", encoding="utf-8") as file:
        write_names(file, [(face_id.decode(),) for face_id in row_of])


def read_index(folder: Path) -> tuple[list[str], TripletIndex]:
    """Reads what write_index wrote: (face ids, index); OSError, ValueError or KeyError where it is damaged."""
    face_ids = [face_id for (face_id,) in read_names(folder / NAMES)]
    return face_ids, TripletIndex.open(folder, len(face_ids))


def _number_new(face_ids: np.ndarray, row_of: dict[bytes, int]) -> list[tuple[int, int]]:
    """Gives the next numbers to ids, of [b, 3], that have none; returns where each of them comes first."""
    new = []
    for place in np.ndindex(*face_ids.shape):
        if face_ids[place] not in row_of:
            row_of[face_ids[place]] = len(row_of)
            new.append(place)
    return new


def _index_of(batch: Mapping[str, np.ndarray], row_of: dict[bytes, int]) -> TripletIndex:
    n = len(batch["odd"])
    rows = np.array(
        [row_of[face_id] for face_id in batch["face_ids"].reshape(-1)], np.int32
    ).reshape(n, 3)
    odd = batch["odd"].astype(np.int8)
    if "votes" not in batch:
        return TripletIndex(
            rows, odd, np.full(n, -1, np.int8), np.zeros((n, 3), np.int32), np.ones(n, np.float32)
        )
    return TripletIndex(
        rows, odd, batch["type"].astype(np.int8), batch["votes"], batch["agreement"]
    )
