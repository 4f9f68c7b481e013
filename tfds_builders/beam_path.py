"""How a builder's examples are made in parallel by Apache Beam, where its user asks for it; of no certain dataset."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import tensorflow_datasets as tfds


class BeamWhereAsked:
    """Put before tfds.core.GeneratorBasedBuilder: `self.beam` tells whether `tfds build` was given options of Beam.

    Attributes:
      beam: the DownloadConfig with Beam's options or runner, where there are any, else None.
    """

    beam: tfds.download.DownloadConfig | None = None

    def _download_and_prepare(self, dl_manager: Any, download_config: tfds.download.DownloadConfig) -> None:
        asked = download_config.beam_options is not None or download_config.beam_runner is not None
        self.beam = download_config if asked else None
        super()._download_and_prepare(dl_manager, download_config)


def spread(source: Any, work_of: Callable[[Any], Iterable[Any]], do_work: Callable[[Any], tuple]) -> Any:
    """A Beam transform that gives the examples of a split.

    Args:
      source: what the list of work is made from, small; it goes to one worker.
      work_of: source -> its items of work, in passing.
      do_work: an item -> (key, example); items are spread over all workers. Both functions are pickled, so what they hold
        must be small, and importable where the workers run.
    """
    import apache_beam as beam

    return (beam.Create([source], reshuffle=False) | "ListWork" >> beam.FlatMap(work_of) | "SpreadWork" >> beam.Reshuffle()
            | "MakeExamples" >> beam.Map(do_work))
