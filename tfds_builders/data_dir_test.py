"""Builds on a disk that cannot be written, and beside killed and running builds."""

import os
import resource
import shutil
from pathlib import Path

import pytest
import tensorflow_datasets as tfds

from imagefec import files
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


def test_a_config_that_is_not_built_is_named_with_those_that_are(tmp_path):
    build(tmp_path)
    with pytest.raises(UserError) as refused:
        tfds.load("fec/index", data_dir=tmp_path, split="test")  # the builder is registered
    assert str(refused.value) == (
        f"{tmp_path}: fec/index is not built here, only fec/triplets. Load that, or build it: tfds "
        f"build tfds_builders/fec --config=index --manual_dir=DIR --data_dir={tmp_path}"
    )
    assert not (tmp_path / "fec" / "index").exists()
    with pytest.raises(AssertionError, match="Manual directory"):  # nothing is built
        tfds.load("fec/index", data_dir=tmp_path / "empty", split="test")


def test_errors_of_other_files_are_not_changed(tmp_path):
    shutil.copytree(DUMMY, tmp_path / "manual")
    next((tmp_path / "manual" / "faces").glob("*/*.png")).unlink()
    with pytest.raises(UserError, match=r"No such file or directory.*faces\.csv"):
        build(tmp_path / "data", tmp_path / "manual")
    (tmp_path / "manual" / "exclude.txt").mkdir()
    with pytest.raises(UserError, match=r"exclude\.txt: .*cannot be read"):
        build(tmp_path / "data", tmp_path / "manual")


def test_the_folders_of_killed_builds_are_deleted_and_those_of_other_versions_kept(tmp_path):
    folder = tmp_path / "fec" / "triplets"
    names = "incomplete.KILLED_1.1.0", "incomplete.OTHERS_9.9.9"
    for name in names:
        (folder / name).mkdir(parents=True)
        (folder / name / "part").touch()
    build(tmp_path)
    assert sorted(path.name for path in folder.iterdir()) == ["1.1.0", names[1]]


def test_a_link_that_looks_like_the_folder_of_a_killed_build_leads_to_no_deletion(tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "canary").touch()
    folder = tmp_path / "data" / "fec" / "triplets"
    folder.mkdir(parents=True)
    (folder / "incomplete.LINKED_1.1.0").symlink_to(tmp_path / "outside")
    build(tmp_path / "data")
    assert (tmp_path / "outside" / "canary").exists()
    assert (folder / "1.1.0" / "dataset_info.json").is_file()


def test_a_second_build_of_a_dataset_is_refused_names_the_first_and_leaves_its_folder(tmp_path):
    folder = tmp_path / "fec" / "triplets"
    running = folder / "incomplete.RUNNER_1.1.0"
    running.mkdir(parents=True)
    (tmp_path / "downloads").mkdir()
    with files.file_lock(tmp_path / "downloads" / "fec-triplets-1.1.0.lock"):
        with pytest.raises(
            UserError,
            match=rf"another build of fec/triplets/1\.1\.0 \(process {os.getpid()}\) is writing",
        ):
            build(tmp_path)
        assert [path.name for path in folder.iterdir()] == [running.name]
        fec_dataset_builder.Builder(
            data_dir=tmp_path, config="index"
        ).download_and_prepare(  # another dataset of the same folder
            download_config=tfds.download.DownloadConfig(manual_dir=DUMMY)
        )
    build(tmp_path)


def test_a_format_that_cannot_be_written_here_is_refused_before_any_work(tmp_path):
    builder = fec_dataset_builder.Builder(
        data_dir=tmp_path, config="triplets", file_format="riegeli"
    )
    with pytest.raises(
        UserError, match=r"^--file_format=riegeli requires the package riegeli, .*use tfrecord"
    ):
        builder.download_and_prepare(
            download_config=tfds.download.DownloadConfig(manual_dir=tmp_path / "not read")
        )
