"""Which folders are identities, which files are photos, and errors of a wrong manual directory."""

import hashlib
import os
import unicodedata
from pathlib import Path

import pytest

from imagefec.data.exclusion import Exclusion
from imagefec.data.identity import folders
from imagefec.errors import UserError

NO_EXCLUSION = Exclusion()


def fill(root, *paths):
    """Makes empty files; a path that ends with / is a folder."""
    for path in paths:
        target = root / path
        if path.endswith("/"):
            target.mkdir(parents=True, exist_ok=True)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.touch()
    return root


def names(found):
    return [thing.name for thing in found]


def photos(root, exclusion=NO_EXCLUSION, split="train", identity=0):
    return folders.list_photos(
        folders.list_splits(root, exclusion)[split].identities[identity], exclusion
    )


@pytest.mark.parametrize("nesting", ["", "VGGFace2/", "VGGFace2/data/", "downloads/VGGFace2/data/"])
def test_splits_are_found_where_the_archives_unpack_them(tmp_path, nesting):
    fill(
        tmp_path,
        f"{nesting}train/n1/1.jpg",
        f"{nesting}test/n2/1.jpg",
        "bb_landmark/loose_bb_train.csv",
        "readme.txt",
    )
    assert folders.find_splits(tmp_path) == {
        "train": tmp_path / nesting / "train",
        "test": tmp_path / nesting / "test",
    }


def test_splits_are_found_each_in_a_folder_of_its_own_archive(tmp_path):
    fill(tmp_path, "vggface2_train/train/n1/1.jpg", "vggface2_test/test/n2/1.jpg")
    assert folders.find_splits(tmp_path) == {
        "train": tmp_path / "vggface2_train" / "train",
        "test": tmp_path / "vggface2_test" / "test",
    }


@pytest.mark.parametrize("split", ["train", "test"])
def test_one_split_alone_is_enough(tmp_path, split):
    fill(tmp_path, f"{split}/n1/1.jpg", "other/")
    assert list(folders.find_splits(tmp_path)) == [split]


@pytest.mark.parametrize("nesting", ["", "lfw/"])
def test_identity_folders_without_a_split_are_train(tmp_path, nesting):
    fill(tmp_path, f"{nesting}n1/1.jpg", f"{nesting}n2/1.PNG", "labels.csv")
    splits = folders.list_splits(tmp_path, NO_EXCLUSION)
    assert names(splits["train"].identities) == ["n1", "n2"]
    assert splits["train"].identities[1].url == f"{nesting}n2"
    assert list(splits) == ["train"]


def test_the_same_split_in_two_places_is_an_error_that_names_both(tmp_path):
    fill(tmp_path, "a/train/n1/1.jpg", "b/train/n1/1.jpg")
    with pytest.raises(UserError, match=r"a/train and .*b/train both exist.*keep one"):
        folders.find_splits(tmp_path)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ((), "0 folders and 0 files"),
        (("train/1.jpg", "labels.csv"), r"1 folders \(train\) and 1 files"),
        (("train/n1/notes.txt", "test/"), r"2 folders \(test, train\)"),
        (tuple(f"n{i}/" for i in range(7)), r"7 folders \(n0, n1, n2, n3, n4, \.\.\.\)"),
    ],
)
def test_a_directory_without_identity_folders_is_an_error_with_what_was_found_and_required(
    tmp_path, content, found
):
    fill(tmp_path, *content)
    with pytest.raises(
        UserError, match=rf"(?s)found {found}.*DIR/train/<identity>/\*\.jpg.*tfds build"
    ):
        folders.find_splits(tmp_path)


def test_a_manual_directory_that_does_not_exist_is_an_error(tmp_path):
    with pytest.raises(UserError, match=r"(?s)nowhere is not a directory.*DIR/train"):
        folders.find_splits(tmp_path / "nowhere")


def test_identities_are_sorted_and_labelled_by_name_and_stray_files_counted(tmp_path):
    fill(
        tmp_path,
        "train/n3/1.jpg",
        "train/n1/1.jpg",
        "train/n2/1.jpg",
        "train/list.csv",
        "train/.cache/1.jpg",
        "train/empty/",
    )
    found = folders.list_splits(tmp_path, NO_EXCLUSION)["train"]
    assert [(p.name, p.label, p.url, p.split) for p in found.identities] == [
        (f"n{i}", i - 1, f"train/n{i}", "train") for i in (1, 2, 3)
    ]
    assert found.stray_files == 2
    assert found.left_out == {folders.NO_PHOTOS: 1}


def test_the_first_of_names_that_differ_in_case_or_encoding_of_accents_is_used(tmp_path):
    composed, decomposed = (unicodedata.normalize(form, "Zoë") for form in ("NFC", "NFD"))
    fill(
        tmp_path,
        "anna/1.jpg",
        "Anna/1.jpg",
        "ANNA/1.jpg",
        f"{composed}/1.jpg",
        f"{decomposed}/1.jpg",
        "李/1.jpg",
        "Ольга/1.jpg",
    )
    if len(list(tmp_path.iterdir())) < 7:
        pytest.skip("this file system does not distinguish such names")
    found = folders.list_splits(tmp_path, NO_EXCLUSION)["train"]
    assert names(found.identities) == ["ANNA", decomposed, "Ольга", "李"]
    assert found.left_out == {folders.SAME_NAME: 3}


def test_an_identity_in_both_splits_is_used_and_counted(tmp_path):
    fill(tmp_path, "train/n1/1.jpg", "train/n2/1.jpg", "test/n2/2.jpg", "test/n3/1.jpg")
    splits = folders.list_splits(tmp_path, NO_EXCLUSION)
    assert names(splits["test"].identities) == ["n2", "n3"]
    assert splits["test"].also_in_train == 1


def test_loops_and_second_links_to_a_folder_make_no_second_identity(tmp_path):
    fill(tmp_path, "train/n1/1.jpg", "train/n2/1.jpg")
    (tmp_path / "train" / "self").symlink_to("self")
    (tmp_path / "train" / "gone").symlink_to("nowhere")
    (tmp_path / "train" / "up").symlink_to("..")
    (tmp_path / "train" / "a_link_first_by_name").symlink_to("n2")
    (tmp_path / "train" / "n1" / "round.jpg").symlink_to("..")
    (tmp_path / "test").symlink_to("train")
    splits = folders.list_splits(tmp_path, NO_EXCLUSION)
    assert names(splits["train"].identities) == ["n1", "n2"]
    assert splits["train"].left_out == {folders.SAME_FOLDER: 1, folders.NO_PHOTOS: 1}
    assert splits["train"].stray_files == 2
    assert list(splits) == ["train"]
    listed = photos(tmp_path)
    assert names(listed.photos) == ["1.jpg"] and listed.stray_files == 1


def test_a_loop_above_the_splits_is_followed_once(tmp_path):
    fill(tmp_path, "data/train/n1/1.jpg")
    (tmp_path / "again").symlink_to(tmp_path)
    (tmp_path / "data" / "up").symlink_to("..")
    assert folders.find_splits(tmp_path) == {"train": tmp_path / "data" / "train"}


def test_identity_folders_may_be_links_to_other_places(tmp_path):
    fill(tmp_path, "store/person/1.jpg", "dir/train/")
    (tmp_path / "dir" / "train" / "n1").symlink_to(tmp_path / "store" / "person")
    [photo] = photos(tmp_path / "dir").photos
    assert photo.url == "train/n1/1.jpg" and photo.path.is_file()


def test_names_that_are_not_text_are_left_out_and_counted(tmp_path):
    fill(tmp_path, "train/n1/1.jpg")
    try:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/train/caf\xe9")).mkdir()
    except OSError:
        pytest.skip("this file system allows UTF-8 names only")
    for folder in (b"caf\xe9", b"n1"):
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/train/" + folder + b"/\xff.jpg")).touch()
    found = folders.list_splits(tmp_path, NO_EXCLUSION)["train"]
    assert names(found.identities) == ["n1"] and found.left_out == {folders.NOT_UTF8: 1}
    listed = photos(tmp_path)
    assert names(listed.photos) == ["1.jpg"] and listed.dropped == {folders.NOT_UTF8: 1}


def test_photos_have_image_suffixes_and_other_files_are_stray(tmp_path):
    fill(
        tmp_path,
        *(
            f"n1/{name}"
            for name in (
                "b.jpg",
                "a.JPEG",
                "c.png",
                "labels.csv",
                "._b.jpg",
                "Thumbs.db",
                "inner/d.jpg",
            )
        ),
    )
    listed = photos(tmp_path)
    assert names(listed.photos) == ["a.JPEG", "b.jpg", "c.png"]
    assert listed.stray_files == 4


def test_only_regular_files_are_opened(tmp_path):
    fill(tmp_path, "n1/1.jpg")
    os.mkfifo(tmp_path / "n1" / "2.jpg")  # opening it would block indefinitely
    (tmp_path / "n1" / "3.jpg").symlink_to("nowhere.jpg")
    (tmp_path / "n1" / "4.jpg").symlink_to("4.jpg")
    assert [photo.size for photo in photos(tmp_path).photos] == [0, -1, -1, -1]


def test_face_ids_do_not_depend_on_where_an_archive_is_unpacked(tmp_path):
    [flat] = photos(fill(tmp_path / "flat", "train/n1/1.jpg")).photos
    [deep] = photos(fill(tmp_path / "deep", "VGGFace2/data/train/n1/1.jpg")).photos
    assert flat.face_id == deep.face_id == hashlib.sha256(b"train/n1/1.jpg").hexdigest()[:20]
    assert (flat.url, deep.url) == ("train/n1/1.jpg", "VGGFace2/data/train/n1/1.jpg")


@pytest.mark.parametrize(
    "name",
    [
        "n1/2.jpg",
        "VGGFace2/train/n1/2.jpg",
        "train/n1/2.jpg",
        folders.face_id("train", "n1", "2.jpg"),
    ],
)
def test_an_excluded_photo_is_left_out_and_counted_under_each_of_its_names(tmp_path, name):
    fill(tmp_path, "VGGFace2/train/n1/1.jpg", "VGGFace2/train/n1/2.jpg")
    listed = photos(tmp_path, Exclusion([name]))
    assert names(listed.photos) == ["1.jpg"] and listed.dropped == {"excluded": 1}


@pytest.mark.parametrize(
    ("url", "names"),
    [
        ("n1/1.jpg", {"n1/1.jpg", "train/n1/1.jpg", "n1", "train/n1"}),
        (
            "data/test/n1/1.jpg",
            {"data/test/n1/1.jpg", "n1/1.jpg", "test/n1/1.jpg", "n1", "data/test/n1", "test/n1"},
        ),
        (
            "lfw/n1/1.jpg",
            {"lfw/n1/1.jpg", "n1/1.jpg", "train/n1/1.jpg", "n1", "lfw/n1", "train/n1"},
        ),
        ("http://host/n1/1.jpg", {"http://host/n1/1.jpg"}),
        ("1.jpg", {"1.jpg"}),
    ],
)
def test_a_photo_can_be_excluded_by_its_own_names_and_its_identitys(url, names):
    assert set(folders.names_of(url)) == names


@pytest.mark.parametrize(
    "name", [unicodedata.normalize(form, "Zoë") for form in ("NFC", "NFD")] + ["train/Zoë"]
)
def test_an_excluded_identity_is_left_out_however_the_list_encodes_accents(tmp_path, name):
    fill(tmp_path, "train/Zoë/1.jpg", "train/n1/1.jpg")
    found = folders.list_splits(tmp_path, Exclusion([name]))["train"]
    assert names(found.identities) == ["n1"] and found.left_out == {"excluded": 1}


def test_a_directory_of_excluded_identities_only_is_an_error_with_the_reasons(tmp_path):
    fill(tmp_path, "train/n1/1.jpg", "test/n2/1.jpg")
    assert list(folders.list_splits(tmp_path, Exclusion(["n2"]))) == ["train"]
    with pytest.raises(UserError, match=r"no identity folder is left.*'train': \{'excluded': 1\}"):
        folders.list_splits(tmp_path, Exclusion(["n1", "n2"]))


@pytest.mark.parametrize("name", ["val", "validation"])
@pytest.mark.parametrize("nesting", ["", "VGGFace2/data/"])
def test_a_folder_val_or_validation_is_the_split_validation(tmp_path, nesting, name):
    fill(
        tmp_path,
        f"{nesting}train/n1/1.jpg",
        f"{nesting}test/n2/1.jpg",
        f"{nesting}{name}/n1/1.jpg",
        f"{nesting}{name}/n3/1.jpg",
    )
    splits = folders.list_splits(tmp_path, NO_EXCLUSION)
    assert {split: names(found.identities) for split, found in splits.items()} == {
        "train": ["n1"],
        "test": ["n2"],
        "validation": ["n1", "n3"],
    }
    assert [found.also_in_train for found in splits.values()] == [0, 0, 1]
    photo = photos(tmp_path, split="validation").photos[0]
    assert photo.url == f"{nesting}{name}/n1/1.jpg"
    assert photo.face_id == hashlib.sha256(b"validation/n1/1.jpg").hexdigest()[:20]
    assert "validation/n1/1.jpg" in folders.names_of(photo.url)


def test_val_and_validation_together_are_an_error_that_names_both(tmp_path):
    fill(tmp_path, "train/n1/1.jpg", "val/n2/1.jpg", "validation/n3/1.jpg")
    with pytest.raises(UserError, match=r"validation and .*val both exist.*keep one"):
        folders.find_splits(tmp_path)


def test_a_validation_split_alone_or_in_an_archive_of_its_own_is_enough(tmp_path):
    fill(tmp_path / "alone", "val/n1/1.jpg")
    assert folders.find_splits(tmp_path / "alone") == {"validation": tmp_path / "alone/val"}
    fill(tmp_path / "two", "a/train/n1/1.jpg", "b/val/n2/1.jpg")
    assert list(folders.find_splits(tmp_path / "two")) == ["train", "validation"]


def test_an_identity_called_val_stays_an_identity(tmp_path):
    fill(tmp_path, "val/1.jpg", "n1/1.jpg", "validation/n9/1.jpg")
    splits = folders.list_splits(tmp_path, NO_EXCLUSION)
    assert list(splits) == ["train"]
    assert names(splits["train"].identities) == ["n1", "val"]


def test_photos_of_validation_are_excluded_by_their_split(tmp_path):
    fill(tmp_path, "train/n1/1.jpg", "val/n1/1.jpg", "val/n1/2.jpg")
    exclusion = Exclusion(["validation/n1/1.jpg"])
    assert names(photos(tmp_path, exclusion, "validation").photos) == ["2.jpg"]
    assert names(photos(tmp_path, exclusion).photos) == ["1.jpg"]


def test_identity_folders_that_are_links_are_read_and_never_written_to(tmp_path):
    fill(tmp_path, "outside/1.jpg", "manual/train/n1/1.jpg")
    (tmp_path / "manual/train/n2").symlink_to(tmp_path / "outside", target_is_directory=True)
    splits = folders.list_splits(tmp_path / "manual", NO_EXCLUSION)
    assert names(splits["train"].identities) == ["n1", "n2"]
    assert splits["train"].identities[1].url == "train/n2"  # inside, whatever it points to
    assert names((tmp_path / "outside").iterdir()) == ["1.jpg"]
