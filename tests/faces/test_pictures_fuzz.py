"""Damaged and random files: pixels or NotAPhoto, bounded memory, and no other noise."""

import re
import resource

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imagefec.faces import photo_files
from imagefec.faces.photos import NotAPhoto, read_photo
from tests.faces import pictures

FILES = [
    pictures.file_of(case, pictures.astronaut(48), 6 if case.turns else 1)
    for case in pictures.CASES.values()
]
# What libjpeg and libtiff write to the console themselves about damaged pixels: `docs/photos.md`.
LIBRARY_NOTICE = re.compile(r"Corrupt JPEG data: |\S*: |\s*$")


@st.composite
def damaged_files(draw):
    data = bytearray(draw(st.sampled_from(FILES)))
    for _ in range(draw(st.integers(1, 4))):
        # Most faults are near the start, where the headers are.
        last = draw(st.sampled_from([20, 200, len(data)]))
        at = draw(st.integers(0, min(last, len(data))))
        how = draw(st.sampled_from(["cut", "set", "insert", "delete", "repeat"]))
        if how == "cut":
            del data[at:]
        elif how == "set":
            new = draw(st.binary(min_size=1, max_size=8))
            data[at : at + len(new)] = new
        elif how == "insert":
            data[at:at] = draw(st.binary(min_size=1, max_size=40))
        else:
            end = at + draw(st.integers(1, 300))
            data[at:end] = b"" if how == "delete" else data[at:end] * 2
    return bytes(data)


STARTS = [data[:n] for data in FILES[::3] for n in (4, 16, 40)]
random_files = st.builds(lambda start, rest: start + rest, st.sampled_from(STARTS), st.binary())
QUIETLY = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


def check(data, capfd):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for upright in (False, True):
        try:
            photo = read_photo(data, upright)
        except NotAPhoto:
            pass
        else:
            assert photo.dtype == np.uint8 and photo.ndim == 3 and photo.shape[2] == 3
            assert 0 < photo.size <= 3 * photo_files.MAX_PIXELS
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kB
    output = capfd.readouterr()
    noise = output.out + output.err
    if photo_files.kind_of(data[:32]) in ("JPEG", "TIFF"):
        assert all(LIBRARY_NOTICE.match(line) for line in noise.splitlines())
    else:
        assert noise == ""


@given(st.one_of(damaged_files(), random_files, st.binary()))
@settings(max_examples=500, deadline=None, suppress_health_check=QUIETLY)
def test_a_damaged_file_gives_pixels_or_a_refusal(monkeypatch, capfd, data):
    monkeypatch.setattr(photo_files, "MAX_PIXELS", 1_000_000)
    check(data, capfd)


@pytest.mark.slow
@given(st.one_of(damaged_files(), random_files, st.binary()))
@settings(max_examples=20_000, deadline=None, suppress_health_check=QUIETLY)
def test_many_damaged_files_give_pixels_or_a_refusal(monkeypatch, capfd, data):
    monkeypatch.setattr(photo_files, "MAX_PIXELS", 1_000_000)
    check(data, capfd)
