"""`tfds build` from a shell, with Beam and after kill -9, writes the same files byte for byte."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import pytest
import tensorflow_datasets as tfds

from tfds_builders.fec import fec_dataset_builder
from tfds_builders.vggface2 import vggface2_dataset_builder

FOLDER = Path(__file__).parent
BUILDERS = {"fec": fec_dataset_builder.Builder, "vggface2": vggface2_dataset_builder.Builder}
TRAIN = "faceexp-comparison-data-train-public.csv"


@pytest.fixture(scope="module", autouse=True)
def no_model_files(tmp_path_factory):
    """The detector that "auto" chooses must not depend on the user's model files."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IMAGEFEC_MODELS", str(tmp_path_factory.mktemp("models")))
        yield


def tfds_build(name, manual_dir, data_dir, *flags):
    """Starts `tfds build` in its own process group."""
    launch = "from tensorflow_datasets.scripts.cli.main import launch_cli; launch_cli()"
    return subprocess.Popen(
        [
            sys.executable,
            "-c",
            launch,
            "build",
            str(FOLDER / name),
            f"--manual_dir={manual_dir}",
            f"--data_dir={data_dir}",
            *flags,
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def wait_for(process):
    output, _ = process.communicate()
    assert process.returncode == 0, output


def kill_when(process, data_dir, pattern):
    """Kills the process group as soon as a file matches the pattern."""
    while not list(data_dir.glob(pattern)) and process.poll() is None:
        time.sleep(0.002)
    os.killpg(process.pid, signal.SIGKILL)
    output, _ = process.communicate()
    assert process.returncode == -signal.SIGKILL, f"ended before it was killed: {output}"


def build_here(name, manual_dir, data_dir, config):
    builder = BUILDERS[name](data_dir=data_dir, config=config)
    builder.download_and_prepare(
        download_config=tfds.download.DownloadConfig(manual_dir=manual_dir)
    )


def files_of(data_dir, name):
    """All files of a dataset, its records and their metadata."""
    folder = data_dir / name
    files = {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
    # `tfds build` imports the builder under another name than this process does.
    return {
        path: content.replace(b'"moduleName": "tfds_builders.', b'"moduleName": "')
        for path, content in files.items()
    }


@pytest.mark.parametrize(("name", "config"), [("fec", "index"), ("vggface2", "triplets")])
def test_beam_and_one_process_build_the_same_files(name, config, tmp_path):
    manual = FOLDER / name / "dummy_data"
    beam = tfds_build(
        name,
        manual,
        tmp_path / "beam",
        f"--config={config}",
        "--beam_pipeline_options=runner=DirectRunner",
    )
    build_here(name, manual, tmp_path / "here", config)
    wait_for(beam)
    first, second = (files_of(tmp_path / way, name) for way in ("here", "beam"))
    assert len([path for path in first if ".tfrecord" in path]) == 2  # train and test
    assert first == second


def test_a_build_of_fec_after_two_killed_ones_writes_the_same_files(tmp_path):
    manual, data = tmp_path / "manual", tmp_path / "killed"
    shutil.copytree(FOLDER / "fec" / "dummy_data" / "faces", manual / "faces")
    rows = (FOLDER / "fec" / "dummy_data" / TRAIN).read_text()
    (manual / TRAIN).write_text(rows * 300)  # takes some seconds
    kill_when(
        tfds_build("fec", manual, data, "--config=triplets"), data, "fec/triplets/incomplete.*"
    )
    kill_when(
        tfds_build("fec", manual, data, "--config=triplets"),
        data,
        "fec/triplets/incomplete.*/fec-train.tfrecord*",
    )
    # Only the second build's partial dataset is left.
    assert len(list(data.glob("fec/triplets/*"))) == 1
    assert not list(data.glob("fec/triplets/1*"))
    again = tfds_build("fec", manual, data, "--config=triplets")
    build_here("fec", manual, tmp_path / "expected", "triplets")
    wait_for(again)
    assert files_of(data, "fec") == files_of(tmp_path / "expected", "fec")
    assert [path.name for path in data.glob("fec/triplets/*")] == ["1.1.0"]


@pytest.fixture
def many(tmp_path):
    """80 identities of 4 photos each, from dummy_data at other brightness: seconds to crop."""
    photos = [
        cv2.imread(str(path))
        for path in sorted((FOLDER / "vggface2" / "dummy_data").glob("t*/*/0001_01.jpg"))
    ]
    for number in range(80):
        folder = tmp_path / "many" / "train" / f"Ж{number:02d}"
        folder.mkdir(parents=True)
        for n in range(4):
            shade = cv2.convertScaleAbs(
                photos[number % len(photos)], alpha=1 - 0.005 * number, beta=6 * n
            )
            cv2.imwrite(str(folder / f"{n}.png"), shade)
    return tmp_path / "many"


def test_a_killed_build_of_vggface2_resumes_and_writes_the_same_files(many, tmp_path):
    config = '--config={"name": "few", "n_triplets": 50, "seed": 3}'
    data = tmp_path / "killed"
    kill_when(
        tfds_build("vggface2", many, data, config), data, "downloads/vggface2_faces/*/train/*.json"
    )
    done = {
        path: path.stat().st_mtime_ns
        for path in data.glob("downloads/vggface2_faces/*/train/*.json")
    }
    assert 0 < len(done) < 80, "killed before or after cropping"
    again = tfds_build("vggface2", many, data, config)
    build_here(
        "vggface2",
        many,
        tmp_path / "expected",
        vggface2_dataset_builder.Config(name="few", n_triplets=50, seed=3),
    )
    wait_for(again)
    assert {path: path.stat().st_mtime_ns for path in done} == done
    first, second = (files_of(tmp_path / way, "vggface2") for way in ("expected", "killed"))
    assert len([path for path in first if ".tfrecord" in path]) == 1
    assert first == second
