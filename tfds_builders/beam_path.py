"""How any builder's examples are made: one after the other here, or by Apache Beam where its user asks for it.

`tfds build` asks with --beam_pipeline_options, Python with DownloadConfig's beam_options or
beam_runner; else Beam is not used. Functions passed here are then pickled and run on workers: what
they hold must be small, and importable there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import tensorflow_datasets as tfds


class BeamWhereAsked:
    """Put before tfds.core.GeneratorBasedBuilder: `self.beam` tells whether and how Beam was asked for.

    Attributes:
      beam: the DownloadConfig with Beam's options or runner, where there are any, else None.
    """

    beam: tfds.download.DownloadConfig | None = None

    def _download_and_prepare(
        self, dl_manager: Any, download_config: tfds.download.DownloadConfig
    ) -> None:
        asked = download_config.beam_options is not None or download_config.beam_runner is not None
        self.beam = download_config if asked else None
        super()._download_and_prepare(dl_manager, download_config)

    def examples(
        self,
        source: Any,
        list_work: Callable[[Any], Iterable[Any]],
        do_work: Callable[[Any], tuple],
    ) -> Any:
        """The examples of a split, as TFDS takes them: an iterator, or a Beam transform.

        Args:
          source: what the work is listed from; with Beam it goes to one worker.
          list_work: source -> its items of work, small ones, in passing.
          do_work: an item -> (key, example); with Beam the items are spread over all workers.
        """
        if not self.beam:
            return map(do_work, list_work(source))
        import apache_beam as beam

        return (
            beam.Create([source], reshuffle=False)
            | "ListWork" >> beam.FlatMap(list_work)
            | "SpreadWork" >> beam.Reshuffle()
            | "MakeExamples" >> beam.Map(do_work)
        )


def run_each(
    asked: tfds.download.DownloadConfig, do: Callable[[Any], None], items: Iterable[Any]
) -> Iterator[None]:
    """Does something to every item in a Beam pipeline of its own, and yields once an item when all is done.

    Args:
      asked: `BeamWhereAsked.beam`.
      do: what to do, for its effects on files that all workers see; it may come twice for an item.
      items: to do it to.
    """
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions

    items = list(items)
    with beam.Pipeline(
        runner=asked.beam_runner, options=asked.beam_options or PipelineOptions()
    ) as pipeline:
        _ = pipeline | beam.Create(items) | "SpreadWork" >> beam.Reshuffle() | "Do" >> beam.Map(do)
    yield from (None for _ in items)
