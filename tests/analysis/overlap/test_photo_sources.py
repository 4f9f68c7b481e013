"""URLs of one photo have one name, and those of two photos have two."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagefec.analysis.overlap.photo_sources import photo_source

FLICKR = [
    "https://farm3.staticflickr.com/2345/4567890123_ab12cd34ef.jpg",
    "http://farm3.static.flickr.com/2345/4567890123_ab12cd34ef_b.jpg",
    "https://live.staticflickr.com/2345/4567890123_ab12cd34ef_z.jpg?zz=1",
    "https://live.staticflickr.com/2345/4567890123_0123456789_o.png",  # another secret
    "http://farm3.staticflickr.com/2345/4567890123_0123456789_o_d.jpg",
    "https://c1.staticflickr.com/3/2345/4567890123_ab12cd34ef_c.jpg",
    "https://www.flickr.com/photos/some-one/4567890123/in/album-7215/",
    "http://flickr.com/photos/12345678@N00/4567890123",
    "https://flic.kr/p/7XHttg",
]


def test_all_sizes_and_pages_of_a_flickr_photo_are_one_photo():
    assert {photo_source(url) for url in FLICKR[:-1]} == {"flickr:4567890123"}


def test_short_links_of_flickr_are_numbers_in_base_58():
    # Worked by hand: "2" is 1 and "1" is 0, so "21" is 58 and "23" is 60.
    assert photo_source("https://flic.kr/p/21") == "flickr:58"
    assert photo_source("https://flic.kr/p/23") == "flickr:60"


@pytest.mark.parametrize(
    "url",
    [
        "https://farm3.staticflickr.com/2345/buddyicons/12345678@N00.jpg",
        "https://www.flickr.com/photos/some-one/albums/721576",
        "https://www.flickr.com/photos/some-one/",
        "https://evil.example/2345/4567890123_ab12cd34ef.jpg",
        "https://notflickr.com/photos/some-one/4567890123",
        "https://flickr.com.example/photos/some-one/4567890123",
    ],
)
def test_other_addresses_are_no_flickr_photos(url):
    assert not photo_source(url).startswith("flickr:")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("http://a.example/x.jpg", "https://a.example/x.jpg"),
        ("http://www.a.example/x.jpg", "http://A.Example:80/x.jpg#top"),
        ("http://a.example/%C3%A9.jpg", "http://a.example/e\u0301.jpg"),
        ("http://a.example/a%20b.jpg", "http://a.example/a b.jpg"),
        ("http://a.example/x.jpg?w=100&h=50", "http://a.example/x.jpg"),
        ("http://a.example/show?id=7&utm_source=mail", "http://a.example/show?id=7"),
        (
            "https://upload.wikimedia.org/wikipedia/commons/thumb/a/a9/Face.jpg/320px-Face.jpg",
            "https://upload.wikimedia.org/wikipedia/commons/a/a9/Face.jpg",
        ),
        ("file:///photos/a%20b.jpg", "file:///photos/a b.jpg"),
    ],
)
def test_spellings_of_an_address_are_one_photo(first, second):
    assert photo_source(first) == photo_source(second)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("http://a.example/x.jpg", "http://a.example/y.jpg"),
        ("http://a.example/x.jpg", "http://b.example/x.jpg"),
        ("http://a.example/X.jpg", "http://a.example/x.jpg"),
        ("http://a.example/show?id=7", "http://a.example/show?id=8"),
        ("http://a.example/x_b.jpg", "http://a.example/x_z.jpg"),  # sizes are not guessed
        ("http://a.example:8080/x.jpg", "http://a.example/x.jpg"),
        (FLICKR[0], FLICKR[0].replace("4567890123", "4567890124")),
    ],
)
def test_two_photos_are_two(first, second):
    assert photo_source(first) != photo_source(second)


@given(st.text(max_size=40) | st.from_regex(r"https?://[^\s]{0,20}/[^\s]{0,20}", fullmatch=True))
def test_any_text_has_a_name(text):
    assert isinstance(photo_source(text), str)
    assert photo_source(text.strip()) == photo_source(text)


@given(
    number=st.integers(100, 10**11),
    secret=st.from_regex(r"[0-9a-f]{8,12}", fullmatch=True),
    size=st.sampled_from(["", *(f"_{s}" for s in "sqtmnwzcbhko"), "_3k", "_o_d"]),
    host=st.sampled_from(["farm1.staticflickr.com", "live.staticflickr.com", "static.flickr.com"]),
    scheme=st.sampled_from(["http", "https", "HTTP"]),
)
def test_no_size_host_or_secret_changes_a_flickr_photo(number, secret, size, host, scheme):
    assert photo_source(f"{scheme}://{host}/12/{number}_{secret}{size}.jpg") == f"flickr:{number}"
