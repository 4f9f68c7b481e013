"""A server over a small ONNX model, and pictures to send."""

import pytest

from tests.serving.models import render, write_model
from tests.serving.servers import running


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("model") / "small.onnx")


@pytest.fixture(scope="module")
def server(model, no_model_files):
    with running(model=model) as server:
        yield server


@pytest.fixture(scope="session")
def neutral():
    return render("neutral")


@pytest.fixture(scope="session")
def surprise():
    return render("surprise")
