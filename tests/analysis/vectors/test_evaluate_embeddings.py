"""Any vectors measured on a built dataset, against loops over the triplets."""

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest

from imagefec import cli
from imagefec.analysis.evaluate import evaluate_embeddings, evaluate_run
from imagefec.errors import UserError

TYPES = ("one_class", "two_class", "three_class")
DOCS = Path(__file__).parents[3] / "docs/comparisons.md"


def save(path, ids, vectors):
    np.savez(path, ids=np.array(ids), vectors=vectors)
    return path


def sampled(data, seed, d=5):
    return np.random.default_rng(seed).normal(size=(len(data.face_ids), d)) * 10


def is_correct(vectors, a, b, odd):
    near = math.dist(vectors[a], vectors[b])
    return near < math.dist(vectors[a], vectors[odd]) and near < math.dist(vectors[b], vectors[odd])


def naive(vectors, data, faces):
    """[(kind, photos, correct)] of the triplets whose faces are all among `faces`."""
    return [
        (TYPES[kind], {data.urls[face] for face in triplet}, is_correct(vectors, *triplet))
        for triplet, kind in zip(data.triplets.tolist(), data.types)
        if set(triplet) <= set(faces)
    ]


def naive_error(values, photos):
    """Standard error of a mean: products of residuals of all pairs that share a photo."""
    n, mean = len(values), sum(values) / len(values)
    residuals = [value - mean for value in values]
    total = sum(
        residuals[i] * residuals[j] for i in range(n) for j in range(n) if photos[i] & photos[j]
    )
    return math.sqrt(max(total, sum(r * r for r in residuals)) / (n * (n - 1)))


def mean(values):
    return sum(values) / len(values)


def test_the_accuracy_of_any_vectors_equals_a_loop_over_the_triplets(data, data_dir, tmp_path):
    vectors = sampled(data, 1)
    order = np.random.default_rng(0).permutation(len(vectors))
    path = save(tmp_path / "v.npz", np.array(data.face_ids)[order], vectors[order])
    result = evaluate_embeddings(path, data_dir, split="train")
    rows = naive(vectors, data, range(len(vectors)))
    assert result["tpa"] == mean([correct for _, _, correct in rows])
    assert result["tpa_se_clustered"] == pytest.approx(
        naive_error([correct for *_, correct in rows], [photos for _, photos, _ in rows])
    )
    for kind in TYPES:
        of_kind = [correct for each, _, correct in rows if each == kind]
        assert result["by_type"][kind]["n_triplets"] == len(of_kind)
        assert result["by_type"][kind]["tpa"] == (mean(of_kind) if of_kind else None)
    assert (result["run"], result["step"], result["embeddings"]) == (None, None, str(path))
    assert result["coverage"] == {
        "n_faces": 9,
        "n_found": 9,
        "missing": {},
        "n_triplets": len(data),
        "n_lost": 0,
        "tpa_lost_wrong": result["tpa"],
        "matched_by": {"ids": 9},
        "rows_left_out": {},
    }
    assert json.loads(json.dumps(result, allow_nan=False)) == result


def test_faces_that_the_file_lacks_cost_their_triplets(data, data_dir, tmp_path):
    vectors = sampled(data, 2)
    lost = int(data.triplets[0, 0])
    faces = [face for face in range(9) if face != lost]
    path = save(tmp_path / "v.npz", np.array(data.face_ids)[faces], vectors[faces])
    result = evaluate_embeddings(path, data_dir, split="train")
    rows = naive(vectors, data, faces)
    n_lost = len(data) - len(rows)
    assert 0 < n_lost < len(data)
    n_correct = sum(correct for *_, correct in rows)
    assert (result["tpa"], result["n_triplets"]) == (n_correct / len(rows), len(rows))
    coverage = result["coverage"]
    assert (coverage["n_found"], coverage["missing"]) == (8, {"not in the file": 1})
    assert (coverage["n_triplets"], coverage["n_lost"]) == (len(data), n_lost)
    assert coverage["tpa_lost_wrong"] == n_correct / len(data)
    assert (
        f"1 of 9 faces have no vector (not in the file: 1), which costs {n_lost} of {len(data)} "
        f"triplets. The TPA is of the other {len(rows)}"
    ) in result["warning"]
    path = save(tmp_path / "one.npz", data.face_ids[:1], vectors[:1])
    with pytest.raises(UserError, match=r"no triplet .*; 1 of 9 faces have one \(not in"):
        evaluate_embeddings(path, data_dir, split="train")


def test_two_files_are_compared_on_the_triplets_that_both_have(data, data_dir, tmp_path):
    first, second = sampled(data, 3), sampled(data, 4, d=2)
    keys = np.array(data.face_ids)
    lost = int(data.triplets[0, 0])
    faces = [face for face in range(9) if face != lost]
    own = save(tmp_path / "a.npz", keys, first)
    other = save(tmp_path / "b.npz", keys[faces], second[faces])
    result = evaluate_embeddings(own, data_dir, split="train", against=other)
    rows = list(zip(naive(first, data, faces), naive(second, data, faces)))
    gains = [int(a[2]) - int(b[2]) for a, b in rows]
    against = result["against"]
    assert result["n_triplets"] == len(data) > against["n_triplets"] == len(rows)
    assert against["tpa"] == mean([b[2] for _, b in rows])
    assert against["difference"] == pytest.approx(mean(gains))
    assert against["standard_error"] == pytest.approx(naive_error(gains, [a[1] for a, _ in rows]))
    assert (against["run"], against["embeddings"]) == (None, str(other))
    back = evaluate_embeddings(other, data_dir, split="train", against=own)["against"]
    assert back["difference"] == pytest.approx(-against["difference"])
    apart = save(tmp_path / "c.npz", keys[data.triplets[0]], first[data.triplets[0]])
    rest = [row for row in range(9) if row not in data.triplets[0][:2]]
    if any(set(triplet) <= set(rest) for triplet in data.triplets.tolist()):
        missing = save(tmp_path / "d.npz", keys[rest], first[rest])
        with pytest.raises(UserError, match="no triplet of this split in common"):
            evaluate_embeddings(apart, data_dir, split="train", against=missing)


def test_a_runs_own_vectors_from_a_file_give_the_runs_result(
    run, data, data_dir, embedder, faces_dir, tmp_path
):
    from imagefec.analysis.embed import embed_paths

    of_run = evaluate_run(run, data_dir, split="train")
    path = save(tmp_path / "v.npz", data.face_ids, embedder.embed(data.faces))
    for file in (path, embed_paths(run, faces_dir, tmp_path / "embedded.parquet")):
        of_file = evaluate_embeddings(file, data_dir, split="train", against=run)
        for key in ("tpa", "tpa_se", "tpa_se_clustered", "n_triplets", "by_type", "human_tpa"):
            assert of_file[key] == of_run[key]
        assert of_file["against"]["difference"] == 0 and of_file["against"]["run"] == str(run)
        assert of_file["against"]["step"] == 12
    back = evaluate_run(run, data_dir, split="train", against=path)["against"]
    assert (back["run"], back["embeddings"], back["difference"]) == (None, str(path), 0)


def test_scaling_to_unit_length_is_an_option(data, data_dir, tmp_path):
    vectors = sampled(data, 5) + 3
    path = save(tmp_path / "v.npz", data.face_ids, vectors)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    for normalise, expected in ((False, vectors), (True, unit)):
        result = evaluate_embeddings(path, data_dir, split="train", normalise=normalise)
        assert result["tpa"] == mean([row[2] for row in naive(expected, data, range(9))])
        assert result["normalised"] is normalise
        spread = np.mean([math.dist(a, b) ** 2 for a in expected for b in expected]) * 9 / 8
        assert result["embedding_spread"] == pytest.approx(math.sqrt(spread), rel=1e-5)


def test_long_vectors_are_compared_in_parts_with_the_same_result(
    data, data_dir, tmp_path, monkeypatch
):
    from imagefec.analysis import accuracy

    path = save(tmp_path / "v.npz", data.face_ids, sampled(data, 6, d=300))
    expected = evaluate_embeddings(path, data_dir, split="train")
    monkeypatch.setattr(accuracy, "_CHUNK_VALUES", 2000)
    assert evaluate_embeddings(path, data_dir, split="train") == expected


def test_vectors_of_any_scale_have_one_result_and_no_false_warning(data, data_dir, tmp_path):
    vectors = sampled(data, 7)
    results = [
        evaluate_embeddings(
            save(tmp_path / "v.npz", data.face_ids, vectors * scale), data_dir, split="train"
        )
        for scale in (1, 1e-30, 1e60)
    ]
    assert len({result["tpa"] for result in results}) == 1
    assert not any("collapsed" in result["warning"] for result in results)
    lost = save(tmp_path / "lost.npz", data.face_ids, vectors * 1e-165)  # its squares are 0
    result = evaluate_embeddings(lost, data_dir, split="train")
    assert result["tpa"] == 0 and "distances below 1.5e-154 cannot" in result["warning"]
    lost = save(tmp_path / "lost.npz", data.face_ids, vectors * 1e-159)  # they are not exact
    result = evaluate_embeddings(lost, data_dir, split="train")
    assert "distances below 1.5e-154 cannot" in result["warning"]
    same = save(tmp_path / "same.npz", data.face_ids, np.ones((9, 3)) * 1e6)
    assert "collapsed" in evaluate_embeddings(same, data_dir, split="train")["warning"]
    zeros = vectors * (np.arange(9) > 0)[:, None]
    path = save(tmp_path / "zero.npz", data.face_ids, zeros)
    assert (
        "vectors of 1 faces are zero"
        in evaluate_embeddings(path, data_dir, split="train")["warning"]
    )


def test_the_verb_prints_accuracy_loss_and_difference(data, data_dir, run, tmp_path, capsys):
    path = save(tmp_path / "v.npz", data.face_ids[:8], sampled(data, 8)[:8])
    where = [f"--data_dir={data_dir}", "--split=train"]
    assert cli.main(["evaluate", f"--embeddings={path}", f"--against={run}", *where]) == 0
    first, second, last = capsys.readouterr().out.splitlines()
    assert re.fullmatch(
        r"TPA 0\.\d{4} ± 0\.\d{4} on \d+ triplets \(\d+ without vectors of all faces not counted\)",
        first,
    )
    assert re.fullmatch(rf"minus {run}: [+-]0\.\d{{4}} ± 0\.\d{{4}} on \d+ triplets", second)
    assert last == str(path)
    assert cli.main(["evaluate", f"--embeddings={path}", "--invariance", *where]) == 2
    assert "--invariance requires a network" in capsys.readouterr().err
    for argv in ([], [f"--embeddings={path}", f"--run={run}"]):
        with pytest.raises(SystemExit) as ended:
            cli.main(["evaluate", *argv, *where])
        assert ended.value.code == 2


def test_the_five_lines_of_the_documentation_give_a_file_that_evaluate_takes(
    data_dir, tmp_path, monkeypatch
):
    [code] = re.findall(r"```python\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.S)
    (tmp_path / "quickstart").mkdir()
    (tmp_path / "quickstart" / "data").symlink_to(data_dir)
    monkeypatch.chdir(tmp_path)
    shapes = []

    def my_model(faces):
        shapes.append((faces.dtype, faces.shape))
        return faces.reshape(len(faces), -1)[:, :7]

    exec(code, {"my_model": my_model})
    assert shapes[0][0] == np.uint8 and shapes[0][1][1:] == (128, 128, 3)
    assert evaluate_embeddings("mine.npz", data_dir)["coverage"]["n_lost"] == 0
