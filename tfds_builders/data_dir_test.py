"""Builds on a disk that cannot be written, and beside killed and running builds."""

import fcntl
import os
import resource
import shutil
from pathlib import Path

import pytest
import tensorflow_datasets as tfds

from imagefec.errors import UserError
from tfds_builders.fec import fec_dataset_builder

DUMMY = Path(__file__).parent / "fec" / "dummy_data"


def build(data_dir, manual_dir=DUMMY):
    builder = fec_dataset_builder.Builder(data_dir=data_dir, config="triplets")
    builder.download_and_prepare(
        download_config=tfds.download.DownloadConfig(manual_dir=manual_dir)
    )


def test_a_full_disk_is_a_user_error_and_leaves_no_partial_dataset(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))  # train's file grows larger
    try:
        with pytest.raises(
            UserError,
            match=rf"^{tmp_path}: the dataset cannot be written .*fec-train.*too large.*Make room",
        ):
            build(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list(tmp_path.glob("fec/triplets/*"))
    build(tmp_path)


def test_a_data_dir_that_is_a_file_is_a_user_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(
        UserError,
        match=rf"^{tmp_path}/file: the dataset cannot be written \(Not a directory.*--data_dir",
    ):
        build(tmp_path / "file")


def test_errors_of_other_files_are_not_changed(tmp_path):
    shutil.copytree(DUMMY, tmp_path / "manual")
    next((tmp_path / "manual" / "faces").glob("*/*.png")).unlink()
    with pytest.raises(UserError, match=r"No such file or directory.*faces\.csv"):
        build(tmp_path / "data", tmp_path / "manual")
    (tmp_path / "manual" / "exclude.txt").mkdir()
    with pytest.raises(UserError, match=r"exclude\.txt: .*cannot be read"):
        build(tmp_path / "data", tmp_path / "manual")


def test_the_folder_of_a_killed_build_is_deleted_and_that_of_a_running_one_is_not(tmp_path):
    names = "incomplete.KILLED_1.1.0", "incomplete.OTHERS_9.9.9", "incomplete.RUNNER_1.1.0"
    for name in names:
        (tmp_path / "fec" / "triplets" / name).mkdir(parents=True)
        (tmp_path / "fec" / "triplets" / name / "part").touch()
    running = os.open(tmp_path / "fec" / "triplets" / names[2], os.O_RDONLY)
    fcntl.flock(running, fcntl.LOCK_EX)
    try:
        build(tmp_path)
    finally:
        os.close(running)
    assert sorted(path.name for path in (tmp_path / "fec" / "triplets").iterdir()) == [
        "1.1.0",
        *names[1:],
    ]
