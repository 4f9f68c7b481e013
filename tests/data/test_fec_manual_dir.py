"""The manual directory of `fec`: where files are found, and the errors if some are missing."""

import pytest

from imagefec.data import fec_manual_dir
from imagefec.errors import UserError

TRAIN = "faceexp-comparison-data-train-public.csv"
TEST = "faceexp-comparison-data-test-public.csv"


@pytest.fixture
def manual(tmp_path):
    (tmp_path / "faces").mkdir()
    (tmp_path / "faces" / "faces.csv").touch()
    return tmp_path


@pytest.mark.parametrize("folder", [".", "FEC_dataset"])
def test_csv_files_are_found_at_the_top_and_as_the_zip_unpacks_them(manual, folder):
    (manual / folder).mkdir(exist_ok=True)
    for name in (TRAIN, TEST):
        (manual / folder / name).touch()
    found = fec_manual_dir.find_manual_files(manual)
    assert found.csv_paths == {"train": manual / folder / TRAIN, "test": manual / folder / TEST}
    assert found.faces_dir == manual / "faces"


def test_one_csv_file_alone_gives_its_split(manual):
    (manual / TEST).touch()
    assert list(fec_manual_dir.find_manual_files(manual).csv_paths) == ["test"]


def test_a_csv_file_in_both_places_is_an_error(manual):
    (manual / "FEC_dataset").mkdir()
    for folder in (".", "FEC_dataset"):
        (manual / folder / TEST).touch()
    with pytest.raises(UserError, match="both exist"):
        fec_manual_dir.find_manual_files(manual)


@pytest.mark.parametrize(
    ("missing", "said"),
    [("csv", "has none of"), ("faces", r"faces\.csv does not exist"), ("all", "not a directory")],
)
def test_an_incomplete_manual_directory_is_an_error_that_names_the_verbs(manual, missing, said):
    if missing != "csv":
        (manual / TRAIN).touch()
    if missing == "faces":
        (manual / "faces" / "faces.csv").unlink()
    with pytest.raises(UserError, match=rf"(?s){said}.*imagefec fetch.*imagefec crop.*tfds build"):
        fec_manual_dir.find_manual_files(manual / "nowhere" if missing == "all" else manual)


def test_settings_are_read_and_their_absence_is_an_error(manual):
    with pytest.raises(UserError, match=r"settings\.json.*imagefec crop"):
        fec_manual_dir.read_settings(manual / "faces")
    (manual / "faces" / "settings.json").write_text('{"detector": "haar"}')
    assert fec_manual_dir.read_settings(manual / "faces") == {"detector": "haar"}
