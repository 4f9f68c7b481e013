"""Folders by label: levels, links, names in every script, and what is left out."""

import os
import unicodedata

import pytest

from imagefec.data.labels.columns import parse_by
from imagefec.data.labels.folders import read_folders
from imagefec.data.labels.source import with_one_spelling
from imagefec.errors import UserError


def found(root, by=()):
    source = with_one_spelling(read_folders(root, parse_by(by)))
    return sorted((face.name, face.label, face.split, face.person) for face in source.faces), source


def test_the_first_level_is_the_label_and_photos_may_lie_deeper(photos):
    photos("joy/a.jpg")
    photos("fear/more/b.png", kind="PNG")
    photos("loose.jpg")
    faces, source = found(photos.root)
    assert faces == [("fear/more/b.png", "fear", "", ""), ("joy/a.jpg", "joy", "", "")]
    assert source.left_out.counts == {"not in a folder that names its label": 1}


def test_splits_are_known_by_their_names(photos):
    for name in ("train/joy/a.jpg", "Val/joy/b.jpg", "test/fear/c.jpg"):
        photos(name)
    assert found(photos.root)[0] == [
        ("Val/joy/b.jpg", "joy", "validation", ""),
        ("test/fear/c.jpg", "fear", "test", ""),
        ("train/joy/a.jpg", "joy", "train", ""),
    ]


def test_labels_that_are_called_like_splits_are_labels_if_photos_are_in_them(photos):
    photos("test/a.jpg")
    photos("train/b.jpg")
    assert [face[1:3] for face in found(photos.root)[0]] == [("test", ""), ("train", "")]


def test_levels_can_be_named(photos):
    photos("s1/ann/joy/1.jpg")
    photos("s1/2.jpg")
    faces, source = found(photos.root, ["folders:-/person/label"])
    assert faces == [("s1/ann/joy/1.jpg", "joy", "", "ann")]
    assert source.left_out.counts == {"not in a folder that names its label": 1}


def test_a_folder_that_names_no_split_is_left_out(photos):
    photos("train/joy/1.jpg")
    photos("raw/joy/2.jpg")
    faces, source = found(photos.root, ["folders:split/label"])
    assert [face[0] for face in faces] == ["train/joy/1.jpg"]
    assert source.left_out.names == {"in a folder that names no split": ["raw/joy/2.jpg"]}


def test_spellings_of_a_label_are_one_label(photos):
    composed = unicodedata.normalize("NFC", "Zärtlichkeit")
    for number, label in enumerate(
        (composed, unicodedata.normalize("NFD", composed), composed.upper(), "ΧΑΡΆ", "χαρά", "χαρά")
    ):
        photos(f"{label}/{number}.jpg")
    photos(f"{composed}/9.jpg")
    faces, source = found(photos.root)
    assert {face[1] for face in faces} == {composed, "χαρά"}
    assert source.merged == {
        composed: [composed.upper(), composed],
        "χαρά": ["ΧΑΡΆ", "χαρά"],
    }


def test_links_lead_to_photos_and_a_photo_of_two_labels_is_found_under_both(photos):
    target = photos("joy/a.jpg")
    (photos.root / "fear").mkdir()
    (photos.root / "fear" / "b.jpg").symlink_to(target)
    (photos.root / "awe").symlink_to(photos.root / "joy")
    (photos.root / "fear" / "gone.jpg").symlink_to("nowhere")
    (photos.root / "fear" / "round").symlink_to(photos.root)
    faces, source = found(photos.root)
    assert ("fear/b.jpg", "fear", "", "") in faces and len(faces) >= 2
    assert source.left_out.counts["broken link"] == 1


def test_a_name_that_is_no_text_is_left_out(photos):
    photos("joy/a.jpg")
    photos("joy/b.jpg").rename(os.fsdecode(os.fsencode(photos.root) + b"/joy/\xff.jpg"))
    faces, source = found(photos.root)
    assert [face[0] for face in faces] == ["joy/a.jpg"]
    assert source.left_out.names == {"name is not UTF-8 text": [r"joy/\udcff.jpg"]}


def test_folders_with_blank_names_name_no_label_and_no_person(photos):
    photos("ann/joy/1.jpg")
    photos("ann/ /2.jpg")
    photos(" \u00a0/joy/3.jpg")
    faces, source = found(photos.root, ["folders:person/label"])
    assert [face[0] for face in faces] == ["ann/joy/1.jpg"]
    assert source.left_out.counts == {"in a folder with a blank name": 2}


def test_a_folder_without_photos_or_labels_is_refused(photos):
    photos.root.mkdir()
    with pytest.raises(UserError, match="no file in this folder or below is an image"):
        found(photos.root)
    photos("a.jpg")
    with pytest.raises(UserError, match="found 1 photos, none of them in folders label/"):
        found(photos.root)
    with pytest.raises(UserError, match="--by=label:… is for tables"):
        found(photos.root, ["label:x"])
