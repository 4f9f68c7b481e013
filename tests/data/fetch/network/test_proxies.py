"""Fetches through a real proxy, chosen by the variables of the environment."""

import base64
import contextlib
import datetime
import ipaddress
import socket
import ssl
import subprocess
import sys
import threading
from dataclasses import replace

import pytest

from imagefec.data.fetch.network.proxies import Proxies
from imagefec.data.fetch.stage import FetchConfig, fetch_photos
from imagefec.errors import UserError
from tests.data.fetch.raw_server import (
    ENVIRONMENT,
    photo_response,
    redirect_to,
    send_photo,
    serving,
)

QUICK = FetchConfig(workers=4, timeout_s=2.0, attempts=1, backoff_s=0.01)
NAMES = ("http_proxy", "https_proxy", "no_proxy", "all_proxy")


@pytest.fixture(autouse=True)
def no_proxy_of_this_machine(monkeypatch):
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def proxy_answer(connection, path, server):
    """Answers requests itself, as a cache does; tunnels CONNECT to the port on this machine."""
    if path.startswith("http://"):
        connection.sendall(photo_response(path))
        return
    port = int(path.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)) as target:
        connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        back = threading.Thread(target=copy, args=(target, connection), daemon=True)
        back.start()
        copy(connection, target)
        back.join()


def copy(source, target):
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


@pytest.fixture
def proxy():
    with serving(proxy_answer) as server:
        yield server


def test_http_urls_go_through_the_proxy_of_either_case(
    csv_of_urls, cache_dir, tmp_path, proxy, monkeypatch
):
    urls = [f"http://photos.example/{n}.jpg" for n in range(3)]
    for n, name in enumerate(("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY")):
        with monkeypatch.context() as patch:
            patch.setenv(name, proxy.url("").rstrip("/"))
            report = fetch_photos([csv_of_urls(urls)], tmp_path / str(n), QUICK)
        assert report.n_ok == 3, name
    assert sorted(proxy.paths) == sorted(urls * 4)
    assert b"\r\nHost: photos.example\r\n" in proxy.requests[0]


def test_a_proxy_without_a_scheme_and_with_a_password_is_used(
    csv_of_urls, cache_dir, proxy, monkeypatch
):
    monkeypatch.setenv("http_proxy", f"me:p%40ss@127.0.0.1:{proxy.port}")
    url = "http://photos.example/1.jpg"
    assert fetch_photos([csv_of_urls([url])], cache_dir, QUICK).n_ok == 1
    login = base64.b64encode(b"me:p@ss")
    assert b"Proxy-Authorization: Basic %s\r\n" % login in proxy.requests[0].title().replace(
        login.title(), login
    )


def test_hosts_of_no_proxy_and_this_machine_are_requested_directly(
    csv_of_urls, cache_dir, proxy, monkeypatch
):
    monkeypatch.setenv("http_proxy", proxy.url(""))
    monkeypatch.setenv("no_proxy", "direct.invalid, .intern.invalid")
    with serving(send_photo) as server:
        urls = [server.url("own"), f"http://localhost:{server.port}/own"]
        hosts = ("direct.invalid", "a.intern.invalid", "other.invalid")
        urls += [f"http://{host}/x.jpg" for host in hosts]
        report = fetch_photos([csv_of_urls(urls)], cache_dir, QUICK)
    assert proxy.paths == ["http://other.invalid/x.jpg"]
    assert len(server.paths) == 2
    assert (report.n_ok, report.reasons) == (3, {"host not found": 2})


def test_networks_of_no_proxy_are_requested_directly(monkeypatch):
    monkeypatch.setenv("http_proxy", "http://proxy.example:3128")
    monkeypatch.setenv("no_proxy", "10.0.0.0/8, fd00::/8,intern.example")
    proxies = Proxies()
    direct = ("10.1.2.3", "10.1.2.3:8080", "[fd00::1]", "a.intern.example", "localhost:8000")
    assert [proxies.proxy_of(f"http://{host}/x") for host in direct] == [None] * 5
    for host in ("11.1.2.3", "[fe00::1]", "example.com"):
        assert proxies.proxy_of(f"http://{host}/x") == "http://proxy.example:3128"


def test_https_urls_are_tunnelled_and_their_certificates_checked(
    csv_of_urls, cache_dir, tmp_path, proxy, monkeypatch
):
    tls, certificate = server_tls(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    monkeypatch.setenv("https_proxy", f"http://me:secret@127.0.0.1:{proxy.port}")
    with serving(send_photo, tls=tls) as server:
        urls = [f"https://{host}:{server.port}/x" for host in ("photos.example", "wrong.example")]
        report = fetch_photos([csv_of_urls([*urls, server.url("direct")])], cache_dir, QUICK)
    assert (report.n_ok, report.reasons) == (2, {"tls error": 1})
    hosts = ("photos.example", "wrong.example")
    assert sorted(proxy.paths) == [f"{host}:{server.port}" for host in hosts]
    login = base64.b64encode(b"me:secret")
    assert all(login in request for request in proxy.requests)


def test_a_tls_server_that_drips_its_body_times_out(csv_of_urls, cache_dir, tmp_path, monkeypatch):
    tls, certificate = server_tls(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))

    def drip(connection, path, server):
        connection.sendall(photo_response()[:-150])
        server.drip(connection, photo_response()[-150:])

    with serving(drip, tls=tls) as server:
        report = fetch_photos(
            [csv_of_urls([server.url()])], cache_dir, replace(QUICK, timeout_s=0.3)
        )
    assert report.reasons == {"timed out": 1}


def test_redirects_through_a_proxy_must_not_spell_out_a_private_address(
    csv_of_urls, cache_dir, monkeypatch
):
    targets = {
        "a": "http://10.0.0.1/x.jpg",
        "b": "http://0xa9fea9fe/x.jpg",
        "c": "http://localhost:9/x.jpg",
        "d": "http://public.example/x.jpg",
    }

    def answer(connection, path, server):
        target = targets.get(path.rpartition("/")[2])
        (redirect_to(target) if target else send_photo)(connection, path, server)

    with serving(answer) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url(""))
        urls = [f"http://photos.example/{name}" for name in targets]
        report = fetch_photos([csv_of_urls(urls)], cache_dir, QUICK)
    assert (report.n_ok, report.reasons) == (1, {"redirect to a private address": 3})
    assert [path for path in proxy.paths if "/x.jpg" in path] == ["http://public.example/x.jpg"]


@pytest.mark.parametrize("proxy_url", ["socks5://127.0.0.1:1080", "socks5h://u:pw@h", "http://[x"])
def test_a_proxy_of_another_kind_is_refused_with_one_sentence(
    csv_of_urls, cache_dir, monkeypatch, proxy_url
):
    monkeypatch.setenv("all_proxy", proxy_url)
    with pytest.raises(UserError, match="only http:// and https:// proxies are supported") as error:
        fetch_photos([csv_of_urls(["http://photos.example/x"])], cache_dir, QUICK)
    assert "pw" not in str(error.value)
    with serving(send_photo) as server:  # needs no proxy
        assert fetch_photos([csv_of_urls([server.url()])], cache_dir, QUICK).n_ok == 1


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_asks_for_a_password_ends_the_fetch(
    csv_of_urls, cache_dir, monkeypatch, scheme
):
    def refuse(connection, path, server):
        connection.sendall(
            b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"
        )

    with serving(refuse) as proxy:
        monkeypatch.setenv(f"{scheme}_proxy", proxy.url(""))
        with pytest.raises(UserError, match="asks for a user name and password"):
            fetch_photos([csv_of_urls([f"{scheme}://photos.example/x"])], cache_dir, QUICK)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_is_down_is_a_reason_of_its_own(csv_of_urls, cache_dir, monkeypatch, scheme):
    monkeypatch.setenv(f"{scheme}_proxy", "http://127.0.0.1:1")
    report = fetch_photos([csv_of_urls([f"{scheme}://photos.example/x"])], cache_dir, QUICK)
    assert report.reasons == {"no connection through the proxy": 1}


def test_the_first_line_of_the_log_names_the_proxies_without_their_passwords(
    csv_of_urls, tmp_path, proxy
):
    csv = csv_of_urls([f"http://photos.example/{n}" for n in range(3)] + ["http://b.example/1"])
    command = [sys.executable, "-m", "imagefec", "fetch", csv]
    proxied = {
        "http_proxy": f"http://me:secret@127.0.0.1:{proxy.port}",
        "no_proxy": "a.example,.b",
    }
    first_lines = []
    for n, variables in enumerate((proxied, {"http_proxy": proxy.url(""), "https_proxy": "p:1"})):
        done = subprocess.run(
            [*command, f"--cache={tmp_path / str(n)}"],
            env=ENVIRONMENT | variables,
            capture_output=True,
            text=True,
            check=True,
        )
        first_lines.append(done.stderr.splitlines()[1])  # after what the verb begins with
        assert "secret" not in done.stderr
    assert first_lines == [
        "fetch: 4 photos of 2 hosts; proxy for http "
        f"http://me:***@127.0.0.1:{proxy.port}, for https none, none for this machine and "
        "a.example,.b",
        "fetch: 4 photos of 2 hosts; proxy for http "
        f"http://127.0.0.1:{proxy.port}/, for https http://p:1, none for this machine",
    ]


def test_without_variables_there_is_no_proxy(csv_of_urls, cache_dir):
    with serving(send_photo) as server:
        csv = csv_of_urls([server.url()])
        done = subprocess.run(
            [sys.executable, "-m", "imagefec", "fetch", csv, f"--cache={cache_dir}"],
            env={name: value for name, value in ENVIRONMENT.items() if name.lower() not in NAMES},
            capture_output=True,
            text=True,
            check=True,
        )
    assert done.stderr.splitlines()[1] == "fetch: 1 photos of 1 hosts; no proxy"


def server_tls(folder):
    """A context of a server for photos.example and 127.0.0.1, and the file of its certificate."""
    x509 = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "photos.example")])
    names = [x509.DNSName("photos.example"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "server.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context, path
