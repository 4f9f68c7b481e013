"""What `draw` accepts, and that a folder holds photos of one set of settings only."""

import contextlib
import io
import json
import os
import pathlib
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest

from imagefec import cli, files
from imagefec.errors import UserError
from imagefec.faces.synthetic import render_dataset
from imagefec.faces.synthetic.settings import DrawSettings, checked_url_root

SIZE = {"faces": 200, "identities": 4, "triplets": 6, "test_fraction": 0.5}
FLAGS = ["--faces=200", "--identities=4", "--triplets=6", "--test_fraction=0.5"]
CHECKOUT = pathlib.Path(__file__).parents[3]


def settings(**changed):
    return DrawSettings(**{**SIZE, "validation_fraction": 0.0, "seed": 0, **changed})


def draw(*arguments):
    """Exit code and stderr of `imagefec draw`."""
    error = io.StringIO()
    with contextlib.redirect_stderr(error):
        try:
            code = cli.main(["draw", *map(str, arguments)])
        except SystemExit as stopped:  # argparse
            code = stopped.code
    return code, error.getvalue()


def bytes_of(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--url_root=ftp://x", "--url_root is 'ftp://x'; allowed are http"),
        ("--url_root=", "--url_root is ''"),
        ("--url_root=http://", "--url_root is 'http://'"),
        ("--url_root=file:///", "--url_root is 'file:///'"),
        ("--url_root=http://x\ny", "--url_root is"),
        ("--seed=-1", "-1 is not a whole number from 0"),
        ("--seed=1.5", "--seed"),
        ("--roll=-1", "--roll is -1; allowed are 0 to 45 degrees"),
        ("--roll=46", "--roll is 46; allowed are 0 to 45 degrees"),
        ("--roll=nan", "argument --roll: nan is not a number"),
        ("--faces=0", "--faces"),
        ("--faces=-5", "--faces"),
        ("--faces=1000000000000", "--faces is 1000000000000; allowed are up to 10000000"),
        (f"--faces=-1{'0' * 400}", "--faces is -1"),
        ("--identities=0", "--identities"),
        ("--identities=100000000000", "--identities is 100000000000; allowed are up to"),
        ("--triplets=-1", "--triplets"),
        ("--triplets=100000000000", "--triplets is 100000000000; allowed are up to"),
        ("--test_fraction=inf", "--test_fraction"),
        ("--test_fraction=5e-324", "use larger fractions"),
        ("--validation_fraction=nan", "--validation_fraction"),
    ],
)
def test_a_wrong_flag_of_draw_is_refused_by_name_before_anything_is_written(
    tmp_path, flag, message
):
    code, error = draw(tmp_path / "out", *FLAGS, flag)
    assert code == 2 and message in error and "Traceback" not in error
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "wrong",
    [
        {"faces": "a"},
        {"faces": None},
        {"faces": 200.0},
        {"faces": True},
        {"identities": []},
        {"triplets": "6"},
        {"seed": 1.5},
        {"seed": None},
        {"seed": False},
        {"test_fraction": "0.5"},
        {"validation_fraction": None},
        {"url_root": 7},
        {"workers": 0},
        {"workers": 1.5},
    ],
)
def test_a_wrong_type_is_a_callers_bug_that_names_the_argument(tmp_path, wrong):
    (name,) = wrong
    with pytest.raises(ValueError, match=f"^{name} must be"):
        render_dataset(tmp_path / "out", **{**SIZE, "workers": 1, **wrong})
    assert not (tmp_path / "out").exists()


def test_too_many_workers_are_refused_by_name(tmp_path):
    with pytest.raises(UserError, match=r"--workers is 1000000000; allowed are 1 to 1024"):
        render_dataset(tmp_path / "out", **SIZE, workers=10**9)


def test_numbers_of_numpy_and_fractions_are_numbers():
    assert settings(faces=np.int64(200), test_fraction=Fraction(1, 2)) == settings()
    assert settings().numbers_of("test") == {"faces": 100, "identities": 2, "triplets": 3}


@pytest.mark.parametrize(
    ("root", "expected"),
    [
        ("http://127.0.0.1:80/", "http://127.0.0.1:80"),
        ("https://host/some faces", "https://host/some faces"),
        ("file:///photos", "file:///photos"),
        (None, "file:///some%20folder"),
    ],
)
def test_url_roots_that_fetch_reads_are_accepted(root, expected):
    assert checked_url_root(root, pathlib.Path("/some folder")) == expected


def test_settings_are_recorded(tmp_path):
    settings(seed=7).claim(tmp_path)
    assert json.loads((tmp_path / "settings.json").read_text()) == {
        "format": 1,
        "faces": 200,
        "identities": 4,
        "triplets": 6,
        "test_fraction": 0.5,
        "validation_fraction": 0.0,
        "seed": 7,
        "roll": 4.0,
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"it has photos but a damaged settings\.json"),
        ("{", "damaged"),
        ("[1]", "damaged"),
        ("null", "damaged"),
        ("{}", "drawn with format None, faces None"),
        ("[" * 100_000, "damaged"),
        ('{"seed": "\\u001b[2J' + "x" * 1000 + '"}', r"seed '\\x1b\[2Jxxx"),
    ],
)
def test_a_settings_file_that_is_not_ours_is_refused_in_one_sentence(tmp_path, text, message):
    (tmp_path / "settings.json").write_text(text)
    (tmp_path / "images/train").mkdir(parents=True)
    (tmp_path / "images/train/000000.jpg").write_bytes(b"a photo")
    with pytest.raises(UserError, match=message) as refused:
        settings().claim(tmp_path)
    assert len(str(refused.value)) < 1000 and "\x1b" not in str(refused.value)
    assert (tmp_path / "settings.json").read_text() == text


def test_a_damaged_settings_file_without_photos_is_written_again(tmp_path):
    (tmp_path / "settings.json").write_text("")
    settings().claim(tmp_path)
    assert json.loads((tmp_path / "settings.json").read_text())["faces"] == 200


def test_a_half_drawn_folder_takes_no_photos_of_another_seed_and_is_completed_by_its_own(tmp_path):
    class Killed(Exception):
        pass

    def kill(n):
        raise Killed

    with pytest.raises(Killed):
        render_dataset(
            tmp_path / "half", **SIZE, seed=1, workers=1, url_root="http://x", progress=kill
        )
    half = bytes_of(tmp_path / "half")
    assert 0 < sum(name.endswith(".jpg") for name in half) < 170
    code, error = draw(tmp_path / "half", *FLAGS, "--seed=2")
    assert code == 2
    assert f"{tmp_path / 'half'}: drawn with seed 1, now seed 2 is requested" in error
    assert bytes_of(tmp_path / "half") == half
    for name in ("half", "whole"):
        render_dataset(tmp_path / name, **SIZE, seed=1, workers=1, url_root="http://x")
    assert bytes_of(tmp_path / "half") == bytes_of(tmp_path / "whole")
    assert half.items() <= bytes_of(tmp_path / "half").items()  # existing photos keep their bytes


def test_photos_of_unknown_settings_are_not_mixed_with_others(tmp_path):
    (tmp_path / "images/train").mkdir(parents=True)
    (tmp_path / "images/train/000001.jpg").write_bytes(b"of an older version")
    code, error = draw(tmp_path, *FLAGS)
    assert code == 2 and "it has photos but no settings.json" in error
    assert (tmp_path / "images/train/000001.jpg").read_bytes() == b"of an older version"


def test_a_second_draw_is_refused_and_names_the_first_process(tmp_path):
    with files.folder_lock(tmp_path, "draw", "OUT", "draw.lock"):
        done = subprocess.run(
            [sys.executable, "-m", "imagefec", "draw", tmp_path, *FLAGS],
            cwd=CHECKOUT,
            capture_output=True,
            text=True,
        )
    assert done.returncode == 2 and done.stdout == ""
    assert f"another draw (process {os.getpid()}) is writing to this folder" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["draw.lock"]


@pytest.mark.parametrize("link", ["images", "images/train", "people", "people/train"])
def test_a_link_out_of_the_folder_is_refused_and_nothing_is_written_through_it(tmp_path, link):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/.canary.tmp").write_text("of another program")
    path = tmp_path / "out" / link
    path.parent.mkdir(parents=True)
    path.symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    code, error = draw(tmp_path / "out", *FLAGS, "--people_folders")
    assert code == 2 and f"{path}: a symbolic link" in error
    assert [path.name for path in (tmp_path / "elsewhere").iterdir()] == [".canary.tmp"]


def test_a_full_disk_ends_draw_with_a_sentence_and_the_rerun_has_the_same_bytes(tmp_path):
    command = (
        f"ulimit -f 12; exec {sys.executable} -m imagefec draw {tmp_path}/full {' '.join(FLAGS)}"
    )
    done = subprocess.run(["bash", "-c", command], cwd=CHECKOUT, capture_output=True, text=True)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "cannot write the synthetic faces there (File too large)" in done.stderr
    assert not list((tmp_path / "full").rglob("*.tmp"))
    for name in ("full", "whole"):
        assert draw(tmp_path / name, *FLAGS, "--url_root=http://x")[0] == 0
    assert bytes_of(tmp_path / "full") == bytes_of(tmp_path / "whole")


def test_a_folder_of_an_earlier_version_has_the_default_roll(tmp_path):
    settings().claim(tmp_path)
    path = tmp_path / "settings.json"
    found = json.loads(path.read_text())
    del found["roll"]
    path.write_text(json.dumps(found))
    settings().claim(tmp_path)
    settings(roll=4).claim(tmp_path)
    with pytest.raises(UserError, match=r"drawn with roll 4\.0, now roll 20\.0 is requested"):
        settings(roll=20).claim(tmp_path)
