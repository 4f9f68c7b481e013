"""Exclusion lists: how they are read, and which names they match."""

import hashlib
import re
import unicodedata
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagefec.data.exclusion import Exclusion
from imagefec.errors import UserError


def test_a_list_has_one_name_per_line_comments_and_empty_lines(tmp_path):
    path = tmp_path / "list.txt"
    path.write_text(
        "# requested on 3 May\n\nhttp://a/1.jpg\r\n  n000002  \nn000003/0001_01.jpg\n",
        encoding="utf-8",
    )
    exclusion = Exclusion.load(path)
    assert len(exclusion) == 3
    assert exclusion.excludes("http://a/1.jpg")
    assert exclusion.excludes("anything", "n000002")
    assert exclusion.excludes("n000003/0001_01.jpg")
    assert not exclusion.excludes("n000003", "# requested on 3 May", "")


def test_no_list_excludes_nothing():
    assert not Exclusion.load(None)
    assert not Exclusion().excludes("a")
    assert Exclusion().digest == ""


def test_the_digest_depends_on_the_names_not_on_their_order():
    assert (
        Exclusion(["b", "a"]).digest
        == Exclusion(["a", "b"]).digest
        == hashlib.sha256(b"a\nb").hexdigest()
    )
    assert Exclusion(["a"]).digest != Exclusion(["b"]).digest


def test_the_encoding_of_accents_makes_no_difference():
    composed, apart = "Zo\u00eb", "Zoe\u0308"
    for listed, name in ((composed, apart), (apart, composed)):
        assert Exclusion([listed]).excludes("n1", name)
        assert Exclusion([listed]).digest == Exclusion([name]).digest
        assert Exclusion([listed, "b", "a"]).names_not_in([name, "b", "c"]) == ["a"]


def test_a_byte_order_mark_does_not_hide_the_first_name(tmp_path):
    path = tmp_path / "list.txt"
    path.write_bytes(b"\xef\xbb\xbfn000001\n")
    assert Exclusion.load(path).excludes("n000001")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "No such file"),
        (b"\xff\xfe\x00a", "not UTF-8"),
        ("http://a/1.jpg\n".encode("utf-16-le"), "not UTF-8"),
        (b"caf\xe9\n", "not UTF-8"),
    ],
)
def test_a_list_that_cannot_be_read_is_an_error(tmp_path, content, said):
    path = tmp_path / "list.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=said):
        Exclusion.load(path)


def test_a_manual_directory_may_hold_a_list(tmp_path):
    assert not Exclusion.of_manual_dir(tmp_path)
    (tmp_path / "exclude.txt").write_text("n000001\n", encoding="utf-8")
    assert Exclusion.of_manual_dir(tmp_path).excludes("n000001")


def test_a_broken_link_is_not_an_empty_list(tmp_path):
    (tmp_path / "exclude.txt").symlink_to(tmp_path / "moved.txt")
    with pytest.raises(UserError, match="No such file"):
        Exclusion.of_manual_dir(tmp_path)


def test_percent_encoding_and_the_case_of_the_host_make_no_difference():
    spellings = [
        "http://a.example/Zo\u00eb 1.jpg",
        "http://a.example/Zoe\u0308%201.jpg",
        "HTTP://A.Example/Zo%C3%AB%201.jpg",
        "http://a.example/Zoe%cc%88 1.jpg",
    ]
    for listed in spellings:
        for url in spellings:
            assert Exclusion([listed]).excludes(url)
            assert Exclusion([listed]).names_not_in([url]) == []
        assert not Exclusion([listed]).excludes("http://a.example/zo%C3%AB%201.jpg")
    assert not Exclusion(["http://a/%FE"]).excludes("http://a/%FF")


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends_of_every_system_and_odd_characters_in_names_are_read(tmp_path, end):
    names = ["http://a/1\u2028x.jpg", "http://a/2\x85y.jpg", "http://a/3.jpg"]
    (tmp_path / "list.txt").write_text(end.join([*names, ""]), encoding="utf-8", newline="")
    exclusion = Exclusion.load(tmp_path / "list.txt")
    assert len(exclusion) == 3 and all(map(exclusion.excludes, names))


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_a_list_or_a_user_error(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "fuzz.txt"
    path.write_bytes(content)
    refusal = None
    try:
        exclusion = Exclusion.load(path)
    except UserError as error:
        refusal = str(error)
    if refusal is not None:
        assert str(path) in refusal
        return
    lines = (line.strip() for line in re.split(r"[\r\n]", content.decode("utf-8-sig")))
    assert all(exclusion.excludes(line) for line in lines if line and line[0] != "#")


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=30), st.sampled_from(["NFC", "NFD"]))
def test_a_listed_name_is_found_in_every_spelling(name, form):
    spelt = unicodedata.normalize(form, name)
    assert Exclusion([name]).excludes(spelt)
    if "%" not in name:
        assert Exclusion([quote(spelt)]).excludes(name) and Exclusion([name]).excludes(quote(spelt))
