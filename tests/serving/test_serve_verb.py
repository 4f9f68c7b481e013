"""`imagefec serve` as a process: start, refusal, end, and what it does not load."""

import signal
import socket
import ssl
import subprocess
import sys
import urllib.request

import pytest

from tests.serving.servers import running, start


def refusal(*arguments, model):
    """Exit code and the last line of stderr of a server that should not start."""
    process = start(*arguments, model=model)
    out, err = process.communicate(timeout=120)
    assert out == "" and "Traceback" not in err
    return process.returncode, err.strip().splitlines()[-1]


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_ends_it_with_one_line(model, number, code):
    with running(model=model) as server, server.connect():
        out, err = server.stop(number)
        assert server.process.returncode == code
        begins, *stopped = err.strip().splitlines()
        assert out == "" and begins.startswith("serve: loading ")
        assert len(stopped) == 1 and "stopped" in stopped[0]


def test_a_taken_port_is_refused_before_the_model_is_loaded(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, line = refusal(f"--port={port}", model=tmp_path / "no such model")
    assert code == 2 and f"--port {port}: taken by another program" in line


def test_the_port_of_a_killed_server_can_be_used_at_once(model, neutral):
    with running(model=model) as first:
        with first.connect() as socket_:
            socket_.send(neutral)
            socket_.recv()
            first.process.kill()
            first.process.wait()
        with running(f"--port={first.port}", model=model) as second:
            assert second.json("GET", "/healthz")[1]["status"] == "ok"


def test_it_listens_on_this_machine_only(model):
    with running(model=model) as server:
        name = socket.gethostname()
        others = {info[4][0] for info in socket.getaddrinfo(name, None, socket.AF_INET)}
        for address in others - {"127.0.0.1"}:
            if address.startswith("127."):
                continue
            with pytest.raises(OSError, match=r"refused|unreachable|timed out"):
                socket.create_connection((address, server.port), timeout=5)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--host=0.0.0.0"], "requires --tls_cert and --tls_key"),
        (["--host=no.such.host.invalid"], "not a name or address of this machine"),
        (["--tls_cert=cert.pem"], "--tls_cert and --tls_key belong together"),
        (["--tls_cert=none.pem", "--tls_key=none.pem"], "--tls_cert none.pem: no such file"),
        (["--allow_origin=*"], "--allow_origin *: not an origin"),
    ],
)
def test_unsafe_or_wrong_arguments_are_refused_in_one_sentence(model, arguments, reason):
    code, line = refusal("--port=0", *arguments, model=model)
    assert code == 2 and line.startswith("imagefec serve: ") and reason in line


def test_a_missing_and_a_damaged_model_are_refused_in_one_sentence(tmp_path, model):
    code, line = refusal("--port=0", model=tmp_path / "none")
    assert code == 2 and "none" in line
    damaged = tmp_path / "damaged.onnx"
    damaged.write_bytes(model.read_bytes()[:-100])
    code, line = refusal("--port=0", model=damaged)
    assert code == 2 and "damaged.onnx: ONNX Runtime cannot load it" in line


def test_a_public_address_is_served_with_tls_only(model, tmp_path):
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    made = subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"),
            *("-keyout", str(key), "-out", str(cert)),
        ],
        capture_output=True,
        text=True,
    )
    assert made.returncode == 0, made.stderr
    arguments = ["--port=0", f"--tls_cert={cert}", f"--tls_key={key}", "--host=localhost"]
    with running(*arguments, model=model) as server:
        assert server.url.startswith("https://localhost:")
        context = ssl.create_default_context(cafile=cert)
        with urllib.request.urlopen(f"{server.url}healthz", context=context) as response:
            assert response.status == 200
    (tmp_path / "other.pem").write_text(cert.read_text())
    code, line = refusal("--port=0", f"--tls_cert={cert}", f"--tls_key={cert}", model=model)
    assert code == 2 and "cannot be used" in line


def test_serving_loads_neither_tensorflow_nor_trax_nor_jax(model):
    code = (
        "import sys, pathlib\n"
        "from imagefec.serving import app, server, models, frames\n"
        "from imagefec.faces import detectors\n"
        f"engine = models.open_engine(pathlib.Path({str(model)!r}))\n"
        "frames.FrameReader(engine, detectors.make_detector('auto')).warm_up()\n"
        "print(*({'tensorflow', 'trax', 'jax', 'tensorflow_datasets'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr


def test_no_picture_is_written_or_logged(model, tmp_path, monkeypatch, neutral):
    """Nor anything else: ONNX Runtime would write its telemetry here, and send it to Microsoft."""
    home, temporary = tmp_path / "home", tmp_path / "temporary"
    home.mkdir()
    temporary.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("TMPDIR", str(temporary))
    with running(model=model) as server:
        with server.connect() as socket_:
            for picture in (neutral, neutral[:500], b"no picture"):
                socket_.send(picture)
                socket_.recv(timeout=30)
                server.json("POST", "/embed", picture)
        files = {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()}
        out, err = server.stop()
    assert files == set() and out == "" and err.count("\n") == 2
