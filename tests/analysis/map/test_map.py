"""What `map` writes for a split, for photos and for files of vectors, and its errors."""

import base64
import io
import json
import re
import shutil
from html.parser import HTMLParser

import numpy as np
import pytest
from absl import logging
from PIL import Image

from imagefec import cli
from imagefec.analysis.map import page_data, sources, write
from imagefec.analysis.map.build import MapOptions, make_map
from imagefec.analysis.map.faces import MapFaces
from imagefec.errors import UserError

PCA = MapOptions(method="pca")


@pytest.fixture(scope="module")
def made(run, data_dir, tmp_path_factory):
    out = tmp_path_factory.mktemp("map") / "new"
    found = make_map(lambda: sources.faces_of_run(run, data_dir, "fec", "train"), out, PCA)
    return out, found


@pytest.fixture
def own(tmp_path):
    """A file of vectors of six pictures, and its folder."""
    for number in range(6):
        Image.new("RGB", (40, 30), (40 * number, 90, 200)).save(tmp_path / f"{number}.png")
    paths = [str(tmp_path / f"{number}.png") for number in range(6)]
    return own_file(tmp_path, paths, np.eye(6, dtype=np.float32))


def own_file(folder, paths, vectors, **more):
    np.savez(folder / "own.npz", paths=paths, vectors=vectors, **more)
    return folder / "own.npz"


@pytest.fixture
def logged(monkeypatch):
    messages = []
    monkeypatch.setattr(logging, "warning", lambda text, *args: messages.append(text % args))
    return messages


def of_file(path, out, options=PCA):
    return make_map(lambda: sources.faces_of_file(path, None, "fec", "test", False), out, options)


def data_of(out):
    text = (out / "map.html").read_text(encoding="utf-8")
    return json.loads(re.search(r'id="data">(.*?)</script>', text, re.S)[1])


def floats(text):
    return np.frombuffer(base64.b64decode(text), "<f4")


def table_of(out):
    parquet = pytest.importorskip("pyarrow.parquet")
    return parquet.read_table(out / "faces.parquet").to_pydict()


def test_a_folder_has_page_projector_and_table(made):
    out, found = made
    assert found["path"] == str(out / "map.html") and found["n_faces"] == found["n_shown"] == 9
    assert found["method"] == "pca" and 0 < found["explained_variance"] <= 1
    assert {path.name for path in out.iterdir()} == {
        *("map.html", "projector", "faces.parquet", ".map.lock")
    }
    assert len((out / "projector" / "tensors.tsv").read_text().splitlines()) == 9


def test_the_page_has_the_vectors_places_and_faces_of_the_split(made, data, embedder):
    shown = data_of(made[0])
    assert shown["ids"] == data.face_ids and shown["urls"] == data.urls
    vectors = floats(shown["vectors"]).reshape(9, -1)
    np.testing.assert_allclose(vectors, embedder.embed(data.faces), atol=1e-5)
    assert floats(shown["points"]).shape == (18,)
    same_photo = np.array(data.urls)[:, None] == np.array(data.urls)[None]
    codes = np.array(shown["photos"])
    np.testing.assert_array_equal(codes[:, None] == codes[None], same_photo)
    sprite = base64.b64decode(shown["sprite"]["url"].split(",")[1])
    assert Image.open(io.BytesIO(sprite)).size == (192, 192)


def test_the_page_requests_nothing_and_its_tags_are_closed(made):
    text = (made[0] / "map.html").read_text(encoding="utf-8")
    seen = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag, attributes):
            assert tag not in ("link", "iframe", "base", "img")
            assert not {"src", "href", "onclick"} & dict(attributes).keys()
            if tag not in ("meta", "input"):
                seen.append(tag)

        def handle_endtag(self, tag):
            assert seen.pop() == tag

    Reader().feed(text)
    assert not seen and "@import" not in text and "default-src 'none'" in text
    assert "variance of the embeddings" in text and "Trustworthiness" in text and "TPA" in text


def test_the_table_has_ids_boxes_vectors_and_pictures(made, data, embedder):
    rows = table_of(made[0])
    assert list(rows) == [
        *("id", "url", "left", "top", "right", "bottom", "box_unit"),
        *("x", "y", "embedding", "thumbnail"),
    ]
    assert rows["id"] == data.face_ids and set(rows["box_unit"]) == {"fraction"}
    np.testing.assert_allclose(rows["embedding"], embedder.embed(data.faces), atol=1e-5)
    np.testing.assert_allclose(np.stack([rows["x"], rows["y"]], 1), points_of(made[0]))
    picture = rows["thumbnail"][0]
    assert picture["path"] is None
    assert Image.open(io.BytesIO(picture["bytes"])).size == (96, 96)


def points_of(out):
    return floats(data_of(out)["points"]).reshape(-1, 2)


def test_the_boxes_are_those_of_the_csv_files(made, faces_dir):
    from imagefec.data.fec_csv import read_rows

    boxes = {
        face.face_id: face.box.sides
        for path in faces_dir.parent.glob("faceexp*train*.csv")
        for row in read_rows(path)
        for face in row.faces
    }
    rows = table_of(made[0])
    for face_id, *sides in zip(*(rows[n] for n in ("id", "left", "right", "top", "bottom"))):
        np.testing.assert_allclose(sides, boxes[face_id], rtol=1e-6)


def test_the_same_faces_make_the_same_files(made, run, data_dir, tmp_path):
    make_map(lambda: sources.faces_of_run(run, data_dir, "fec", "train"), tmp_path / "b", PCA)
    for path in made[0].rglob("*"):
        if path.is_file():
            assert path.read_bytes() == (tmp_path / "b" / path.relative_to(made[0])).read_bytes()


def test_what_is_known_becomes_columns(run, data_dir, data, tmp_path):
    plain = sources.faces_of_run(run, data_dir, "fec", "train")
    label = ["joy", "fear", "joy", "", "fear", "joy", "<b>", "joy", "joy"]
    make_map(lambda: MapFaces(plain.data, plain.boxes, {"label": label}), tmp_path, PCA)
    column = data_of(tmp_path)["known"][0]
    assert column["name"] == "label" and column["values"] == ["joy", "fear", "<b>"]
    assert column["codes"] == [0, 1, 0, -1, 1, 0, 2, 0, 0]
    header = (tmp_path / "projector" / "metadata.tsv").read_text().splitlines()[0]
    assert header == "id\turl\tlabel"
    assert table_of(tmp_path)["label"] == [text or None for text in label]


def test_tables_of_labels_and_persons_become_columns(run, data_dir, data, tmp_path, capsys):
    known = tmp_path / "known.csv"
    lines = [f"{name},{'ab'[row % 2]},p{row % 3}" for row, name in enumerate(data.face_ids[:-1])]
    known.write_text("\n".join(["id,label,person", *lines]))
    argv = ["map", f"--run={run}", f"--data_dir={data_dir}", "--split=train", "--method=pca"]
    assert cli.main([*argv, f"--annotations={known}", f"--out={tmp_path / 'm'}"]) == 0
    label, person = data_of(tmp_path / "m")["known"]
    assert (label["name"], label["values"]) == ("label", ["a", "b"])
    assert (person["name"], person["values"]) == ("person", ["p0", "p1", "p2"])
    assert label["codes"] == [0, 1, 0, 1, 0, 1, 0, 1, -1]
    assert person["codes"] == [0, 1, 2, 0, 1, 2, 0, 1, -1]
    assert table_of(tmp_path / "m")["person"] == ["p0", "p1", "p2"] * 2 + ["p0", "p1", None]
    known.write_text("id,label\nnobody,a\n")
    assert cli.main([*argv, f"--annotations={known}", f"--out={tmp_path / 'm'}"]) == 2
    assert "is a face of this map" in capsys.readouterr().err


def test_two_urls_of_one_photo_are_one_photo(own, tmp_path):
    urls = [f"https://live.staticflickr.com/1/123456_0123456789_{size}.jpg" for size in "mb"]
    urls += [f"https://photos.example/{n}.jpg" for n in range(4)]
    with np.load(own) as columns:
        path = own_file(tmp_path, columns["paths"], columns["vectors"], urls=urls)
    of_file(path, tmp_path / "m")
    assert data_of(tmp_path / "m")["photos"] == [0, 0, 1, 2, 3, 4]


def test_the_page_shows_a_sample_and_the_other_files_all(own, tmp_path):
    found = of_file(own, tmp_path / "m", MapOptions("pca", shown=4, seed=1))
    assert (found["n_faces"], found["n_shown"]) == (6, 4)
    assert len(data_of(tmp_path / "m")["ids"]) == 4 and len(table_of(tmp_path / "m")["id"]) == 6
    assert "4 of 6 faces" in (tmp_path / "m" / "map.html").read_text()


@pytest.mark.parametrize("n", [1, 2, 3])
def test_a_few_faces_make_a_map(n, own, tmp_path):
    with np.load(own) as columns:
        path = own_file(tmp_path, columns["paths"][:n], columns["vectors"][:n])
    found = of_file(path, tmp_path / "m", MapOptions("tsne"))
    assert (found["n_faces"], found["method"]) == (n, "pca")


def test_equal_vectors_make_a_map_that_says_so(own, tmp_path):
    with np.load(own) as columns:
        path = own_file(tmp_path, columns["paths"], np.ones((6, 3), np.float32))
    of_file(path, tmp_path / "m", MapOptions("tsne"))
    assert "All vectors are equal" in (tmp_path / "m" / "map.html").read_text()


def test_vectors_beyond_float32_keep_their_values(own, tmp_path):
    huge = np.random.default_rng(0).normal(size=(6, 3)) * 1e90
    with np.load(own) as columns:
        path = own_file(tmp_path, columns["paths"], huge)
    of_file(path, tmp_path / "m")
    shown = data_of(tmp_path / "m")
    assert shown["vector_type"] == "float64"
    np.testing.assert_array_equal(
        np.frombuffer(base64.b64decode(shown["vectors"]), "<f8").reshape(6, 3), huge
    )
    np.testing.assert_array_equal(table_of(tmp_path / "m")["embedding"], huge)


def test_faces_without_a_vector_or_picture_are_counted(own, tmp_path, logged):
    with np.load(own) as columns:
        paths, vectors = columns["paths"], columns["vectors"]
    vectors[2, 0] = np.nan
    (tmp_path / "4.png").write_bytes(b"no picture")
    path = own_file(tmp_path, paths, vectors, boxes=np.array([[0, 10, 5, 20]] * 6))
    found = of_file(path, tmp_path / "m")
    assert (
        found["n_faces"] == 5
        and found["unreadable"]["picture cannot be read, shown grey"]["count"] == 1
    )
    text = (tmp_path / "m" / "map.html").read_text()
    assert "left out: vector not finite 1" in text
    assert "picture cannot be read, shown grey: 1" in text
    assert logged == [
        f"left out, vector not finite: 1, {paths[2]}",
        f"picture cannot be read, shown grey: 1, {paths[4]}",
    ]
    rows = table_of(tmp_path / "m")
    assert [rows[name][0] for name in ("left", "top", "right", "bottom")] == [0, 5, 10, 20]
    assert rows["box_unit"][0] == "pixel"


def test_excluded_faces_are_in_no_file(own, tmp_path, logged):
    (tmp_path / "not.txt").write_text("1.png\nnobody.png\n")
    found = of_file(own, tmp_path / "m", MapOptions("pca", exclude=tmp_path / "not.txt"))
    assert found["n_faces"] == 5
    assert logged == [f"{tmp_path}/not.txt: 1 of 2 entries match nothing here, such as nobody.png"]
    for path in (tmp_path / "m").rglob("*"):
        assert path.is_dir() or b"1.png" not in path.read_bytes()


def test_no_face_is_an_error(own, tmp_path):
    (tmp_path / "not.txt").write_text("\n".join(f"{n}.png" for n in range(6)))
    with pytest.raises(UserError, match=r"no face remains after the exclusions of .*not\.txt"):
        of_file(own, tmp_path / "m", MapOptions("pca", exclude=tmp_path / "not.txt"))


def test_a_run_that_diverged_is_an_error(run, data_dir, tmp_path):
    def load():
        found = sources.faces_of_run(run, data_dir, "fec", "train")
        object.__setattr__(found.data, "embed", lambda: np.full((9, 6), np.nan))
        return found

    with pytest.raises(UserError, match="not finite, so the training diverged"):
        make_map(load, tmp_path / "m", PCA)


def missing(_doing):
    raise UserError("not installed")


def test_without_pyarrow_the_table_is_left_out_and_an_old_one_removed(
    own, tmp_path, logged, monkeypatch
):
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "faces.parquet").write_bytes(b"of an earlier map")
    monkeypatch.setattr(write, "import_pyarrow", missing)
    assert of_file(own, tmp_path / "m")["table"] is None
    assert not (tmp_path / "m" / "faces.parquet").exists()
    assert logged == ["faces.parquet is left out: it requires pyarrow; pip install pyarrow"]


@pytest.mark.parametrize("name", ["map.html", "faces.parquet"])
def test_a_folder_in_the_place_of_a_file_is_refused_before_any_work(own, tmp_path, name):
    (tmp_path / "m" / name).mkdir(parents=True)
    with pytest.raises(UserError, match="is a folder"):
        make_map(pytest.fail, tmp_path / "m", PCA)


def test_the_verb_prints_the_page_or_json(own, tmp_path, capsys):
    argv = ["map", f"--embeddings={own}", f"--out={tmp_path / 'm'}", "--method=pca"]
    assert cli.main(argv) == 0
    assert capsys.readouterr().out.splitlines() == [str(tmp_path / "m" / "map.html")]
    assert cli.main([*argv, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["n_faces"] == 6


def test_photos_are_found_embedded_and_shown(run, faces_dir, tmp_path, capsys):
    photos = tmp_path / "photos"
    photos.mkdir()
    for number, path in enumerate(sorted(faces_dir.glob("*/*.png"))[:3]):
        shutil.copy(path, photos / f"{number}.png")
    argv = ["map", f"--run={run}", f"--photos={photos}", f"--out={tmp_path / 'm'}"]
    assert cli.main([*argv, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["n_faces"] == 3
    rows = table_of(tmp_path / "m")
    assert [rows[name][0] for name in ("left", "top", "right", "bottom")] == [0, 0, 128, 128]


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--embeddings={own}", "--photos={tmp}"], "--photos is embedded by a run"),
        (["--run=r"], "give --data_dir"),
        (["--run=r", "--photos=a", "--data_dir=b"], "one of them"),
        (["--embeddings={tmp}/none.npz"], "no such file"),
    ],
)
def test_wrong_arguments_give_one_sentence(argv, said, own, tmp_path, capsys):
    argv = [word.format(own=own, tmp=tmp_path) for word in argv]
    assert cli.main(["map", *argv, f"--out={tmp_path / 'm'}"]) == 2
    assert said in capsys.readouterr().err


def test_photo_numbers_are_equal_for_faces_of_one_photo():
    assert page_data._column("x", ["b", "a", "b", ""])["codes"] == [0, 1, 0, -1]
