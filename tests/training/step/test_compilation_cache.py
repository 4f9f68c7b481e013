"""The cache of compiled programs: where it is, turning it off, truncated entries."""

import os
import subprocess
import sys
import zlib

import pytest

from imagefec.training.step import compilation_cache


def folder_of(environment, home):
    code = (
        "import jax\nfrom imagefec.training.step.compilation_cache import cache_compilations\n"
        "print(cache_compilations(), jax.config.jax_compilation_cache_dir)"
    )
    clean = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("JAX_COMP", "IMAGEFEC"))
    }
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**clean, "HOME": str(home), **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


def test_the_cache_is_in_the_home_folder_in_a_named_folder_or_off(tmp_path):
    default = str(tmp_path / ".cache" / "imagefec" / "jax")
    assert folder_of({}, tmp_path) == [default, default]
    named = str(tmp_path / "mine")
    assert folder_of({"IMAGEFEC_COMPILATION_CACHE": named}, tmp_path) == [named, named]
    assert folder_of({"IMAGEFEC_COMPILATION_CACHE": "off"}, tmp_path) == ["None", "None"]
    (tmp_path / "file").write_text("in the way")
    assert folder_of({"IMAGEFEC_COMPILATION_CACHE": str(tmp_path / "file")}, tmp_path) == [
        "None",
        "None",
    ]


@pytest.mark.parametrize("missing_bytes", [1, 10])
def test_only_truncated_entries_are_removed(tmp_path, missing_bytes):
    packed = zlib.compress(b"a program" * 1000)
    (tmp_path / "a-cache").write_bytes(packed)
    (tmp_path / "b-cache").write_bytes(packed[:-missing_bytes])
    (tmp_path / "other").write_bytes(b"not ours")
    compilation_cache._remove_truncated_entries(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"a-cache", "other", ".checked"}
