"""A TFDS writer whose files are identical on every build; all builders here use it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tensorflow_datasets.core import writer
from tensorflow_datasets.proto import tf_example_pb2


class SameBytesWriter(writer.ExampleWriter):
    """Writes an example's features in a fixed order.

    TFDS serialises them in the order of protobuf's hash map, which differs from process to process,
    so two builds of the same data would differ in every file.
    """

    def write(self, path: Any, examples: Iterable[tuple[Any, bytes]]) -> Any:
        """As the method of ExampleWriter."""
        parse = tf_example_pb2.Example.FromString
        return super().write(
            path,
            (
                (key, parse(example).SerializeToString(deterministic=True))
                for key, example in examples
            ),
        )
