"""The container: what its Dockerfile names exists, and the health check tells the truth."""

import json
import pathlib
import re
import shlex
import subprocess
import sys

import pytest

import imagefec
from imagefec import cli
from tests.serving.servers import running

CHECKOUT = pathlib.Path(imagefec.__file__).parents[1]
DOCKERFILE = CHECKOUT / "docs" / "docker" / "Dockerfile"


def instructions(name):
    text = re.sub(r"\\\n", " ", DOCKERFILE.read_text())
    return re.findall(rf"^{name} (.*)$", text, re.MULTILINE)


def test_the_container_copies_what_exists_and_all_that_setup_reads():
    copied = [name for line in instructions("COPY") for name in line.split()[:-1]]
    assert all((CHECKOUT / name).exists() for name in copied)
    assert {"setup.py", "README.md", "imagefec", "tfds_builders", "gin_configs"} <= set(copied)


def test_the_container_serves_without_root():
    (command,) = map(json.loads, instructions("ENTRYPOINT"))
    assert command[0] == "imagefec"
    assert cli._parser().parse_args(command[1:]).verb == "serve"
    assert instructions("USER") == ["10001"]


def test_the_commands_in_the_containers_head_have_flags_that_exist():
    head = re.sub(r"\\\n# *", " ", DOCKERFILE.read_text().split("FROM")[0])
    (_, given) = re.findall(r"(?:/run-dir:ro\"|healthz) imagefec(.*)", head)
    (command,) = map(json.loads, instructions("ENTRYPOINT"))
    found = cli._parser().parse_args([*command[1:], *shlex.split(given)])
    assert found.host == "0.0.0.0" and len(found.allow_origin) == 2


@pytest.fixture(scope="module")
def health_check():
    (line,) = instructions("HEALTHCHECK")
    _, program, code = json.loads(line[line.index("[") :])
    assert program == "-c"

    def check(url):
        done = subprocess.run(
            [sys.executable, "-c", code], env={"HEALTH_URL": url}, capture_output=True, timeout=60
        )
        return done.returncode

    return check


def test_the_health_check_tells_a_running_service_from_none(model, health_check):
    with running(model=model) as server:
        url = f"http://127.0.0.1:{server.port}/healthz"
        assert health_check(url) == 0
    assert health_check(url) != 0
