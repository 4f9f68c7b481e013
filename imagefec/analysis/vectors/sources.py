"""Where the vectors of a split's faces come from: a run, which embeds them, or a file."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from imagefec.analysis.embed_faces import embed_faces
from imagefec.analysis.split import SplitLoader
from imagefec.analysis.vectors.columns import is_vector_file
from imagefec.analysis.vectors.matching import Matched, match
from imagefec.analysis.vectors.vector_file import VectorFile, read_vector_file
from imagefec.model.run import FACES, Run
from imagefec.paths import readable, user_path


@dataclass(frozen=True)
class SplitVectors:
    """The vectors of a split's faces.

    Attributes:
      vectors: float [n, d]; NaN if `known` is False.
      known: bool [n].
      matched: how a file's rows were matched; None for a run, which embeds every face.
    """

    vectors: np.ndarray
    known: np.ndarray
    matched: Matched | None = None


class Source(Protocol):
    """A run or a file.

    Attributes:
      image_size: size of the faces that it embeds; None if it embeds none.
      path: of the run or the file.
    """

    image_size: int | None
    path: Path

    def vectors_on(self, split: SplitLoader) -> SplitVectors:
        """The vectors of the split's faces.

        Raises:
          UserError: the split cannot be loaded, or the file has none of its faces.
        """

    def warnings(self, split: SplitLoader) -> list[str]:
        """Why its vectors of the split may mean little, in sentences; empty for a file."""

    def as_json(self) -> dict[str, Any]:
        """{"run", "step", "embeddings"}, of which those that do not apply are None."""


class RunSource:
    """A run.

    Args:
      run: its directory or archive.

    Raises:
      UserError: as for `Embedder.load`.
    """

    def __init__(self, run: str | os.PathLike[str]) -> None:
        from imagefec.model import Embedder

        self.run = Run.open(run)
        self.embedder = Embedder.load(self.run)
        self.image_size: int | None = self.embedder.image_size
        self.path = self.run.path

    def vectors_on(self, split: SplitLoader) -> SplitVectors:
        """See `Source`."""
        faces = split.load(self.embedder.image_size).faces
        vectors = embed_faces(self.embedder, faces, "embed")
        return SplitVectors(vectors, np.ones(len(vectors), bool))

    def warnings(self, split: SplitLoader) -> list[str]:
        """See `Source`: it has no best checkpoint; its own faces were aligned otherwise."""
        warnings = list(filter(None, [self.run.without_best]))
        theirs = split.crop_settings()
        if theirs is None or FACES not in self.embedder.info:
            return warnings
        own = self.embedder.crop_settings
        if own.align == theirs.align:
            return warnings
        return [
            *warnings,
            f"{readable(self.path)} was trained on faces of --align={own.align}, but those of "
            f"{readable(split.dataset)} are of --align={theirs.align}. Crop and build them with "
            f"`imagefec crop --align={own.align}`.",
        ]

    def as_json(self) -> dict[str, Any]:
        """See `Source`."""
        step = self.embedder.info.get("step")
        return {"run": readable(self.path), "step": step, "embeddings": None}


class FileSource:
    """A file of vectors.

    Args:
      path: see `read_vector_file`.
      normalise: scale the vectors to length 1.

    Raises:
      UserError: as for `read_vector_file`.
    """

    image_size: int | None = None

    def __init__(self, path: str | os.PathLike[str], normalise: bool = False) -> None:
        self.file: VectorFile = read_vector_file(path)
        self.normalise = normalise
        self.path = self.file.path

    def vectors_on(self, split: SplitLoader) -> SplitVectors:
        """See `Source`."""
        data = split.load_any()
        what = f"{readable(split.dataset)}, split {readable(split.name)}"
        matched = match(self.file, data.face_ids, data.urls, what, self.normalise)
        return SplitVectors(matched.vectors, matched.known, matched)

    def warnings(self, split: SplitLoader) -> list[str]:  # noqa: ARG002 (as the protocol has it)
        """See `Source`."""
        return []

    def as_json(self) -> dict[str, Any]:
        """See `Source`."""
        return {
            "run": None,
            "step": None,
            "embeddings": readable(self.path),
            "normalised": self.normalise,
        }


def open_source(path: str | os.PathLike[str], normalise: bool = False) -> Source:
    """Opens a run, its archive, or a file of vectors.

    Raises:
      UserError: it is none of these, or is damaged.
    """
    path = user_path(path, "the run or file")
    return FileSource(path, normalise) if is_vector_file(path) else RunSource(path)
