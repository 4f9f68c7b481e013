"""Paths as users write them: home directories, variables, and texts that are no path."""

import os
import pathlib
import pwd
import subprocess
import sys

import pytest

import imagefec
from imagefec import cli, paths
from imagefec.errors import UserError

OWN_HOME = pwd.getpwuid(os.getuid()).pw_dir


def test_home_and_variables_are_replaced(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("RUNS", "my runs")
    assert paths.user_path("~/runs/a") == tmp_path / "runs" / "a"
    assert paths.user_path("~") == tmp_path
    assert paths.user_path("$HOME/${RUNS}/ü") == tmp_path / "my runs" / "ü"
    user = pwd.getpwuid(os.getuid()).pw_name
    assert paths.user_path(f"~{user}/a") == pathlib.Path(OWN_HOME, "a")


@pytest.mark.parametrize("text", ["runs/a b", "/a/[b]/c*", "./-x", "a/~/b", "a$b/$", "x~", "."])
def test_other_paths_stay_as_written(text):
    assert paths.user_path(text) == pathlib.Path(text)


def test_an_existing_file_is_not_replaced(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for name in ("~x", "$HOME"):
        (tmp_path / name).touch()
        assert paths.user_path(name) == pathlib.Path(name)


@pytest.mark.parametrize("text", ["", "a\0b", "~no-such-user/a"])
def test_a_text_that_is_no_path_is_refused_by_name(text):
    with pytest.raises(UserError, match=r"^--cache is "):
        paths.user_path(text, "--cache")


def test_a_user_without_a_home_has_no_cache_folder_and_gets_a_sentence():
    code = (
        "import os, pwd\nfrom imagefec import paths\nos.environ.pop('HOME', None)\n"
        "os.setuid(61234)\n"
        "print(paths.cache_folder('jax'))\n"
        "try: paths.user_path('~/runs', '--run')\nexcept Exception as error: print(error)\n"
    )
    if os.getuid() != 0:
        pytest.skip("only root can become a user without an entry in passwd")
    environment = {**os.environ, "PYTHONPATH": str(pathlib.Path(imagefec.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, cwd="/"
    )
    no_folder, sentence = done.stdout.splitlines()
    assert no_folder == "None"
    assert "--run is '~/runs'" in sentence and "Set HOME" in sentence


def test_home_is_meant_by_a_tilde_in_every_folder_of_the_pipeline(tmp_path, monkeypatch):
    home, here = tmp_path / "home", tmp_path / "here"
    home.mkdir()
    here.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(here)
    for argv in (
        "draw ~/drawn --faces=180 --identities=10 --test_fraction=0.5 --triplets=60 --seed=1",
        "fetch ~/drawn/faceexp-comparison-data-train-public.csv --cache=~/cache",
        "crop ~/drawn/faceexp-comparison-data-train-public.csv --cache=$HOME/cache "
        "--faces=~/faces --detector=none --workers=1",
    ):
        assert cli.main(argv.split()) == 0
    assert (home / "drawn" / "images").is_dir()
    assert (home / "cache" / "ledger.sqlite3").is_file()
    assert (home / "faces" / "faces.csv").is_file()
    assert list(here.iterdir()) == []
