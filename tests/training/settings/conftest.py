"""Gin's state is global: every test here starts in an empty folder and ends without bindings."""

import pytest


@pytest.fixture(autouse=True)
def clean_gin(tmp_path, monkeypatch):
    from imagefec.training import configurables

    monkeypatch.chdir(tmp_path)
    yield
    configurables.gin.clear_config()


@pytest.fixture
def parse():
    from imagefec.training import configurables

    return configurables.parse
