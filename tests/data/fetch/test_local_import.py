"""Photos that the user has already: which names match, and what is said if few do."""

import logging
import unicodedata
from urllib.parse import quote

import pytest

from imagefec.data.fetch.photo_cache.cache import Cache
from imagefec.data.fetch.stage import FetchConfig, fetch_photos

NFC = "caf\u00e9 \u1e69.jpg"  # s with two dots, which NFD orders
NFD = unicodedata.normalize("NFD", NFC)
OFFLINE = FetchConfig(timeout_s=0.5, attempts=1)


@pytest.fixture
def imported(csv_of_urls, tmp_path, photo_bytes):
    """Writes files of these names, fetches from a host that does not exist; returns the report."""

    def run(files, urls):
        for name in files:
            path = tmp_path / "mine" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(photo_bytes(name))
        return fetch_photos([csv_of_urls(urls)], tmp_path / "cache", OFFLINE, tmp_path / "mine")

    return run


HOST = "http://127.0.0.1:1"


@pytest.mark.parametrize("file", [NFC, NFD, quote(NFC), quote(NFD), quote(NFC).lower()])
@pytest.mark.parametrize("name", [NFC, NFD, quote(NFC), quote(NFD)])
def test_names_match_in_both_unicode_forms_and_percent_encoded(imported, file, name):
    report = imported([file], [f"{HOST}/{name}"])
    assert (report.n_ok, report.n_imported, report.n_ambiguous) == (1, 1, 0)


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_complete_urls_as_names_match_in_both_unicode_forms(imported, form):
    url = f"{HOST}/a/{NFC}?size=b"
    file = quote(unicodedata.normalize(form, url), safe="")
    assert imported([file, file.replace("size", "other")], [url]).n_imported == 1


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("photo.JPG", "photo.jpg"),
        ("PHOTO.jpeg", "Photo.JPG"),
        ("a.jpe", "a.jfif"),
        ("a.PNG", "a.png"),
    ],
)
def test_the_case_and_the_spelling_of_the_suffix_are_ignored_if_no_file_has_the_name(
    imported, file, name
):
    assert imported([file], [f"{HOST}/{name}"]).n_imported == 1


def test_the_exact_name_comes_before_one_of_another_case(imported, tmp_path, photo_bytes):
    urls = [f"{HOST}/{name}" for name in ("a.jpg", "A.jpg", "a.jpeg")]
    report = imported(["a.jpg", "A.jpg"], urls)
    # a.jpeg has no file of its name, and two that resemble it.
    assert (report.n_imported, report.n_ambiguous) == (2, 1)
    with Cache(tmp_path / "cache") as cache:
        for url, name in zip(urls, ("a.jpg", "A.jpg")):
            assert cache.photo_path(url).read_bytes() == photo_bytes(name)


def test_one_file_for_two_urls_that_differ_in_case_is_ambiguous(imported):
    report = imported(["a.jpg"], [f"{HOST}/x/A.JPG", f"{HOST}/y/a.JPG"])
    assert (report.n_imported, report.n_ambiguous) == (0, 2)


def test_a_folder_whose_names_do_not_match_is_a_warning_with_an_example(imported, caplog, tmp_path):
    files = [f"IMG_{n}.jpg" for n in range(9)] + [".DS_Store"]
    imported(files, [f"{HOST}/{n}/caf%C3%A9.jpg" for n in range(6)])
    (record,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert record.getMessage() == (
        f"--from_dir={tmp_path / 'mine'}: 0 of 6 photos found among 9 files. The photo "
        f"{HOST}/0/caf%C3%A9.jpg would be a file named 'caf\\xe9.jpg'; a file is named "
        "'IMG_0.jpg'. The others are downloaded."
    )


def test_few_matches_are_a_warning_and_many_are_none(imported, caplog):
    names = [f"{n}.jpg" for n in range(10)]
    imported([*names[:4], *"abcdef"], [f"{HOST}/{name}" for name in names])
    assert "4 of 10 photos found among 10 files" in caplog.text
    caplog.clear()
    imported(names[4:8], [f"{HOST}/{name}" for name in names])
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_an_empty_folder_is_a_warning(imported, caplog, tmp_path):
    (tmp_path / "mine").mkdir()
    imported([], [f"{HOST}/a.jpg"])
    assert "0 of 1 photos found among 0 files" in caplog.text
