"""The numbers of an evaluation against loops over the triplets, and its warnings."""

# Over 350 lines: its tests share a run and its result.

import dataclasses
import itertools
import json
import math
import re
import shutil

import numpy as np
import pytest

from imagefec import cli
from imagefec.analysis import accuracy, evaluate
from imagefec.analysis.embed import embed_paths
from imagefec.analysis.evaluate import evaluate_run
from imagefec.analysis.gallery.build import make_gallery
from imagefec.data.store.datasets import Triplets
from imagefec.errors import UserError

TYPES = ("one_class", "two_class", "three_class")


def score_triplets(vectors, data):
    correct = accuracy.correct_predictions(vectors, data)
    return evaluate.score_triplets(vectors, correct, data, accuracy.triplet_photos(data))


def naive_tpa(vectors, data, kind=None):
    n = n_correct = 0
    for (a, b, odd), type_ in zip(data.triplets, data.types):
        if kind is None or TYPES[type_] == kind:
            near = math.dist(vectors[a], vectors[b])
            n_correct += near < math.dist(vectors[a], vectors[odd]) and near < math.dist(
                vectors[b], vectors[odd]
            )
            n += 1
    return n_correct / n, n


@pytest.fixture(scope="module")
def result(run, data_dir):
    return evaluate_run(run, data_dir, split="train")


def test_a_run_is_evaluated_on_the_complete_split_with_its_weights_in_evaluation_mode(
    result, embedder, data
):
    vectors = embedder.embed(data.faces)
    assert (result["tpa"], result["n_triplets"]) == naive_tpa(vectors, data)
    assert result["n_triplets"] == len(data) >= 6
    assert set(result["by_type"]) == set(TYPES)
    for kind, scores in result["by_type"].items():
        assert (scores["tpa"], scores["n_triplets"]) == naive_tpa(vectors, data, kind)
    assert result["tpa_se"] == pytest.approx(
        math.sqrt(result["tpa"] * (1 - result["tpa"]) / len(data))
    )
    squares = [math.dist(a, b) ** 2 for a, b in itertools.combinations(vectors, 2)]
    assert result["embedding_spread"] == pytest.approx(
        math.sqrt(sum(squares) / len(squares)), rel=1e-4
    )
    assert 0 < result["human_tpa"] <= 1 and result["human_tpa_source"] == "people"


def test_the_result_names_what_was_evaluated_and_is_json_compatible(result, run):
    assert (result["run"], result["step"]) == (str(run), 12)
    assert (result["dataset"], result["split"]) == ("fec", "train")
    assert json.loads(json.dumps(result, allow_nan=False)) == result


def test_each_distinct_face_is_embedded_once(run, data_dir, data, monkeypatch):
    from imagefec.model import Embedder

    embedded = []
    embed = Embedder.embed_batches
    monkeypatch.setattr(
        Embedder,
        "embed_batches",
        lambda self, faces: (embedded.append(faces), embed(self, faces))[1],
    )
    evaluate_run(run, data_dir, split="train")
    [faces] = embedded
    np.testing.assert_array_equal(faces, data.faces)
    assert len(faces) < 3 * len(data)


def test_the_run_is_opened_once_and_the_split_loaded_once(run, data_dir, monkeypatch):
    from imagefec.data.store import datasets
    from imagefec.model.run import Run

    opened, loaded = [], []
    open_run, load = Run.open.__func__, datasets.load_triplets
    monkeypatch.setattr(
        Run, "open", classmethod(lambda cls, path: (opened.append(path), open_run(cls, path))[1])
    )
    monkeypatch.setattr(
        datasets, "load_triplets", lambda *args: (loaded.append(args[2]), load(*args))[1]
    )
    evaluate_run(run, data_dir, split="train", against=run, disjoint_from="test", invariance=True)
    assert opened == [run, run]  # the second time as the other run
    assert loaded == ["train", "train", "test"]  # the second for faces of 64 px


def test_the_test_split_is_the_default(run, data_dir):
    result = evaluate_run(run, data_dir)
    assert result["split"] == "test" and result["n_triplets"] < 6


def test_few_triplets_give_a_warning(result):
    assert f"Only {result['n_triplets']} triplets" in result["warning"]


def test_a_run_of_faces_that_were_aligned_otherwise_gets_a_warning(run, data_dir, tmp_path):
    aligned = shutil.copytree(run, tmp_path / "aligned")
    info = json.loads((aligned / "run.json").read_text())
    for align, warned in ("eyes", True), ("none", False):
        faces = {"detector": "blazeface", "detector_version": "1", "align": align}
        (aligned / "run.json").write_text(json.dumps(info | {"faces": faces}))
        for result in (
            evaluate_run(aligned, data_dir, split="train"),
            evaluate_run(run, data_dir, split="train", against=aligned),
        ):
            assert ("--align=eyes, but those of fec" in result["warning"]) == warned


def test_a_run_without_best_checkpoint_is_measured_at_its_last_step_with_a_warning(
    run, data_dir, faces_dir, tmp_path, caplog
):
    half = shutil.copytree(run, tmp_path / "half")
    (half / "best.npz").rename(half / "model.npz")
    said = f"{half} has no best.npz, so its model.npz is used"
    assert said in evaluate_run(half, data_dir, split="train")["warning"]
    assert said in evaluate_run(run, data_dir, split="train", against=half)["warning"]
    assert "best.npz" not in evaluate_run(run, data_dir, split="train")["warning"]
    caplog.clear()
    make_gallery(half, data_dir, tmp_path / "gallery", split="train")
    assert said in caplog.text
    caplog.clear()
    embed_paths(half, faces_dir, tmp_path / "vectors.npz")
    assert said in caplog.text


def test_a_missing_run_split_or_checkpoint_is_refused(run, data_dir, tmp_path):
    with pytest.raises(UserError, match="no such run directory"):
        evaluate_run(tmp_path / "gone", data_dir)
    with pytest.raises(UserError, match="no split 'validation'"):
        evaluate_run(run, data_dir, split="validation")
    (tmp_path / "run.json").write_text((run / "run.json").read_text())
    with pytest.raises(UserError, match="no checkpoint"):
        evaluate_run(tmp_path, data_dir)


@pytest.mark.parametrize(
    "verb",
    [
        ["evaluate", "--run=BGR"],
        ["evaluate", "--run=RUN", "--against=BGR"],
        ["gallery", "--run=BGR", "--out=OUT"],
        ["report", "--runs", "BGR", "--out=OUT"],
        ["report", "--runs", "RUN", "BGR", "--out=OUT"],
        ["embed", "--run=BGR", "FACE", "--out=OUT.npz"],
    ],
)
def test_every_verb_refuses_a_run_of_another_channel_order(
    verb, run, data_dir, faces_dir, tmp_path, capsys
):
    other, out = tmp_path / "bgr", tmp_path / "out"
    shutil.copytree(run, other)
    (other / "run.json").write_text(
        json.dumps({**json.loads((run / "run.json").read_text()), "channel_order": "bgr"})
    )
    words = {"RUN": run, "BGR": other, "OUT": out, "FACE": next(faces_dir.rglob("*.png"))}
    command = [re.sub("RUN|BGR|OUT|FACE", lambda word: str(words[word[0]]), part) for part in verb]
    rest = [] if verb[0] == "embed" else [f"--data_dir={data_dir}", "--split=train"]
    assert cli.main(command + rest) == 2
    printed = capsys.readouterr()
    assert (
        not printed.out
        and f"{other / 'run.json'}: channel_order 'bgr'; faces are 'rgb' here" in printed.err
    )
    assert {
        path.relative_to(tmp_path).parts[0] for path in tmp_path.rglob("*") if path.is_file()
    } == {"bgr"}


def make_triplets(n=120, n_faces=30):
    random = np.random.default_rng(3)
    triplets = np.array([random.choice(n_faces, 3, replace=False) for _ in range(n)], np.int32)
    return Triplets(
        faces=np.zeros((n_faces, 1, 1, 3), np.uint8),
        face_ids=[f"f{i}" for i in range(n_faces)],
        urls=[f"u{i}" for i in range(n_faces)],
        triplets=triplets,
        types=np.zeros(n, np.int8),
        vote_counts=np.tile([0, 1, 4], (n, 1)).astype(np.int32),
        agreement=np.full(n, 0.8, np.float32),
    )


def make_vectors(n_faces=30):
    vectors = np.random.default_rng(4).normal(size=(n_faces, 5))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def test_a_type_without_triplets_has_no_accuracy_and_enough_triplets_no_warning():
    data, vectors = make_triplets(), make_vectors()
    scores = score_triplets(vectors, data)
    assert (
        scores["by_type"]["two_class"]["tpa"] is None
        and scores["by_type"]["two_class"]["n_triplets"] == 0
    )
    assert (scores["tpa"], scores["n_triplets"]) == naive_tpa(vectors, data)
    assert "warning" not in scores
    # Of 5 votes, 4 agree with the majority of the other votes, and 1 does not.
    assert scores["human_tpa"] == pytest.approx(0.8)


def test_a_single_vote_per_triplet_gives_no_human_accuracy():
    data = dataclasses.replace(
        make_triplets(), vote_counts=np.tile([0, 0, 1], (120, 1)).astype(np.int32)
    )
    assert score_triplets(make_vectors(), data)["human_tpa"] is None


def test_a_collapsed_run_has_tpa_0_and_a_warning():
    scores = score_triplets(np.tile(make_vectors(1), (30, 1)), make_triplets())
    assert scores["tpa"] == 0 and scores["embedding_spread"] == pytest.approx(0, abs=1e-6)
    assert "nearly one vector for all faces, as if collapsed" in scores["warning"]
    assert "run" not in scores["warning"]  # it may be a file


def test_embeddings_that_are_not_finite_count_as_wrong_and_give_a_warning():
    data, vectors = make_triplets(), make_vectors()
    vectors[7] = np.nan
    scores = score_triplets(vectors, data)
    assert scores["tpa"] == naive_tpa(vectors, data)[0]
    assert (data.triplets == 7).any() and scores["embedding_spread"] is None
    assert "1 of 30 embeddings are not finite" in scores["warning"]
    json.dumps(scores, allow_nan=False)


def test_a_wrong_number_of_embeddings_raises_value_error():
    with pytest.raises(ValueError, match=r"\[30, d\], one per face; found \(29, 5\)"):
        score_triplets(make_vectors(29), make_triplets())


def test_the_result_has_the_clustered_error_and_the_parts(result):
    assert result["tpa_se_clustered"] > 0
    assert (
        sum(part["n_triplets"] for part in result["by_agreement"].values()) == result["n_triplets"]
    )
    assert set(result["by_type"]["one_class"]) == {
        "tpa",
        "tpa_se",
        "tpa_se_clustered",
        "n_triplets",
        "human_tpa",
    }
    assert not {"against", "disjoint", "invariance"} & set(result)


def test_a_run_is_compared_with_another_on_the_same_triplets(
    run, data_dir, data, embedder, result, tmp_path
):
    from imagefec.model import checkpoint

    other = tmp_path / "other"
    other.mkdir()
    (other / "run.json").write_text((run / "run.json").read_text())
    arrays, _ = checkpoint.load(run / "best.npz")
    checkpoint.save(
        other / "best.npz", {name: array[..., ::-1] for name, array in arrays.items()}, {}
    )
    found = evaluate_run(run, data_dir, split="train", against=other)["against"]
    alone = evaluate_run(other, data_dir, split="train")["tpa"]
    assert found["run"] == str(other) and found["tpa"] == alone
    assert found["difference"] == pytest.approx(result["tpa"] - alone)
    assert found["low"] <= found["difference"] <= found["high"]
    same = evaluate_run(run, data_dir, split="train", against=run)["against"]
    assert (same["difference"], same["standard_error"]) == (0, 0)


def test_triplets_without_photos_of_another_split_are_also_evaluated_separately(
    run, data_dir, data, embedder
):
    from imagefec.data.store import datasets

    known = set(datasets.load_triplets(data_dir, split="test", image_size=8).urls)
    expected = [not known & {data.urls[row] for row in triplet} for triplet in data.triplets]
    found = evaluate_run(run, data_dir, split="train", disjoint_from="test")["disjoint"]
    assert (found["from"], found["n_triplets"]) == ("test", sum(expected))
    assert found["n_left_out"] == len(data) - sum(expected)
    correct = accuracy.correct_predictions(embedder.embed(data.faces), data)
    own = correct[accuracy.disjoint_triplets(data, known)]
    assert found["tpa"] == (pytest.approx(own.mean()) if len(own) else None)
    itself = evaluate_run(run, data_dir, split="train", disjoint_from="train")["disjoint"]
    assert (itself["tpa"], itself["n_triplets"], itself["n_left_out"]) == (None, 0, len(data))


def test_invariance_is_measured_with_the_runs_own_augmentation(
    run, data_dir, data, embedder, tmp_path
):
    import shutil

    from imagefec.analysis.invariance import augmentation_invariance

    shutil.copytree(run, tmp_path / "run")
    ranges = {"crop": 0.3, "flip": 0.0, "brightness": 0.4, "contrast": 0.0}
    (tmp_path / "run" / "config.gin").write_text(
        "".join(f"Augment.{name} = {value}\n" for name, value in ranges.items())
    )
    found = evaluate_run(tmp_path / "run", data_dir, split="train", invariance=True)["invariance"]
    assert found == augmentation_invariance(embedder, data.faces, ranges)
    assert found != augmentation_invariance(embedder, data.faces)


def write_annotations(path, data):
    """Two labels and three persons by turns; the last face has neither."""
    lines = [f"{name},{'ab'[row % 2]},p{row % 3}" for row, name in enumerate(data.face_ids[:-1])]
    path.write_text("\n".join(["id,label,person", *lines]) + "\n")
    return path


def test_the_verb_prints_shares_of_neighbours_by_label_and_person(
    run, data_dir, data, embedder, tmp_path, capsys
):
    table = write_annotations(tmp_path / "known.csv", data)
    command = ["evaluate", f"--run={run}", f"--data_dir={data_dir}", "--split=train"]
    assert cli.main([*command, "--annotations", str(table), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["neighbours"]
    assert (found["annotations"]["n_label"], found["annotations"]["n_persons"]) == (8, 3)
    assert found["annotations"]["matched_by"] == {"ids": 8}
    vectors, shares = embedder.embed(data.faces), []
    for row in range(8):
        others = [other for other in range(8) if data.urls[other] != data.urls[row]]
        nearest = min(others, key=lambda other: math.dist(vectors[row], vectors[other]))
        shares.append(nearest % 2 == row % 2)
    assert found["same_label"]["1"]["share"] == pytest.approx(np.mean(shares))
    assert found["same_label"]["1"]["n_queries"] == 8
    assert found["same_label"]["10"]["share"] is None  # no face has ten others

    assert cli.main([*command, "--annotations", str(table)]) == 0
    text = capsys.readouterr().out
    assert f"1 nearest of the query's label: {np.mean(shares):.4f} ± " in text
    assert "10 nearest" not in text and "None" not in text


def test_a_table_of_other_faces_is_refused_by_the_verb(run, data_dir, tmp_path, capsys):
    table = tmp_path / "other.csv"
    table.write_text("id,label\nnobody,awe\n")
    command = ["evaluate", f"--run={run}", f"--data_dir={data_dir}", "--split=train", "--json"]
    assert cli.main([*command, f"--annotations={table}"]) == 2
    said = capsys.readouterr()
    assert "none of its 1 rows, such as 'nobody', is a face of" in said.err and said.out == ""
