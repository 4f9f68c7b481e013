"""Planted copies: a training photo that is in test under another Flickr size, or elsewhere."""

import csv
import io
import json
import logging
import re
import shutil

import cv2
import numpy as np
import pytest
from PIL import Image

from imagefec import cli
from imagefec.analysis.evaluate import evaluate_run
from imagefec.analysis.gallery.build import make_gallery
from imagefec.analysis.overlap import near_duplicates, shared_faces
from imagefec.analysis.overlap.shared_faces import COPY, SAME_PHOTO, find_overlap, splits_of
from imagefec.analysis.split import SplitLoader
from imagefec.data.fec_csv import FaceRef, Row, write_rows
from imagefec.errors import UserError
from imagefec.faces.synthetic.heads.expressions import sample_expression
from imagefec.faces.synthetic.heads.people import sample_person
from imagefec.faces.synthetic.photo import render_photo
from imagefec.fec import TripletType, csv_file_name
from imagefec.maths.geometry import Box
from tests.analysis.conftest import MANUAL

FLICKR = "https://live.staticflickr.com/65535/5012345678_"
TRAIN = [f"{FLICKR}ab12cd34ef_z.jpg", *(f"https://a.example/{n}.jpg" for n in range(5))]
TEST = [
    f"{FLICKR}00ff00ff00_o.jpg",  # another size of train's first photo, another crop of it
    "https://elsewhere.example/copy.jpg",  # train's second, recompressed
    *(f"https://b.example/{n}.jpg" for n in range(6)),
]
WHOLE = Box(0.0, 1.0, 0.0, 1.0)


def drawn_faces(n, seed):
    rng = np.random.default_rng(seed)
    for number in range(n):
        head = sample_person(rng), sample_expression(rng, number)
        image, boxes = render_photo(rng, [head], 4.0)
        height, width = image.shape[:2]
        left, right, top, bottom = boxes[0].sides
        face = image[int(top * height) : int(bottom * height)]
        face = face[:, int(left * width) : int(right * width)]
        yield cv2.resize(face, (128, 128), interpolation=cv2.INTER_AREA)


def recompressed(face):
    file = io.BytesIO()
    small = Image.fromarray(face).resize((90, 90), Image.Resampling.LANCZOS)
    small.save(file, "JPEG", quality=60)
    return np.asarray(Image.open(file).convert("RGB").resize((128, 128)))


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """A built dataset of six faces in train and eight in test, of which two are train's."""
    import tensorflow_datasets as tfds

    root = tmp_path_factory.mktemp("planted")
    manual = root / "manual"
    (manual / "faces").mkdir(parents=True)
    shutil.copy(MANUAL / "faces" / "settings.json", manual / "faces")
    train, test = list(drawn_faces(6, 1)), list(drawn_faces(8, 2))
    test[1] = recompressed(train[1])
    lines = []
    for urls, faces in ((TRAIN, train), (TEST, test)):
        for url, face in zip(urls, faces):
            face_id = FaceRef(url, WHOLE).face_id
            path = manual / "faces" / face_id[:2] / f"{face_id}.png"
            path.parent.mkdir(exist_ok=True)
            Image.fromarray(face).save(path)
            lines.append([face_id, url, 0.0, 1.0, 0.0, 1.0, 1, "", "none", "1.0000", 0])
    with (manual / "faces" / "faces.csv").open("w", newline="") as file:
        header = (MANUAL / "faces" / "faces.csv").read_text().splitlines()[0].split(",")
        csv.writer(file).writerows([header, *lines])
    for split, urls in (("train", TRAIN), ("test", TEST)):
        refs = [FaceRef(url, WHOLE) for url in urls]
        rows = [
            Row(n + 1, tuple(refs[n : n + 3]), TripletType.TWO_CLASS, ("a", "b"), (2, 2))
            for n in range(len(refs) - 2)
        ]
        write_rows(manual / csv_file_name(split), rows)
    with tfds.core.utils.add_sys_path(MANUAL.parents[2]):
        builder_cls = tfds.core.community.builder_cls_from_module(
            "tfds_builders.fec.fec_dataset_builder"
        )
    config = tfds.download.DownloadConfig(manual_dir=manual)
    builder_cls(data_dir=root / "data").download_and_prepare(download_config=config)
    return root / "data"


def overlap_of(planted, split="test", splits=("train",)):
    loader = SplitLoader(planted, "fec", split)
    data = loader.load(128)
    found = find_overlap(loader, data, splits, 64)
    shared = {url: why for why in (SAME_PHOTO, COPY) for url in urls_of(data, found, why)}
    return found, shared


def urls_of(data, found, why):
    which = found.same_photo if why == SAME_PHOTO else found.copy
    return [url for url, is_so in zip(data.urls, which) if is_so]


def test_a_photo_under_another_size_and_a_copy_elsewhere_are_found(planted):
    found, shared = overlap_of(planted)
    assert shared == {TEST[0]: SAME_PHOTO, TEST[1]: COPY}
    assert found.as_json() == {
        "from": ["train"],
        "n_faces": 8,
        "n_left_out": 2,
        "reasons": {SAME_PHOTO: 1, COPY: 1},
    }
    assert found.in_words() == (
        "2 of 8 faces are also in train: same photo 1, near-duplicate picture 1"
    )


def test_hashes_are_read_from_the_cache_the_second_time(planted, monkeypatch):
    first, _ = overlap_of(planted)
    monkeypatch.setattr(near_duplicates, "hash_faces", None)
    again, _ = overlap_of(planted)
    assert (again.shared == first.shared).all()


def test_both_splits_are_hashed_at_one_size(planted, monkeypatch):
    sizes = []
    monkeypatch.setattr(
        shared_faces,
        "_hashes",
        lambda _, split, data, views: (
            sizes.append((split, data.faces.shape[1], views))
            or np.zeros((len(data.face_ids), *([18] if views else []), 32), np.uint8)
        ),
    )
    overlap_of(planted)  # of faces of 128 px, for a run of 64 px
    assert sizes == [("test", 64, True), ("train", 64, False)]


def test_a_damaged_cache_is_made_again(planted):
    caches = list(planted.glob("face_stores/**/*_hashes*/array.npy"))
    assert caches
    for path in caches:
        path.write_bytes(b"no array")
    assert overlap_of(planted)[0].shared.sum() == 2


def test_the_default_compares_with_train_only_what_is_no_part_of_it(planted):
    assert splits_of("auto", SplitLoader(planted, "fec", "test")) == ("train",)
    assert splits_of("auto", SplitLoader(planted, "fec", "train[:50%]")) == ()
    loader = SplitLoader(planted, "fec", "test")
    assert splits_of("none", loader) == ()
    assert splits_of("train, train[:50%],train", loader) == ("train", "train[:50%]")
    with pytest.raises(UserError, match="none goes with no other"):
        splits_of("none,train", loader)


def test_faces_of_training_are_no_queries_of_a_gallery_by_default(run, planted, tmp_path, caplog):
    facts = {}
    with caplog.at_level(logging.WARNING):
        _, page = make_gallery(run, planted, tmp_path, queries=20, k=2, facts=facts)
    planted_ids = [FaceRef(url, WHOLE).face_id for url in TEST[:2]]
    assert len(facts["queries"]) == 6 and not set(facts["queries"]) & set(planted_ids)
    assert facts["disjoint"]["reasons"] == {SAME_PHOTO: 1, COPY: 1}
    assert all(value > 0 for value in facts["disjoint"]["nearest_distance"].values())
    assert "2 of 8 faces are also in train" in page.read_text() and "2 of 8" in caplog.text
    make_gallery(run, planted, tmp_path, queries=20, k=2, disjoint_from="none", facts=facts)
    assert len(facts["queries"]) == 8 and facts["disjoint"] is None


def test_a_query_that_is_named_is_shown_with_a_warning(run, planted, tmp_path, caplog):
    facts, face_id = {}, FaceRef(TEST[0], WHOLE).face_id
    make_gallery(run, planted, tmp_path, queries=face_id, k=2, facts=facts)
    assert facts["queries"] == [face_id]
    assert f"query {face_id} is also in train" in caplog.text


def test_neighbours_may_be_searched_among_several_splits(run, planted, tmp_path):
    facts = {}
    _, page = make_gallery(
        run, planted, tmp_path, queries=TEST[0], k=12, space="test,train", facts=facts
    )
    shown = set(re.findall("<code>([0-9a-f]{20})</code>", page.read_text()))
    ids = {url: FaceRef(url, WHOLE).face_id for url in (*TRAIN, *TEST)}
    # The other size in train is of the query's own photo, so it is no neighbour.
    assert facts["n_faces"] == 14 and shown == set(ids.values()) - {ids[TRAIN[0]]}
    make_gallery(run, planted, tmp_path, queries=20, k=2, space="train", facts=facts)
    assert facts["n_faces"] == 14 and set(facts["queries"]) <= {ids[url] for url in TEST[2:]}


def test_without_other_faces_there_is_no_query(run, planted, tmp_path):
    with pytest.raises(UserError, match=r"no face may be a query: 8 of 8 .*--disjoint_from=none"):
        make_gallery(run, planted, tmp_path, disjoint_from="test")
    with pytest.raises(UserError, match="no split 'gone'"):
        make_gallery(run, planted, tmp_path, disjoint_from="gone")


def test_evaluation_leaves_out_the_triplets_of_shared_faces(run, planted, capsys):
    result = evaluate_run(run, planted, disjoint_from="train")["disjoint"]
    # Triplets are of three faces in a row; the first has both faces, the second the copy only.
    assert (result["n_triplets"], result["n_left_out"]) == (4, 2)
    assert result["reasons"] == {SAME_PHOTO: 1, COPY: 1}
    command = ["evaluate", f"--run={run}", f"--data_dir={planted}", "--disjoint_from=train"]
    assert cli.main(command) in (0, None)
    shown = capsys.readouterr().out
    assert "on 4 triplets, 2 left out (same photo 1, near-duplicate picture 1)" in shown


def test_a_gallery_prints_its_facts_as_json(run, planted, tmp_path, capsys):
    command = ["gallery", f"--run={run}", f"--data_dir={planted}", f"--out={tmp_path}", "--json"]
    assert cli.main([*command, "--k=2"]) in (0, None)
    found = json.loads(capsys.readouterr().out)
    assert found["html"].endswith("gallery.html") and found["disjoint"]["n_left_out"] == 2


def test_the_verb_searches_among_several_splits_with_their_labels(run, planted, tmp_path, capsys):
    ids = {url: FaceRef(url, WHOLE).face_id for url in (*TRAIN, *TEST)}
    known = tmp_path / "known.csv"
    lines = [f"{face_id},{'seen' if url in TRAIN else 'new'}" for url, face_id in ids.items()]
    known.write_text("\n".join(["id,label", *lines]))
    command = ["gallery", f"--run={run}", f"--data_dir={planted}", f"--out={tmp_path}", "--k=12"]
    wanted = [f"--queries={ids[TEST[0]]}", "--space=test,train", f"--annotations={known}"]
    assert cli.main([*command, *wanted, "--json"]) in (0, None)
    found = json.loads(capsys.readouterr().out)
    assert found["n_faces"] == 14 and found["annotations"]["n_label"] == 14
    text = (tmp_path / "gallery.html").read_text()
    assert "neighbours from test and train" in text
    walk = json.loads(re.search(r'id="data">(.*?)</script>', text, re.S)[1])
    label = next(column for column in walk["columns"] if column["name"] == "label")
    of = {name: label["values"][value] for name, (value,) in zip(walk["ids"], label["of"])}
    assert of == {face: "seen" if url in TRAIN else "new" for url, face in ids.items()}
    # Two sizes of one photo are one source, so that they are no neighbours on the page.
    source = {
        name: walk["sources"][photo]
        for name, photo in zip(walk["ids"], walk["photos"], strict=True)
    }
    assert source[ids[TRAIN[0]]] == source[ids[TEST[0]]] and len(set(source.values())) == 13
    assert cli.main([*command[:-1], "--space=gone"]) == 2
    assert "no split 'gone'" in capsys.readouterr().err
