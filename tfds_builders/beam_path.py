"""How builders make examples: one after the other in this process or, on request, with Apache Beam.

`tfds build` requests Beam by --beam_pipeline_options, Python code by DownloadConfig's beam_options
or beam_runner. The functions passed here are then pickled and run on workers: they must be small,
and importable there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import tensorflow_datasets as tfds

_Mixin: Any = object  # typed as Any: the mixin calls methods of the builder class it is mixed into


class BeamOnRequest(_Mixin):
    """Mixin before tfds.core.GeneratorBasedBuilder that makes examples with Beam on request.

    Attributes:
      beam: the DownloadConfig with Beam's options or runner; None if Beam was not requested.
    """

    beam: tfds.download.DownloadConfig | None = None

    def _download_and_prepare(
        self, dl_manager: Any, download_config: tfds.download.DownloadConfig
    ) -> None:
        config = download_config
        requested = config.beam_options is not None or config.beam_runner is not None
        self.beam = config if requested else None
        super()._download_and_prepare(dl_manager, download_config)

    def examples(
        self,
        source: Any,
        plan: Callable[[Any], Iterable[Any]],
        make: Callable[[Any], tuple],
    ) -> Any:
        """Makes the examples of a split as TFDS takes them: an iterator, or a Beam transform.

        Args:
          source: argument of `plan`; Beam sends it to one worker.
          plan: source -> work items, small and lazy.
          make: work item -> (key, example); Beam distributes the items over all workers.
        """
        if not self.beam:
            return map(make, plan(source))
        import apache_beam as beam

        return (
            beam.Create([source], reshuffle=False)
            | "Plan" >> beam.FlatMap(plan)
            | "Spread" >> beam.Reshuffle()
            | "MakeExamples" >> beam.Map(make)
        )


def run_each(
    config: tfds.download.DownloadConfig, do: Callable[[Any], None], items: Iterable[Any]
) -> Iterator[None]:
    """Calls a function for every item in a Beam pipeline; yields once per item when all are done.

    Args:
      config: `BeamOnRequest.beam`.
      do: acts on files that all workers see; Beam may call it twice for an item.
      items: its arguments.
    """
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions

    items = list(items)
    with beam.Pipeline(
        runner=config.beam_runner, options=config.beam_options or PipelineOptions()
    ) as pipeline:
        _ = pipeline | beam.Create(items) | "Spread" >> beam.Reshuffle() | "Do" >> beam.Map(do)
    yield from (None for _ in items)
