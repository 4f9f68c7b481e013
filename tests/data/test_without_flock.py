"""Every writer of a folder works on file systems without flock, and still refuses a second one."""

import errno
import json
import subprocess
import sys
from pathlib import Path

import pytest

from imagefec.data.fec_csv import FaceRef, Row, write_rows
from imagefec.fec import TripletType
from imagefec.maths.geometry import Box
from tests import no_flock
from tests.data.crop.conftest import Workspace

CHECKOUT = Path(__file__).parents[2]
DUMMY = CHECKOUT / "tfds_builders/fec/dummy_data"
PEOPLE = CHECKOUT / "tfds_builders/vggface2/dummy_data"


@pytest.fixture(
    params=[errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP], ids=["ENOSYS", "ENOLCK", "EOPNOTSUPP"]
)
def env(request, tmp_path):
    return no_flock.environment(tmp_path, request.param)


def run(env, *command, cwd=CHECKOUT):
    done = subprocess.run(
        [sys.executable, *map(str, command)], env=env, cwd=cwd, capture_output=True, text=True
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done


def test_fetch_and_crop_work(env, tmp_path):
    workspace = Workspace(tmp_path)
    faces = [FaceRef(url, Box(0.29, 0.70, 0.24, 0.70)) for url in workspace.astronauts(3)]
    path = tmp_path / Workspace.TRAIN
    write_rows(path, [Row(1, tuple(faces), TripletType(0), ("a",), (2,))])
    cache = f"--cache={tmp_path / 'cache'}"
    assert run(env, "-m", "imagefec", "fetch", path, cache).returncode == 0
    crop = ("-m", "imagefec", "crop", path, cache, f"--faces={tmp_path / 'faces'}")
    assert run(env, *crop, "--detector=none").returncode == 0
    assert json.loads((tmp_path / "faces/report.json").read_text())["n_kept"] == 3
    assert not list(tmp_path.rglob("*.soft"))


def test_a_second_crop_is_refused_and_the_lock_of_a_killed_one_is_not_in_the_way(tmp_path):
    env = no_flock.environment(tmp_path)
    workspace = Workspace(tmp_path)
    path = workspace.csv([workspace.astronaut_triplet()])
    hold = (
        "import pathlib, sys\nfrom imagefec.data.crop import face_folder\n"
        "with face_folder.locked(pathlib.Path(sys.argv[1])):\n    print('held', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    first = subprocess.Popen(
        [sys.executable, "-c", hold, workspace.faces],
        env=env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert first.stdout.readline() == "held\n"
    crop = ("-m", "imagefec", "crop", path, f"--cache={workspace.cache}")
    crop = (*crop, f"--faces={workspace.faces}", "--detector=none")
    second = run(env, *crop)
    assert second.returncode == 2
    assert f"another crop (process {first.pid}) is writing to this folder" in second.stderr
    first.kill()
    first.communicate()
    assert run(env, *crop).returncode == 0


@pytest.mark.parametrize("name", ["fec", "vggface2"])
def test_a_build_and_the_caches_of_faces_work(name, tmp_path):
    env = no_flock.environment(tmp_path)
    manual = {"fec": DUMMY, "vggface2": PEOPLE}[name]
    code = (
        "import sys\nimport tensorflow_datasets as tfds\n"
        f"from tfds_builders.{name}.{name}_dataset_builder import Builder\n"
        "from imagefec.data.store.datasets import load_triplets\n"
        "config = tfds.download.DownloadConfig(manual_dir=sys.argv[1])\n"
        "builder = Builder(data_dir=sys.argv[2], config='triplets')\n"
        "builder.download_and_prepare(download_config=config)\n"
        f"print(len(load_triplets(sys.argv[2], '{name}', 'test')))\n"
    )
    done = run(env, "-c", code, manual, tmp_path / "data")
    assert done.stdout.split()[-1:] == [{"fec": "3", "vggface2": "4"}[name]], done.stderr
    assert "cannot be cached" not in done.stderr
    assert len(list((tmp_path / "data/face_stores").rglob("faces.npy"))) == 1
