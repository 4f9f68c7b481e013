"""Reads the records of a built dataset's files, whatever their format; `tfds_source` opens it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from imagefec.data.store.dataset_folder import INFO


def read_examples(builder: Any, split: str, images: Sequence[str], paths: Sequence[Path]) -> Any:
    """The examples of a split as a tf.data.Dataset, in order.

    Args:
      builder: TFDS's read-only builder.
      split: name of the split.
      images: features that stay encoded.
      paths: the split's files.

    Raises:
      ImportError: the package that reads the files' format is not installed.
    """
    import tensorflow as tf
    import tensorflow_datasets as tfds

    decoders = {name: tfds.decode.SkipDecoding() for name in images}
    if builder.info.file_format is not tfds.core.FileFormat.ARRAY_RECORD:
        return builder.as_dataset(split=split, decoders=decoders, read_config=_read_in_order())
    from array_record.python import array_record_module  # noqa: F401 # fails here, not in a thread

    # TFDS itself offers random access only.
    records = tf.data.Dataset.from_generator(
        lambda: _array_records(paths), output_signature=tf.TensorSpec((), tf.string)
    )
    features = builder.info.features
    return records.map(lambda record: features.deserialize_example(record, decoders=decoders))


def defect_of_records(builder: Any, path: Path, length: int) -> str | None:
    """Reads a file's records and says what stops it; None if nothing does, after `length`."""
    import tensorflow as tf
    from tensorflow_datasets.core import file_adapters

    try:
        if builder.info.file_format is file_adapters.FileFormat.ARRAY_RECORD:
            records: Any = _array_records([path])
        else:
            adapter = file_adapters.ADAPTER_FOR_FORMAT[builder.info.file_format]
            records = adapter.make_tf_data(str(path))
        n = sum(1 for _ in records)
    except (tf.errors.OpError, OSError, ValueError, LookupError, RuntimeError) as error:
        return said_by(error)
    return None if n == length else f"{n} examples, but {INFO} lists {length}"


def said_by(error: Exception) -> str:
    """The one line of an error's text that says what is wrong, without TensorFlow's node names."""
    text = re.sub(r"\{\{.*?\}\}|\[Op:.*|\[\[|\]\]", "", getattr(error, "message", str(error)))
    lines = [line.strip() for line in text.splitlines() if line.strip()] or [type(error).__name__]
    # Errors of Python readers inside TensorFlow contain a traceback, which ends with the error.
    errors = [line for line in lines if re.match(r"[\w.]+: ", line)]
    return (errors[-1] if "Traceback" in text and errors else lines[0])[:300]


def _array_records(paths: Sequence[Path]) -> Iterator[bytes]:
    from array_record.python import array_record_module

    for path in paths:
        reader = array_record_module.ArrayRecordReader(str(path))
        try:
            for _ in range(reader.num_records()):
                yield reader.read()
        finally:
            reader.close()


def _read_in_order() -> Any:
    """Makes a ReadConfig with little read-ahead: tf.data's default buffers much of a dataset."""
    import tensorflow as tf
    import tensorflow_datasets as tfds

    options = tf.data.Options()
    options.autotune.enabled = False
    options.deterministic = True
    return tfds.ReadConfig(
        options=options,
        try_autocache=False,
        skip_prefetch=True,
        interleave_cycle_length=1,
        num_parallel_calls_for_interleave_files=1,
        num_parallel_calls_for_decode=4,
    )
