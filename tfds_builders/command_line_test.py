"""`tfds build` from a shell, with Beam and after kill -9, writes the same files byte for byte."""

import glob
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


def is_there(folder, pattern):
    """Whether a path matches, in folders that a build may remove meanwhile."""
    return bool(glob.glob(pattern, root_dir=folder))  # noqa: PTH207 (pathlib's raises then)


def kill_when(process, data_dir, pattern):
    """Kills the process group as soon as a file matches the pattern."""
    while not is_there(data_dir, pattern) and process.poll() is None:
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


def ends_with_a_sentence(process, code, *said):
    """Checks that a build ends with an exit code and one sentence, and no traceback."""
    output, _ = process.communicate()
    # The second ctrl-C may come while Python ends, which then ends by the signal.
    assert process.returncode in ((code, -signal.SIGINT) if code == 130 else (code,)), output
    assert "Traceback" not in output
    for text in said:
        assert text in output


def test_tfds_build_ends_with_exit_code_2_and_a_sentence_if_its_user_can_fix_it(tmp_path):
    (tmp_path / "manual").mkdir()
    (tmp_path / "manual" / "my.csv").touch()
    builds = [
        tfds_build(name, tmp_path / "manual", tmp_path / "data") for name in ("fec", "vggface2")
    ]
    ends_with_a_sentence(
        builds[0],
        2,
        f"tfds build: {tmp_path / 'manual'} has none of {TRAIN}, ",
        "faceexp-comparison-data-validation-public.csv. It has my.csv: rename them",
    )
    ends_with_a_sentence(builds[1], 2, "tfds build: ", "no folder of identity folders with photos")


def test_ctrl_c_twice_ends_a_build_with_one_line_and_a_rerun_writes_the_same_files(many, tmp_path):
    config = '--config={"name": "few", "n_triplets": 50, "seed": 3}'
    data = tmp_path / "stopped"
    build = tfds_build("vggface2", many, data, config)
    while not is_there(data, "downloads/vggface2_faces/*/train/*.json") and build.poll() is None:
        time.sleep(0.002)
    for _ in range(2):
        os.killpg(build.pid, signal.SIGINT)
        time.sleep(0.2)
    ends_with_a_sentence(build, 130, "tfds build: stopped; run the same command again.")
    again = tfds_build("vggface2", many, data, config)
    build_here(
        "vggface2",
        many,
        tmp_path / "expected",
        vggface2_dataset_builder.Config(name="few", n_triplets=50, seed=3),
    )
    wait_for(again)
    assert files_of(data, "vggface2") == files_of(tmp_path / "expected", "vggface2")
    assert [path.name for path in data.glob("vggface2/few/*")] == ["1.0.0"]


def test_two_builds_at_once_do_not_mix_and_the_second_names_the_first(tmp_path):
    manual, data = tmp_path / "manual", tmp_path / "data"
    shutil.copytree(FOLDER / "fec" / "dummy_data" / "faces", manual / "faces")
    rows = (FOLDER / "fec" / "dummy_data" / TRAIN).read_text()
    (manual / TRAIN).write_text(rows * 300)  # takes some seconds
    first = tfds_build("fec", manual, data, "--config=triplets")
    while not is_there(data, "fec/triplets/incomplete.*/*") and first.poll() is None:
        time.sleep(0.002)
    os.kill(first.pid, signal.SIGSTOP)  # for as long as the second takes to start
    second = tfds_build("fec", manual, data, "--config=triplets")
    ends_with_a_sentence(second, 2, f"another build of fec/triplets/1.1.0 (process {first.pid})")
    os.kill(first.pid, signal.SIGCONT)
    wait_for(first)
    assert [path.name for path in data.glob("fec/triplets/*")] == ["1.1.0"]


def test_a_full_disk_ends_a_build_with_a_sentence_and_a_rerun_writes_the_same_files(tmp_path):
    manual, data = FOLDER / "fec" / "dummy_data", tmp_path / "full"
    limited = subprocess.Popen(
        [
            *("bash", "-c", 'ulimit -f 20; exec "$@"', "bash", sys.executable, "-c"),
            "from tensorflow_datasets.scripts.cli.main import launch_cli; launch_cli()",
            *("build", str(FOLDER / "fec"), "--config=triplets"),
            *(f"--manual_dir={manual}", f"--data_dir={data}"),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    ends_with_a_sentence(limited, 2, f"tfds build: {data}: the dataset cannot be written (")
    assert not list(data.glob("fec/triplets/*"))
    again = tfds_build("fec", manual, data, "--config=triplets")
    build_here("fec", manual, tmp_path / "expected", "triplets")
    wait_for(again)
    assert files_of(data, "fec") == files_of(tmp_path / "expected", "fec")


@pytest.mark.parametrize(
    ("name", "config"),
    [("fec", "index"), pytest.param("vggface2", "triplets", marks=pytest.mark.slow)],
)
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


@pytest.mark.slow
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
