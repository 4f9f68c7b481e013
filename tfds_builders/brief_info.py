"""Dataset information of which print shows the start of the description; builders here use it."""

from __future__ import annotations

import re
from typing import Any

import tensorflow_datasets as tfds

_Mixin: Any = object  # typed as Any: the mixin calls methods of the builder class it is mixed into


class BriefInfo(_Mixin):
    """Mixin before tfds.core.GeneratorBasedBuilder, for builders whose README.md is long.

    TFDS takes README.md for the description, and `tfds build` ends by printing all of it.
    """

    def dataset_info_from_configs(self, **arguments: Any) -> tfds.core.DatasetInfo:
        """As the method of TFDS."""
        metadata = self.get_metadata()
        return _BriefDatasetInfo(
            builder=self,
            description=metadata.description,
            citation=metadata.citation,
            **arguments,
        )


class _BriefDatasetInfo(tfds.core.DatasetInfo):
    def __repr__(self) -> str:
        return _AFTER_FIRST_PARAGRAPH.sub(
            r"\1\n\n    … (print(info.description) shows the rest)\2", super().__repr__(), count=1
        )


_AFTER_FIRST_PARAGRAPH = re.compile(
    r'^(    description="""\n.*?)\n\s*\n.*?(\n    """,)$', re.DOTALL | re.MULTILINE
)
