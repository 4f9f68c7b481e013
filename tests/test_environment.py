"""Users without a home, and machines without a folder for temporary files."""

import os
import subprocess
import sys

import numpy as np
import pytest

NO_HOME = """
import pwd
def unknown(user):
    raise KeyError(f"no user {user}")
pwd.getpwuid = pwd.getpwnam = unknown
"""
NO_TEMPORARY = """
import tempfile
tempfile._candidate_tempdir_list = lambda: ["/nonexistent"]
"""
USES_TRAX = ("-m", "imagefec", "train", "--config_file=smoke.gin", "--print_config")
NO_MEMORY = """
from imagefec import environment
environment._IN_MEMORY = "/nonexistent"
"""


@pytest.fixture
def python(tmp_path):
    """Runs Python as a user without home, after `lacking` was run at its start."""
    (tmp_path / "start").mkdir()
    (tmp_path / "here").mkdir()

    def run(lacking, *arguments):
        (tmp_path / "start" / "sitecustomize.py").write_text(lacking)
        path = os.pathsep.join([str(tmp_path / "start"), *filter(None, sys.path)])
        kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        return subprocess.run(
            [sys.executable, *map(str, arguments)],
            env={**kept, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
            cwd=tmp_path / "here",
            capture_output=True,
            text=True,
            timeout=240,
        )

    yield run
    assert not (tmp_path / "here" / "~").exists()


def test_a_user_without_home_can_embed(python, tmp_path, small_run, face):
    out = tmp_path / "out.npz"
    command = ("-m", "imagefec", "embed", f"--run={small_run}", f"--out={out}", face)
    done = python(NO_HOME, *command)
    assert (done.returncode, done.stdout) == (0, f"{out}\n"), done.stderr
    assert len(np.load(out)["vectors"]) == 1


def test_without_a_temporary_folder_the_one_in_memory_is_used_and_named(
    python,
):
    if not os.access("/dev/shm", os.W_OK):
        pytest.skip("this system has no /dev/shm")
    done = python(NO_HOME + NO_TEMPORARY, *USES_TRAX)
    assert done.returncode == 0 and "training.steps = 4\n" in done.stdout, done.stderr
    assert done.stderr.count("temporary files are written to /dev/shm") == 1
    assert "TMPDIR" in done.stderr


def test_embed_needs_no_folder_for_temporary_files(python, tmp_path, small_run, face):
    out = tmp_path / "out.npz"
    command = ("-m", "imagefec", "embed", f"--run={small_run}", f"--out={out}", face)
    done = python(NO_HOME + NO_TEMPORARY + NO_MEMORY, *command)
    assert (done.returncode, done.stdout) == (0, f"{out}\n"), done.stderr


def test_without_any_folder_for_temporary_files_one_is_asked_for(python):
    done = python(NO_HOME + NO_TEMPORARY + NO_MEMORY, *USES_TRAX)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "/nonexistent" in done.stderr and "Set the environment variable TMPDIR" in done.stderr


def test_doctor_names_what_is_missing_and_needs_neither(python):
    done = python(NO_HOME + NO_TEMPORARY, "-m", "imagefec", "doctor")
    assert done.returncode == 0, done.stderr
    assert "folders      cache none, temporary files none\n" in done.stdout
    assert "this user has no home directory" in done.stdout and "Set HOME" in done.stdout
    assert "/nonexistent" in done.stdout and "TMPDIR to a folder" in done.stdout
    assert "devices      unknown" not in done.stdout


def test_without_home_nothing_is_cached_and_a_warning_says_so(python):
    code = (
        "import jax\nfrom imagefec.training.step.compilation_cache import cache_compilations\n"
        "print(cache_compilations(), jax.config.jax_compilation_cache_dir)"
    )
    done = python(NO_HOME, "-c", code)
    assert done.stdout == "None None\n", done.stderr
    assert done.stderr.count("this user has no home directory") == 1
    assert "IMAGEFEC_COMPILATION_CACHE" in done.stderr


def test_without_home_a_detector_asks_for_the_folder_of_its_model(python):
    code = (
        "from imagefec.errors import UserError\n"
        "from imagefec.faces.detectors import make_detector\n"
        "print(make_detector('auto').name)\n"
        "for name in ('yunet', 'faced'):\n"
        "    try:\n        make_detector(name)\n"
        "    except UserError as error:\n        print(error)\n"
    )
    done = python(NO_HOME, "-c", code)
    auto, yunet, faced = done.stdout.splitlines()
    assert auto == "blazeface"
    for text in (yunet, faced):
        assert "no home directory" in text and "name " in text and "$IMAGEFEC_MODELS" in text
        assert "None" not in text and "~" not in text


@pytest.fixture(scope="session")
def face(tmp_path_factory):
    from PIL import Image

    path = tmp_path_factory.mktemp("faces") / "face.png"
    pixels = np.random.default_rng(0).integers(0, 256, (128, 128, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture(scope="session")
def small_run(tmp_path_factory):
    """A run of random weights."""
    import json

    import jax

    from imagefec.compat import ShapeDtype
    from imagefec.model import ImageFEC, checkpoint

    settings = {"d_hidden": 4, "d_embedding": 6, "fc_widths": [8], "stage_blocks": [1]}
    model = ImageFEC(**settings)
    model.init(ShapeDtype((1, 32, 32, 3), np.uint8), rng=jax.random.PRNGKey(0))
    folder = tmp_path_factory.mktemp("runs") / "small"
    folder.mkdir()
    info = {"format": 1, "model": settings, "image_size": 32, "dataset": "fec", "step": 12}
    (folder / "run.json").write_text(json.dumps(info))
    checkpoint.save(folder / "best.npz", checkpoint.named_weights(model), {"step": 12})
    return folder
