"""Host, Origin and Sec-Fetch-Site, on a real server and by themselves."""

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from imagefec.errors import UserError
from imagefec.serving.guard import allowed_names, refusal

ALLOWED = allowed_names(["127.0.0.1", "localhost"], 8765, "http")


def scope(kind="http", method="POST", **headers):
    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return {"type": kind, "method": method, "headers": pairs}


@pytest.mark.parametrize("host", ["127.0.0.1:8765", "localhost:8765", "LOCALHOST:8765"])
def test_the_server_s_own_names_are_served(host):
    own = f"http://{host}"
    assert refusal(scope(host=host), ALLOWED) == ""
    assert refusal(scope(host=host, origin=own, sec_fetch_site="same-origin"), ALLOWED) == ""
    assert refusal(scope(kind="websocket", host=host, origin=own), ALLOWED) == ""


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8765",
        "127.0.0.1",
        "127.0.0.1:80",
        "localhost.evil.example:8765",
        "127.0.0.1:8765.evil.example",
        "0.0.0.0:8765",
        "[::1]:8765",
        "",
    ],
)
def test_a_name_that_was_made_to_point_here_is_refused(host):
    assert "not this server's name" in refusal(scope(host=host), ALLOWED)


def test_no_host_and_two_hosts_are_refused():
    assert "host None" in refusal(scope(), ALLOWED)
    twice = scope(host="127.0.0.1:8765")
    twice["headers"] *= 2
    assert refusal(twice, ALLOWED) == "it has host twice"


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "http://evil.example",
        "http://127.0.0.1:3000",
        "https://127.0.0.1:8765",
        "http://localhost",
        "http://127.0.0.1:8765.evil.example",
        "",
    ],
)
@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_other_pages_are_refused(origin, kind):
    assert "is another page" in refusal(
        scope(kind=kind, host="127.0.0.1:8765", origin=origin), ALLOWED
    )


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_requests_that_other_pages_start_are_refused_but_links_to_the_page_work(site):
    fetch = {"host": "127.0.0.1:8765", "sec_fetch_site": site}
    assert "another page" in refusal(scope(**fetch), ALLOWED)
    assert "another page" in refusal(
        scope(method="GET", sec_fetch_mode="no-cors", **fetch), ALLOWED
    )
    visit = {"sec_fetch_mode": "navigate", "sec_fetch_dest": "document"}
    assert refusal(scope(method="GET", **fetch, **visit), ALLOWED) == ""
    assert "another page" in refusal(scope(method="POST", **fetch, **visit), ALLOWED)
    framed = {**visit, "sec_fetch_dest": "iframe"}
    assert "another page" in refusal(scope(method="GET", **fetch, **framed), ALLOWED)


def test_a_proxy_s_exact_origin_can_be_allowed():
    allowed = allowed_names(["127.0.0.1"], 8765, "http", ["https://a.example", "http://b:81"])
    for host, origin in (
        ("a.example", "https://a.example"),
        ("a.example:443", "https://a.example"),
        ("127.0.0.1:8765", "https://a.example"),
        ("b:81", "http://b:81"),
    ):
        assert refusal(scope(host=host, origin=origin), allowed) == ""
    assert refusal(scope(host="x.a.example"), allowed) != ""
    assert refusal(scope(host="a.example", origin="http://a.example"), allowed) != ""


@pytest.mark.parametrize(
    "origin",
    [
        *("*", "https://*.example", "example.org", "https://a.example/", "https://u@a.example"),
        *("ftp://a.example", "https://", "https://a:99999", "https://a.example/?x"),
    ],
)
def test_what_is_no_origin_is_refused(origin):
    with pytest.raises(UserError, match="not an origin"):
        allowed_names(["127.0.0.1"], 8765, "http", [origin])


def test_a_foreign_host_or_origin_gets_403_with_the_reason(server):
    for headers, reason in (
        ({"Host": "evil.example"}, b"host 'evil.example'"),
        ({"Origin": "https://evil.example"}, b"origin 'https://evil.example'"),
        ({"Sec-Fetch-Site": "cross-site"}, b"another page"),
    ):
        for method, path in (("POST", "/embed"), ("GET", "/metrics"), ("GET", "/static/none")):
            body = b"" if method == "POST" else None
            status, found, text = server.request(method, path, body, headers)
            assert status == 403 and reason in text
            assert found["content-security-policy"].startswith("default-src 'none'")


@pytest.mark.parametrize(
    "options",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"additional_headers": {"Sec-Fetch-Site": "cross-site"}},
    ],
)
def test_a_foreign_page_s_websocket_gets_403_before_it_opens(server, options):
    with pytest.raises(InvalidStatus) as raised, server.connect(**options):
        pass
    assert raised.value.response.status_code == 403
    assert b"Refused: " in raised.value.response.body


def test_a_websocket_to_a_foreign_host_is_refused(server):
    url, address = f"ws://evil.example:{server.port}/ws", ("127.0.0.1", server.port)
    with pytest.raises(InvalidStatus) as raised, connect(url, address=address, proxy=None):
        pass
    assert raised.value.response.status_code == 403
    assert b"host 'evil.example" in raised.value.response.body
