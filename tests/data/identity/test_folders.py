"""Which folders become people and which files photos, and what a user is told of a wrong manual directory."""

import hashlib
import os
import unicodedata

import pytest

from imagefec.data.exclusion import Exclusion
from imagefec.data.identity import folders as folders
from imagefec.errors import UserError

NOBODY = Exclusion()


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


def photos(root, exclusion=NOBODY, split="train", person=0):
    return folders.list_photos(
        folders.list_splits(root, exclusion)[split].people[person], exclusion
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
    splits = folders.list_splits(tmp_path, NOBODY)
    assert names(splits["train"].people) == ["n1", "n2"]
    assert splits["train"].people[1].url == f"{nesting}n2"
    assert list(splits) == ["train"]


def test_the_same_split_in_two_places_is_an_error_that_names_both(tmp_path):
    fill(tmp_path, "a/train/n1/1.jpg", "b/train/n1/1.jpg")
    with pytest.raises(UserError, match=r"a/train and .*b/train are both there.*keep one"):
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
def test_a_directory_without_identity_folders_is_an_error_that_says_what_was_found_and_what_is_wanted(
    tmp_path, content, found
):
    fill(tmp_path, *content)
    with pytest.raises(
        UserError, match=rf"(?s)found {found}.*DIR/train/<identity>/\*\.jpg.*tfds build"
    ):
        folders.find_splits(tmp_path)


def test_a_manual_directory_that_is_none_is_an_error(tmp_path):
    with pytest.raises(UserError, match=r"(?s)nowhere is not a directory.*DIR/train"):
        folders.find_splits(tmp_path / "nowhere")


def test_people_are_sorted_and_labelled_by_name_and_stray_files_counted(tmp_path):
    fill(
        tmp_path,
        "train/n3/1.jpg",
        "train/n1/1.jpg",
        "train/n2/1.jpg",
        "train/list.csv",
        "train/.cache/1.jpg",
        "train/empty/",
    )
    found = folders.list_splits(tmp_path, NOBODY)["train"]
    assert [(p.name, p.label, p.url, p.split) for p in found.people] == [
        (f"n{i}", i - 1, f"train/n{i}", "train") for i in (1, 2, 3)
    ]
    assert found.stray_files == 2
    assert found.left_out == {folders.NO_PICTURES: 1}


def test_of_names_that_differ_in_case_or_coding_of_accents_the_first_stays(tmp_path):
    composed, apart = (unicodedata.normalize(form, "Zoë") for form in ("NFC", "NFD"))
    fill(
        tmp_path,
        "anna/1.jpg",
        "Anna/1.jpg",
        "ANNA/1.jpg",
        f"{composed}/1.jpg",
        f"{apart}/1.jpg",
        "李/1.jpg",
        "Ольга/1.jpg",
    )
    if len(os.listdir(tmp_path)) < 7:
        pytest.skip("this disk takes such names for one")
    found = folders.list_splits(tmp_path, NOBODY)["train"]
    assert names(found.people) == ["ANNA", apart, "Ольга", "李"]
    assert found.left_out == {folders.SAME_NAME: 3}


def test_a_person_of_both_splits_stays_and_is_counted(tmp_path):
    fill(tmp_path, "train/n1/1.jpg", "train/n2/1.jpg", "test/n2/2.jpg", "test/n3/1.jpg")
    splits = folders.list_splits(tmp_path, NOBODY)
    assert names(splits["test"].people) == ["n2", "n3"]
    assert splits["test"].also_in_train == 1


def test_loops_and_second_links_to_a_folder_make_no_second_person(tmp_path):
    fill(tmp_path, "train/n1/1.jpg", "train/n2/1.jpg")
    (tmp_path / "train" / "self").symlink_to("self")
    (tmp_path / "train" / "gone").symlink_to("nowhere")
    (tmp_path / "train" / "up").symlink_to("..")
    (tmp_path / "train" / "a_link_first_by_name").symlink_to("n2")
    (tmp_path / "train" / "n1" / "round.jpg").symlink_to("..")
    (tmp_path / "test").symlink_to("train")
    splits = folders.list_splits(tmp_path, NOBODY)
    assert names(splits["train"].people) == ["n1", "n2"]
    assert splits["train"].left_out == {folders.SAME_FOLDER: 1, folders.NO_PICTURES: 1}
    assert splits["train"].stray_files == 2
    assert list(splits) == ["train"]
    listed = photos(tmp_path)
    assert names(listed.photos) == ["1.jpg"] and listed.stray_files == 1


def test_a_loop_on_the_way_to_the_splits_is_gone_round_once(tmp_path):
    fill(tmp_path, "data/train/n1/1.jpg")
    (tmp_path / "again").symlink_to(tmp_path)
    (tmp_path / "data" / "up").symlink_to("..")
    assert folders.find_splits(tmp_path) == {"train": tmp_path / "data" / "train"}


def test_identity_folders_elsewhere_may_be_linked_in(tmp_path):
    fill(tmp_path, "store/person/1.jpg", "dir/train/")
    (tmp_path / "dir" / "train" / "n1").symlink_to(tmp_path / "store" / "person")
    [photo] = photos(tmp_path / "dir").photos
    assert photo.url == "train/n1/1.jpg" and photo.path.is_file()


def test_names_that_are_no_text_are_left_out_and_counted(tmp_path):
    fill(tmp_path, "train/n1/1.jpg")
    try:
        os.mkdir(os.fsencode(tmp_path) + b"/train/caf\xe9")
    except OSError:
        pytest.skip("this disk takes UTF-8 names only")
    for folder in (b"caf\xe9", b"n1"):
        open(os.fsencode(tmp_path) + b"/train/" + folder + b"/\xff.jpg", "w").close()
    found = folders.list_splits(tmp_path, NOBODY)["train"]
    assert names(found.people) == ["n1"] and found.left_out == {folders.NOT_UTF8: 1}
    listed = photos(tmp_path)
    assert names(listed.photos) == ["1.jpg"] and listed.dropped == {folders.NOT_UTF8: 1}


def test_photos_are_pictures_by_name_and_all_else_is_stray(tmp_path):
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


def test_what_is_no_regular_file_is_never_opened(tmp_path):
    fill(tmp_path, "n1/1.jpg")
    os.mkfifo(tmp_path / "n1" / "2.jpg")  # who opens it waits for ever
    (tmp_path / "n1" / "3.jpg").symlink_to("nowhere.jpg")
    (tmp_path / "n1" / "4.jpg").symlink_to("4.jpg")
    assert [photo.size for photo in photos(tmp_path).photos] == [0, -1, -1, -1]


def test_face_ids_stay_wherever_an_archive_is_unpacked(tmp_path):
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
def test_an_excluded_photo_is_left_out_and_counted_by_whatever_name(tmp_path, name):
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
def test_a_photo_goes_by_its_own_names_and_its_person_s(url, names):
    assert set(folders.names_of(url)) == names


@pytest.mark.parametrize(
    "name", [unicodedata.normalize(form, "Zoë") for form in ("NFC", "NFD")] + ["train/Zoë"]
)
def test_an_excluded_person_is_left_out_however_the_list_codes_accents(tmp_path, name):
    fill(tmp_path, "train/Zoë/1.jpg", "train/n1/1.jpg")
    found = folders.list_splits(tmp_path, Exclusion([name]))["train"]
    assert names(found.people) == ["n1"] and found.left_out == {"excluded": 1}


def test_a_directory_of_excluded_people_is_an_error_with_the_reasons(tmp_path):
    fill(tmp_path, "train/n1/1.jpg", "test/n2/1.jpg")
    assert list(folders.list_splits(tmp_path, Exclusion(["n2"]))) == ["train"]
    with pytest.raises(UserError, match=r"no person is left.*'train': \{'excluded': 1\}"):
        folders.list_splits(tmp_path, Exclusion(["n1", "n2"]))
