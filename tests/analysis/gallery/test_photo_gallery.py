"""Galleries of image files, found and embedded or read from a file, and of any vectors."""

import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import pairwise_distances

from imagefec import cli
from imagefec.analysis.embed import embed_paths
from imagefec.analysis.gallery import build
from imagefec.analysis.gallery.build import GalleryOptions, make_file_gallery, make_photo_gallery
from imagefec.errors import UserError

ALL = GalleryOptions(queries=99, k=2, max_distance=None)


@pytest.fixture(scope="module")
def photos(faces_dir, tmp_path_factory):
    """A photo of two faces, a copy of it, faces of 128 px, and what shows none."""
    folder = tmp_path_factory.mktemp("own") / "photos"
    folder.mkdir()
    faces = [np.asarray(Image.open(path)) for path in sorted(faces_dir.glob("*/*.png"))]
    # A cascade does not find all faces of the dummy data.
    from imagefec.faces.detectors import make_detector

    found = [image for image in faces if make_detector("auto").detect(image, smallest=0.5)]
    photo = np.full((240, 400, 3), 128, np.uint8)
    photo[50:178, 30:158], photo[60:188, 230:358] = found[0], found[1]
    Image.fromarray(photo).save(folder / "two, faces.png")
    for number, face in enumerate(faces[:4]):
        Image.fromarray(face).save(folder / f"{number}.png")
    Image.fromarray(np.full((300, 200, 3), 90, np.uint8)).save(folder / "wall.png")
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff no picture")
    return folder


@pytest.fixture(scope="module")
def embedded(run, photos, tmp_path_factory):
    return embed_paths(run, photos, tmp_path_factory.mktemp("file") / "own.npz", "skip")


@pytest.fixture
def logged(monkeypatch):
    from imagefec.analysis.gallery import photo_faces, selection, split_faces

    messages = []
    for module in (build, photo_faces, selection, split_faces):
        monkeypatch.setattr(
            module.logging, "warning", lambda text, *args: messages.append(text % args)
        )
    return messages


def shown(html_path):
    """[[(id, caption), …], …]: query first."""
    text = html_path.read_text(encoding="utf-8")
    sections = re.findall(r"<section.*?</section>", text, re.S)
    pattern = r"<code>(.*?)</code>.*?<figcaption>(.*?)</figcaption>"
    return [re.findall(pattern, section, re.S) for section in sections]


def changed(path, out, **columns):
    """A copy of a file with other columns; those that are None are left out."""
    with np.load(path) as file:
        kept = {**file, **columns}
    np.savez(out, **{name: column for name, column in kept.items() if column is not None})
    return out


def test_a_gallery_of_photos_shows_the_nearest_faces_of_other_photos(
    run, photos, embedded, tmp_path, logged
):
    with np.load(embedded) as file:
        ids, paths, vectors = file["ids"].tolist(), file["paths"].tolist(), file["vectors"]
    assert len(ids) == 6 and sum("#" in face_id for face_id in ids) == 2
    page = make_photo_gallery(run, photos, tmp_path, ALL)[1]
    strips = shown(page)
    assert sorted(strip[0][0] for strip in strips) == sorted(ids)
    table = pairwise_distances(vectors.astype(float))
    for (query, caption), *neighbours in strips:
        row = ids.index(query)
        others = [other for other in np.argsort(table[row]) if paths[other] != paths[row]][:2]
        assert caption == "query"
        assert neighbours == [(ids[other], f"{table[row, other]:.3f}") for other in others]
    text = page.read_text(encoding="utf-8")
    assert "5 photos · step 12 · left out: unreadable 1, no face found 1 · 6 faces" in text
    assert "0 means identical" in text and "TPA " not in text  # base64 has no spaces
    assert [line.split(":")[0] for line in logged] == [
        "left out, unreadable",
        "left out, no face found",
    ]


def test_the_file_of_embed_gives_the_same_neighbours(run, photos, embedded, tmp_path):
    of_photos = make_photo_gallery(run, photos, tmp_path / "a", ALL)[1]
    of_file = make_file_gallery(embedded, tmp_path / "b", ALL)[1]
    assert shown(of_file) == shown(of_photos)
    assert "Nearest neighbours: own.npz" in of_file.read_text(encoding="utf-8")


def test_the_picture_of_a_row_is_its_box_or_the_complete_photo(embedded, tmp_path):
    from imagefec.analysis.gallery.photo_faces import faces_of_file
    from imagefec.analysis.vectors.vector_file import read_vector_file
    from imagefec.faces import crop

    file = read_vector_file(embedded)
    faces = faces_of_file(file, False).faces
    row = next(row for row, face_id in enumerate(file.ids) if face_id.endswith("#1"))
    photo = np.asarray(Image.open(file.paths[row]))
    complete = crop.letterbox(photo)[0]
    left, right, top, bottom = file.boxes[row]
    # The face fills its picture: the grown box, scaled to 128 px.
    inside = photo[int(top) : int(bottom), int(left) : int(right)].mean(axis=(0, 1))
    assert np.abs(faces[row][16:112, 16:112].mean(axis=(0, 1)) - inside).max() < 20
    assert not np.array_equal(faces[row], complete)
    whole = next(row for row, face_id in enumerate(file.ids) if "#" not in face_id)
    np.testing.assert_array_equal(faces[whole], np.asarray(Image.open(file.paths[whole])))
    boxes = file.boxes.copy()
    for box in ([np.nan] * 4, [1e9, 2e9, 0, 9], [50, 10, 50, 10]):
        boxes[row] = box
        other = read_vector_file(changed(embedded, tmp_path / "o.npz", boxes=boxes))
        np.testing.assert_array_equal(faces_of_file(other, False).faces[row], complete)
    other = read_vector_file(changed(embedded, tmp_path / "o.npz", boxes=None))
    np.testing.assert_array_equal(faces_of_file(other, False).faces[row], complete)


def test_queries_may_be_names_of_photos_with_commas(embedded, photos, tmp_path):
    options = GalleryOptions("two, faces.png, 0.png," + str(photos / "1.png"), k=2)
    page = make_file_gallery(embedded, tmp_path, options)[1]
    assert [strip[0][0] for strip in shown(page)] == [
        f"{photos}/two, faces.png#1",
        f"{photos}/two, faces.png#2",
        f"{photos}/0.png",
        f"{photos}/1.png",
    ]
    for queries, said in (
        ("nobody.png", "query 'nobody.png': there is no such face"),
        ("0.png,0.png", "more than once"),
        (f"two, faces.png,{photos}/two, faces.png#2", "more than once"),
    ):
        with pytest.raises(UserError, match=said):
            make_file_gallery(embedded, tmp_path, GalleryOptions(queries, k=2))


def test_names_of_photos_are_excluded_and_unknown_ones_counted(embedded, photos, tmp_path, logged):
    (tmp_path / "list.txt").write_text(f"two, faces.png\n{photos}/1.png\nnobody.png\n# note\n")
    options = GalleryOptions(99, k=1, exclude=tmp_path / "list.txt")
    page = make_file_gallery(embedded, tmp_path, options)[1]
    assert {face_id for strip in shown(page) for face_id, _ in strip} == {
        f"{photos}/{name}.png" for name in (0, 2, 3)
    }
    assert logged == [
        f"{tmp_path / 'list.txt'}: 1 of 3 entries match nothing here, such as nobody.png"
    ]
    with pytest.raises(UserError, match="exclusion file excludes it"):
        make_file_gallery(
            embedded, tmp_path, GalleryOptions("1.png", k=1, exclude=tmp_path / "list.txt")
        )


def test_rows_without_vector_or_picture_are_left_out_and_counted(embedded, tmp_path, logged):
    with np.load(embedded) as file:
        vectors, ids = file["vectors"].copy(), file["ids"].tolist()
        paths = file["paths"].astype("<U300")
    vectors[0] = np.nan
    paths[1] = str(tmp_path / "gone.png")
    paths[2] = str(tmp_path / "broken.png")
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    path = changed(embedded, tmp_path / "v.npz", vectors=vectors, paths=paths)
    facts = {}
    page = make_file_gallery(path, tmp_path / "out", ALL, facts=facts)[1]
    assert {face_id for strip in shown(page) for face_id, _ in strip} == set(ids[3:])
    assert [line.split(":")[0] for line in logged] == [
        "left out, vector not finite",
        "left out, no such file",
        "left out, cannot be read",
    ]
    assert "left out: vector not finite 1, no such file 1" in (page.read_text(encoding="utf-8"))
    reasons = ("vector not finite", "no such file", "cannot be read")
    assert facts["left_out"] == dict.fromkeys(reasons, 1)


def test_vectors_of_other_lengths_have_no_limit_of_distance_unless_given(
    embedded, data, data_dir, tmp_path
):
    vectors = np.random.default_rng(1).normal(size=(9, 4)) * 100
    path = tmp_path / "any.npz"
    np.savez(path, ids=np.array(data.face_ids), vectors=vectors)
    page = make_file_gallery(
        path, tmp_path, GalleryOptions(9, k=3), data_dir=data_dir, split="train"
    )[1]
    table = pairwise_distances(vectors)
    for (query, _), *neighbours in shown(page):
        row = data.face_ids.index(query)
        order = [other for other in np.argsort(table[row]) if data.urls[other] != data.urls[row]]
        assert neighbours == [(data.face_ids[o], f"{table[row, o]:.3f}") for o in order[:3]]
    text = page.read_text(encoding="utf-8")
    assert "unit length" not in text and "9 faces, 3 nearest<" in text and "TPA" in text
    options = GalleryOptions(9, k=3, max_distance=0.5)
    page = make_file_gallery(path, tmp_path, options, data_dir, split="train")[1]
    assert all(len(strip) == 1 for strip in shown(page))
    page = make_file_gallery(path, tmp_path, options, data_dir, split="train", normalise=True)[1]
    assert "unit length" in page.read_text(encoding="utf-8")


def test_faces_of_a_split_without_a_vector_are_not_shown_but_counted(
    data, data_dir, tmp_path, logged
):
    path, facts = tmp_path / "part.npz", {}
    vectors = np.eye(7)
    vectors[6] = np.nan
    np.savez(path, ids=np.array(data.face_ids[:7]), vectors=vectors)
    options = GalleryOptions(99, k=1, space="train,train[:50%]")  # which has no other faces
    page = make_file_gallery(path, tmp_path, options, data_dir, split="train", facts=facts)[1]
    assert facts["left_out"] == {"vector not finite": 1, "not in the file": 2}
    assert facts["n_faces"] == 6
    counts = "(vector not finite: 1, not in the file: 2)"
    said = f"{path}: 3 of 9 faces have no vector {counts}; they are not shown (split train)."
    assert logged.count(said) == 1
    text = page.read_text(encoding="utf-8")
    assert "left out: vector not finite 1, not in the file 2 · 6 faces, 1 nearest" in text
    assert {face_id for strip in shown(page) for face_id, _ in strip} <= set(data.face_ids[:6])
    with pytest.raises(UserError, match="has no vector or picture"):
        make_file_gallery(
            path, tmp_path, GalleryOptions(data.face_ids[7], k=1), data_dir, split="train"
        )


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["wall.png"], "0 of 0 faces remain; a gallery requires two or more. Give more photos"),
        (["0.png"], "1 of 1 faces remain"),
        (["two, faces.png"], "all 2 faces are of one photo, file://.*Give more photos"),
        (["0.png", "1.png"], "k = 4 neighbours: it must be 1 to 1"),
        ([], "no file in this folder or below is an image"),
    ],
)
def test_too_few_photos_are_refused_and_nothing_is_written(names, said, run, photos, tmp_path):
    (tmp_path / "some").mkdir()
    for name in names:
        shutil.copy(photos / name, tmp_path / "some")
    with pytest.raises(UserError, match=said):
        make_photo_gallery(run, tmp_path / "some", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_files_that_give_no_gallery_are_refused(embedded, tmp_path):
    with np.load(embedded) as file:
        columns = dict(file)
    gone = np.char.add("elsewhere/", columns["paths"])
    twice = np.r_[columns["ids"][:-1], columns["ids"][:1]]
    no_paths = np.array(["", ".", "\0", "x" * 5000, "\udcff", "/dev/zero"])
    for changes, said in (
        ({"paths": no_paths}, "none of its 6 paths is a file"),
        ({"paths": None}, "it has no paths, so there is no picture to show. Give --data_dir"),
        ({"paths": gone}, "none of its 6 paths is a file, the first: elsewhere/.*run this where"),
        ({"ids": twice}, "rows 0 and 5 .* but their vectors differ"),
    ):
        path = changed(embedded, tmp_path / "v.npz", **changes)
        with pytest.raises(UserError, match=said):
            make_file_gallery(path, tmp_path / "out", ALL)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--run=RUN"], "give --data_dir .* or --photos"),
        (["--run=RUN", "--photos=PHOTOS", "--data_dir=DATA"], "one of them"),
        (["--embeddings=FILE", "--photos=PHOTOS"], "give --run instead of --embeddings"),
        (["--embeddings=FILE", "--queries=0"], "queries = 0"),
        (["--embeddings=FILE", "--faces=-1"], "faces = -1: it must be 0 .* or more"),
        (["--embeddings=FILE", "--k=6"], "k = 6 neighbours: it must be 1 to 5"),
    ],
)
def test_the_verb_refuses_what_does_not_go_together(
    flags, said, run, photos, embedded, data_dir, tmp_path, capsys
):
    words = {"RUN": run, "PHOTOS": photos, "FILE": embedded, "DATA": data_dir}
    flags = [re.sub("RUN|PHOTOS|FILE|DATA", lambda word: str(words[word[0]]), f) for f in flags]
    assert cli.main(["gallery", *flags, f"--out={tmp_path}"]) == 2
    assert re.search(said, capsys.readouterr().err)


def test_the_verb_makes_a_gallery_of_photos_and_prints_its_path(run, photos, tmp_path, capsys):
    argv = ["gallery", f"--run={run}", "--photos", str(photos), "--k=2", f"--out={tmp_path}"]
    assert cli.main(argv) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(tmp_path / "gallery.html")
    assert cli.main([*argv, "--on_no_face=whole", "--max_distance=auto"]) == 0
    text = (tmp_path / "gallery.html").read_text(encoding="utf-8")
    assert "wall.png" in text and "Open a face to make it the query" in text
    assert cli.main([*argv, "--faces=0"]) == 0
    assert "<script" not in (tmp_path / "gallery.html").read_text(encoding="utf-8")
    with pytest.raises(SystemExit):
        cli.main([*argv, "--max_distance=far"])


def test_annotations_of_photos_are_on_the_sheet_and_columns_of_the_page(
    run, photos, embedded, tmp_path, capsys
):
    with np.load(embedded) as file:
        ids = file["ids"].tolist()
    lines = [f'"{name}",{"<b>awe</b>" if row % 2 else "joy"}' for row, name in enumerate(ids[:-1])]
    known = tmp_path / "known.csv"
    known.write_text("\n".join(["id,label", *lines]))
    argv = ["gallery", f"--run={run}", "--photos", str(photos), "--k=2", f"--out={tmp_path}"]
    assert cli.main([*argv, f"--annotations={known}", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["annotations"]["n_label"] == len(ids) - 1 and facts["disjoint"] is None
    text = (tmp_path / "gallery.html").read_text(encoding="utf-8")
    walk = json.loads(re.search(r'id="data">(.*?)</script>', text, re.S)[1])
    (column,) = walk["columns"]  # no person is known
    of_id = {name: [column["values"][n] for n in of] for name, of in zip(walk["ids"], column["of"])}
    expected = {name: ["<b>awe</b>" if row % 2 else "joy"] for row, name in enumerate(ids[:-1])}
    assert column["name"] == "label" and of_id == expected | {ids[-1]: []}
    assert "<b>awe" not in text
