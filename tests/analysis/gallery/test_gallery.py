"""Which faces a gallery shows, the two files it writes, and its errors."""

# Over 350 lines: its tests share a run and the galleries of it.

import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import pairwise_distances

from imagefec.analysis.gallery.build import make_gallery
from imagefec.analysis.gallery.faces import GalleryFaces
from imagefec.analysis.gallery.page import make_page
from imagefec.analysis.gallery.selection import allowed_rows, choose_queries
from imagefec.analysis.gallery.sheet import TILE_PX, GalleryText, Strip, Tile, render_sheet
from imagefec.analysis.gallery.strips import find_strips
from imagefec.data.exclusion import Exclusion
from imagefec.data.identity.folders import names_of
from imagefec.errors import UserError


@pytest.fixture(scope="module")
def gallery(run, data_dir, tmp_path_factory):
    return make_gallery(
        run, data_dir, tmp_path_factory.mktemp("gallery"), split="train", queries=3, k=2
    )


@pytest.fixture(scope="module")
def vectors(embedder, data):
    return embedder.embed(data.faces)


def ids_shown(html_path):
    """[[query, neighbour, ...], ...] of a page."""
    sections = re.findall(r"<section.*?</section>", html_path.read_text(), re.S)
    return [re.findall(r"<code>(.*?)</code>", section) for section in sections]


def test_neighbours_are_the_nearest_faces_from_other_photos(data, vectors):
    rows = np.arange(len(data.faces))
    table = pairwise_distances(vectors.astype(float))
    strips = find_strips(data, vectors, rows, rows, k=3, max_distance=None)
    for row, strip in enumerate(strips):
        others = [other for other in np.argsort(table[row]) if data.urls[other] != data.urls[row]]
        assert strip.query.face_id == data.face_ids[row]
        assert [tile.face_id for tile in strip.neighbours] == [
            data.face_ids[other] for other in others[:3]
        ]
        np.testing.assert_allclose(
            [tile.distance for tile in strip.neighbours], table[row, others[:3]], atol=1e-6
        )
        np.testing.assert_array_equal(strip.neighbours[0].face, data.faces[others[0]])


def test_faces_beyond_the_maximum_distance_leave_their_places_empty(data, vectors):
    rows = np.arange(len(data.faces))
    table = pairwise_distances(vectors.astype(float))
    other_photo = np.array(data.urls)[:, None] != np.array(data.urls)[None]
    limit = float(np.median(table[other_photo]))
    strips = find_strips(data, vectors, rows, rows, k=4, max_distance=limit)
    expected = [
        min(4, int((other_photo[row] & (table[row] <= limit + 1e-12)).sum())) for row in rows
    ]
    assert [len(strip.neighbours) for strip in strips] == expected and min(expected) < 4
    assert [strip.missing for strip in strips] == [4 - n for n in expected]
    assert all(not strip.neighbours for strip in find_strips(data, vectors, rows, rows, 4, 0.0))


def test_a_gallery_is_a_png_and_an_html_page(gallery, data):
    png, page = gallery
    assert (png.name, page.name) == ("gallery.png", "gallery.html")
    with Image.open(png) as image:
        image.load()
        assert image.format == "PNG" and image.width > 3 * TILE_PX and image.height > 3 * TILE_PX
    shown = ids_shown(page)
    assert [len(ids) for ids in shown] == [3] * 3
    url_of = dict(zip(data.face_ids, data.urls))
    for query, *neighbours in shown:
        assert url_of[query] not in {url_of[face_id] for face_id in neighbours}


def test_the_page_requests_nothing_and_its_tags_are_closed(gallery):
    text = gallery[1].read_text(encoding="utf-8")
    seen, scripts = [], []

    class Reader(HTMLParser):
        def handle_starttag(self, tag, attributes):
            attributes = dict(attributes)
            assert attributes.get("src", "data:").startswith("data:")
            assert tag not in ("link", "iframe", "base")
            assert attributes.get("href", "#") == "#"
            if tag == "script":
                scripts.append(attributes.get("type"))
            if tag == "img":
                assert attributes["alt"].startswith("Face, ")
                with Image.open(
                    io.BytesIO(base64.b64decode(attributes["src"].split(",")[1]))
                ) as image:
                    assert image.size == (128, 128)
            if tag == "figure":
                assert attributes["tabindex"] == "0"
            if tag not in ("img", "meta", "input"):
                seen.append(tag)

        def handle_endtag(self, tag):
            assert seen.pop() == tag

    Reader().feed(text)
    assert not seen and scripts == ["application/json", "module"]  # its own, by its digest
    style = re.search(r"<style>(.*?)</style>", text, re.S)[1]
    assert "url(" not in style and "@import" not in style and "default-src 'none'" in text
    assert text.count("script-src") == 1 and "script-src 'sha256-" in text
    assert "prefers-color-scheme: dark" in text and "TPA" in text and "0 means identical" in text


def test_the_accuracy_shown_equals_that_of_evaluate(gallery, run, data_dir):
    from imagefec.analysis.evaluate import evaluate_run

    expected = evaluate_run(run, data_dir, split="train")
    assert (
        f"TPA {100 * expected['tpa']:.1f} ± {100 * expected['tpa_se_clustered']:.1f} %"
        in gallery[1].read_text(encoding="utf-8")
    )


def test_the_same_seed_gives_the_same_bytes(gallery, run, data_dir, tmp_path):
    again = make_gallery(run, data_dir, tmp_path / "again.html", split="train", queries=3, k=2)
    assert [path.name for path in again] == ["again.png", "again.html"]
    assert [path.read_bytes() for path in again] == [path.read_bytes() for path in gallery]
    other = make_gallery(
        run, data_dir, tmp_path / "other.png", split="train", queries=3, k=2, seed=1
    )
    assert ids_shown(other[1]) != ids_shown(gallery[1])


def test_excluded_faces_and_photos_are_not_shown(run, data_dir, data, tmp_path):
    face_id, url = data.face_ids[0], data.urls[-1]
    (tmp_path / "exclude.txt").write_text(
        f"# not these\n{face_id}\n\n  {url} \nhttps://elsewhere.example/x.jpg\n"
    )
    out = make_gallery(
        run,
        data_dir,
        tmp_path,
        split="train",
        queries=99,
        exclude=tmp_path / "exclude.txt",
        max_distance=None,
    )
    shown = ids_shown(out[1])
    excluded = {face_id} | {i for i, u in zip(data.face_ids, data.urls) if u == url}
    assert all(excluded.isdisjoint(ids) for ids in shown) and len(excluded) > 1
    # All others are queries, because there are fewer than 99.
    assert {ids[0] for ids in shown} == set(data.face_ids) - excluded


def test_an_identity_is_excluded_by_the_name_of_its_folder():
    urls = [f"data/test/n{row // 3}/{row}.jpg" for row in range(9)]
    ids = [f"f{row}" for row in range(9)]
    names = [(face_id, *names_of(url)) for face_id, url in zip(ids, urls)]
    in_folders = GalleryFaces(
        faces=[],
        face_ids=ids,
        urls=urls,
        names=names,
        known=np.ones(9, bool),
        embed=list,
        source=Path("run"),
        describe=str,
        advice="",
    )
    assert allowed_rows(in_folders, Exclusion(["n1", "n2/6.jpg", "nobody"]), "list").tolist() == [
        0,
        1,
        2,
        7,
        8,
    ]


def test_queries_are_a_number_or_ids_and_rows_also_as_text(data):
    allowed = np.arange(len(data.faces))
    ids = data.face_ids
    assert choose_queries([ids[4], 2, "3"], ids, allowed, 0) == [4, 2, 3]
    assert choose_queries(f"{ids[4]}, 2", ids, allowed, 0) == [4, 2]
    assert len(set(choose_queries("5", ids, allowed, 0))) == 5
    assert choose_queries("5", ids, allowed, 0) == choose_queries(5, ids, allowed, 0)
    assert sorted(choose_queries(100, ids, allowed, 0)) == allowed.tolist()
    assert set(choose_queries(2, ids, allowed[:2], 0)) == {0, 1}


@pytest.mark.parametrize(
    ("queries", "text"),
    [
        (["abc"], "query 'abc': there is no such face.*rows from 0 to 8"),
        ([9], "query '9'"),
        ([-1], "query '-1'"),
        (0, "queries = 0"),
        ("0", "queries = 0"),
        ([], "the list is empty"),
        ([1, 1], "given more than once"),
        ([8], "the exclusion file excludes it"),
    ],
)
def test_queries_that_cannot_be_shown_are_refused(queries, text, data):
    with pytest.raises(UserError, match=text):
        choose_queries(queries, data.face_ids, np.arange(8), 0)


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"k": 0}, "k = 0 neighbours: it must be 1 to 8"),
        ({"k": 9}, "k = 9 .* 1 to 8"),
        ({"max_distance": -1.0}, "0 or more"),
        ({"queries": "nobody"}, "no such face"),
        ({"split": "validation"}, "no split 'validation'"),
        ({"dataset": "nothing"}, "no dataset 'nothing'"),
    ],
)
def test_invalid_arguments_are_refused_and_nothing_is_written(wrong, text, run, data_dir, tmp_path):
    with pytest.raises(UserError, match=text):
        make_gallery(run, data_dir, tmp_path / "out", **{"split": "train", **wrong})
    assert list(tmp_path.iterdir()) == []


def test_an_output_that_cannot_be_written_is_refused_before_any_work(data_dir, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "folder.png").mkdir()
    for out, text in (
        ("file/out", "cannot be written"),
        ("folder.html", "is a folder"),
        ("out.pdf", r"\.png and a \.html"),
    ):
        with pytest.raises(UserError, match=text):
            make_gallery(tmp_path / "not reached", data_dir, tmp_path / out)
    with pytest.raises(UserError, match="no such run directory"):
        make_gallery(tmp_path / "gone", data_dir, tmp_path / "out")


def test_a_run_that_has_diverged_is_refused(run, data_dir, tmp_path, monkeypatch):
    from imagefec.model import Embedder

    monkeypatch.setattr(
        Embedder,
        "embed_batches",
        lambda self, faces: [np.full((len(faces), 6), np.nan, np.float32)],
    )
    with pytest.raises(UserError, match="diverged"):
        make_gallery(run, data_dir, tmp_path / "new" / "out", split="train")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "own").mkdir()
    with pytest.raises(UserError, match="diverged"):
        make_gallery(run, data_dir, tmp_path / "own", split="train")
    assert (tmp_path / "own").is_dir()


def test_an_unreadable_exclusion_file_is_refused_by_name(run, data_dir, data, tmp_path):
    with pytest.raises(UserError, match=r"gone\.txt: .* cannot be read"):
        make_gallery(run, data_dir, tmp_path / "out", exclude=tmp_path / "gone.txt")
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9\n")
    with pytest.raises(UserError, match=r"latin\.txt: not UTF-8"):
        make_gallery(run, data_dir, tmp_path / "out", exclude=tmp_path / "latin.txt")
    (tmp_path / "all.txt").write_text("\n".join(data.urls))
    with pytest.raises(UserError, match=r"0 of 9 faces remain after the exclusions of .*all\.txt"):
        make_gallery(run, data_dir, tmp_path / "out", split="train", exclude=tmp_path / "all.txt")


def tile(colour, face_id="f", distance=0.5):
    return Tile(np.full((128, 128, 3), colour, np.uint8), face_id, distance)


def test_the_sheet_shows_query_then_neighbours_then_empty_places():
    strip = Strip(tile((255, 0, 0)), (tile((0, 255, 0)), tile((0, 0, 255))), missing=1)
    sheet = np.asarray(
        Image.open(io.BytesIO(render_sheet(GalleryText("t", "facts", "none"), [strip]))).convert(
            "RGB"
        )
    )
    middles = sheet[sheet.shape[0] - 48 - 30 - 20]  # through the lower part of the only strip
    changes = [
        tuple(int(c) for c in colour)
        for colour in middles[
            np.any(np.diff(middles.astype(int), axis=0, prepend=[[-1] * 3]), axis=1)
        ]
    ]
    order = [c for c in changes if c in {(255, 0, 0), (0, 255, 0), (0, 0, 255), (0xF2, 0xF3, 0xF5)}]
    assert order == [(255, 0, 0), (0, 255, 0), (0, 0, 255), (0xF2, 0xF3, 0xF5)]


@pytest.mark.parametrize("n", [1, 6, 7, 13])
def test_more_than_six_queries_are_in_two_columns(n):
    sheet = Image.open(
        io.BytesIO(render_sheet(GalleryText("t", "f", "none"), [Strip(tile((9, 9, 9)), (), 1)] * n))
    )
    n_lines = n if n <= 6 else -(-n // 2)
    assert n_lines * TILE_PX < sheet.height < (n_lines + 2) * (TILE_PX + 60)
    assert (sheet.width > 4 * TILE_PX) == (n > 6)


def test_a_long_title_is_wrapped():
    def height(title):
        strips = [Strip(tile((9, 9, 9)), (), 1)]
        return Image.open(io.BytesIO(render_sheet(GalleryText(title, "f", "none"), strips))).height

    assert height("short") < height("many words " * 20) and height("short") < height("x" * 200)


def test_large_distances_are_short():
    shown = [tile((0, 0, 0), distance=d).shown_distance(2) for d in (0, 1.234, 99_999, 1.234e60)]
    assert shown == ["0.00", "1.23", "99999.00", "1.23e+60"]


def test_names_are_escaped_on_the_page():
    evil = "<script>alert('x')</script>\"&"
    labelled = Tile(np.zeros((8, 8, 3), np.uint8), evil, 0.0, evil, evil)
    page = make_page(GalleryText(evil, evil, evil), [Strip(labelled, (), 1)], evil)
    assert "<script" not in page and "&lt;script&gt;" in page


def test_a_label_is_below_its_face_and_cut_to_its_width_on_the_sheet():
    def sheet(*labels):
        tiles = [Tile(np.zeros((8, 8, 3), np.uint8), "f", 0.5, label) for label in labels]
        strips = [Strip(tiles[0], tuple(tiles[1:]), 0)]
        text = GalleryText("t", "f", "none")
        return np.asarray(Image.open(io.BytesIO(render_sheet(text, strips)))), make_page(
            text, strips, ""
        )

    (plain, page), (labelled, with_labels) = sheet("", "", ""), sheet("joy", "x " * 99, "")
    assert 'class="label"' not in page
    found = re.findall("<figcaption>(.*?)</figcaption>", with_labels)
    assert found == [
        'query<span class="label">joy</span>',
        f'0.500<span class="label">{"x " * 99}</span>',
        "0.500",
    ]
    columns = np.flatnonzero(np.any(plain != labelled, axis=(0, 2)))
    third = plain.shape[1] - 48 - TILE_PX  # its caption is the same
    assert len(columns) and columns.max() < third


def test_importing_the_analysis_imports_no_tensorflow_trax_or_jax():
    import subprocess
    import sys

    code = (
        "import sys, imagefec.analysis.gallery.build, imagefec.analysis.evaluate; "
        "import imagefec.analysis.embed, imagefec.analysis.split; "
        "print([m for m in ('tensorflow', 'trax', 'jax', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
