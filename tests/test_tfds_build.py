"""The progress of `tfds build`, from output as TFDS 4.9.10 printed it."""

import io

from imagefec.tfds_build import _followed

PRINTED = b"""\
Generating train examples...: 0 examples [00:00, ? examples/s]\r\
Generating train examples...: 481 examples [00:01, 478.66 examples/s]\r\
Generating train examples...: 1796 examples [00:04, 394.26 examples/s]\r
INFO[writer.py]: Done writing data
Generating test examples...: 545 examples [00:01, 543.78 examples/s]\r
    splits={
        'test': <SplitInfo num_examples=564, num_shards=1>,
        'train': <SplitInfo num_examples=1973, num_shards=2>,
"""


class InPieces(io.BytesIO):
    def read1(self, size=-1):
        return super().read1(100)


class Bar:
    def __init__(self):
        self.shown = [0]

    def update(self, n):
        self.shown.append(self.shown[-1] + n)


def test_the_bar_follows_the_splits_and_ends_at_their_sum():
    bar = Bar()
    assert _followed(io.BytesIO(PRINTED), bar) == PRINTED
    assert bar.shown == [0, 0, 481, 1796, 1796 + 545, 564 + 1973]
    bar = Bar()
    assert _followed(InPieces(PRINTED), bar) == PRINTED  # a number may be missed, none invented
    assert set(bar.shown) <= {0, 481, 1796, 545, 1796 + 545, 564 + 1973}
    assert bar.shown[-1] == 564 + 1973
