"""Exclusion lists: how they are read, and which names they match."""

import hashlib

import pytest

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
    ("content", "said"), [(None, "No such file"), (b"\xff\xfe\x00a", "not UTF-8")]
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
