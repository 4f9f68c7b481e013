"""Finding images: what a folder gives, what is left out and counted, and what is refused."""

import os
import socket
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imagefec.errors import UserError
from imagefec.faces.image_files import LeftOut, find_images


def save(path, suffix=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(path, suffix)
    return path


def names(found, folder):
    return [path.relative_to(folder).as_posix() for path in found.paths]


def left_out(found, folder):
    return {
        reason: [os.path.relpath(name, folder) for name in each]
        for reason, each in found.left_out.names.items()
    }


def test_images_of_folders_are_sorted_and_distinct(tmp_path):
    for name in ("b/2.JPG", "b/1.png", "a.webp"):
        save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("of the photographer")
    found = find_images([tmp_path / "b" / "2.JPG", tmp_path, tmp_path / "notes.txt"])
    assert names(found, tmp_path) == ["b/2.JPG", "a.webp", "b/1.png", "notes.txt"]
    assert found.named == {tmp_path / "b" / "2.JPG", tmp_path / "notes.txt"}
    assert left_out(found, tmp_path) == {
        "no image": ["notes.txt"],
        "same file as an earlier one": ["b/2.JPG"],
    }


@pytest.mark.parametrize(
    "suffix",
    ["jfif", "jpe", "JPEG", "avif", "heic", "HEIF", "tif", "webp", "bmp", "gif", "jp2", "mpo"],
)
def test_a_file_with_the_suffix_of_an_image_is_one_whatever_it_holds(tmp_path, suffix):
    (tmp_path / f"a.{suffix}").write_bytes(b"")
    assert names(find_images(tmp_path), tmp_path) == [f"a.{suffix}"]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "BMP", "AVIF"])
def test_an_image_without_its_suffix_is_told_by_its_content(tmp_path, kind):
    save(tmp_path / "scan", kind)
    save(tmp_path / "scan.data", kind)
    (tmp_path / "text").write_text("BMW, GIF and PNG are words")
    found = find_images(tmp_path)
    assert names(found, tmp_path) == ["scan", "scan.data"]
    assert left_out(found, tmp_path) == {"no image": ["text"]}


def test_a_heic_file_without_its_suffix_is_told_by_its_content(tmp_path):
    (tmp_path / "IMG_1").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    (tmp_path / "film").write_bytes(b"\0\0\0\x18ftypisom\0\0\0\0isomiso2")
    assert names(find_images(tmp_path), tmp_path) == ["IMG_1"]


def test_hidden_files_and_folders_are_left_out_and_counted(tmp_path):
    for name in (
        "a.jpg",
        ".b.jpg",
        ".ipynb_checkpoints/a.jpg",
        "__MACOSX/sub/a.jpg",
        "sub/.cache/a.jpg",
    ):
        save(tmp_path / name)
    (tmp_path / "._a.jpg").write_bytes(b"\0\5\x16\7Mac OS X")
    found = find_images(tmp_path)
    assert names(found, tmp_path) == ["a.jpg"]
    assert left_out(found, tmp_path) == {
        "hidden": ["._a.jpg", ".b.jpg", ".ipynb_checkpoints", "__MACOSX", "sub/.cache"]
    }
    assert found.left_out.counts == {"hidden": 5}


def test_a_hidden_file_or_folder_that_is_named_is_taken(tmp_path):
    save(tmp_path / ".pictures" / "a.jpg")
    assert names(find_images(tmp_path / ".pictures"), tmp_path) == [".pictures/a.jpg"]
    assert names(find_images(tmp_path / ".pictures" / "a.jpg"), tmp_path) == [".pictures/a.jpg"]


def test_links_are_followed_but_not_in_a_circle_and_no_file_counts_twice(tmp_path):
    elsewhere = save(tmp_path / "elsewhere" / "far.jpg").parent
    folder = save(tmp_path / "folder" / "a.jpg").parent
    (folder / "to_elsewhere").symlink_to(elsewhere)
    (folder / "sub").mkdir()
    (folder / "sub" / "up").symlink_to("..")
    (folder / "sub" / "same.jpg").symlink_to("../a.jpg")
    os.link(folder / "a.jpg", folder / "sub" / "hard.jpg")
    (folder / "sub" / "self.jpg").symlink_to("self.jpg")
    (folder / "gone.jpg").symlink_to("nowhere.jpg")
    found = find_images(folder)
    assert names(found, folder) == ["a.jpg", "to_elsewhere/far.jpg"]
    assert left_out(found, folder) == {
        "broken link": ["gone.jpg", "sub/self.jpg"],
        "same folder as an earlier one": ["sub/up"],
        "same file as an earlier one": ["sub/hard.jpg", "sub/same.jpg"],
    }


def test_a_fifo_or_socket_is_never_opened(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the path of a socket must be short
    save(tmp_path / "a.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind("socket.jpg")
        found = find_images(tmp_path)
        assert names(found, tmp_path) == ["a.jpg"]
        assert left_out(found, tmp_path) == {"neither file nor folder": ["pipe.jpg", "socket.jpg"]}
        for path in (tmp_path / "pipe.jpg", Path("socket.jpg"), "/dev/zero"):
            with pytest.raises(UserError, match="a FIFO, a socket or a device, not a file"):
                find_images(path)


def test_the_first_names_are_reported_and_the_rest_are_counted(tmp_path):
    save(tmp_path / "a.jpg")
    for n in range(9):
        (tmp_path / f"{n}.txt").touch()
    found = find_images(tmp_path).left_out
    assert found.counts == {"no image": 9}
    shown = ", ".join(str(tmp_path / f"{n}.txt") for n in range(5))
    assert found.lines() == [f"no image: 9, the first: {shown}"]
    assert found.as_json()["no image"]["count"] == 9
    assert len(found.as_json()["no image"]["first"]) == 5


def test_paths_without_images_are_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").touch()
    with pytest.raises(UserError, match=r"empty: no file in .* Left out: no image: 1, .*notes"):
        find_images(tmp_path / "empty")
    with pytest.raises(UserError, match=r"gone\.png: no such file"):
        find_images([tmp_path / "gone.png"])
    with pytest.raises(UserError, match=r"notes\.txt/a\.png: no such file"):
        find_images([tmp_path / "empty" / "notes.txt" / "a.png"])
    with pytest.raises(UserError, match="No image was given"):
        find_images([])
    with pytest.raises(UserError, match="'', which is not a path"):
        find_images([""])


@pytest.mark.parametrize("wrong", [None, 5, b"a.jpg", [b"a.jpg"], [None]])
def test_paths_of_another_type_are_refused(wrong):
    with pytest.raises(ValueError, match="path"):
        find_images(wrong)


def test_a_line_shows_any_name_as_printable_text_of_bounded_length():
    left_out = LeftOut()
    left_out.add("gone", "a\nb\udcff" + "x" * 2000)
    assert left_out.lines() == ["gone: 1, a\\nb\\xff" + "x" * 992 + "…"]
