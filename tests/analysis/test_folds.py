"""Evaluation over folds: means, pooled numbers and differences against loops, and the real path."""

import json
import math
import statistics

import numpy as np
import pytest

from imagefec import cli, quickstart
from imagefec.analysis.evaluate import evaluate_embeddings, evaluate_run
from imagefec.analysis.folds import evaluate_folds
from imagefec.data.parting.folds import split_into_folds
from imagefec.data.store import datasets
from imagefec.errors import UserError
from tests.analysis.test_formats_page import NAMES

N = 3


@pytest.fixture(scope="module")
def folds(world, tmp_path_factory):
    """Three folds over the persons of the synthetic world, built; the faces are cropped once."""
    out = tmp_path_factory.mktemp("folds") / "folds"
    report = split_into_folds(world.csv_paths, out, N)
    assert report["parted_by"] == "persons"
    found = [out / f"fold{number}" for number in range(N)]
    for fold in found:
        assert fold.joinpath("faces").resolve() == (world.manual_dir / "faces").resolve()
        quickstart.build(fold, fold / "data")
    return found


@pytest.fixture(scope="module")
def data_dirs(folds):
    return [fold / "data" for fold in folds]


@pytest.fixture(scope="module")
def splits(data_dirs):
    return [datasets.load_triplets(data_dir, split="test", image_size=8) for data_dir in data_dirs]


@pytest.fixture(scope="module")
def vectors(splits, tmp_path_factory):
    """Two files of random vectors of all faces, and the vectors by face."""
    ids = [name for split in splits for name in split.face_ids]
    files, by_id = [], []
    for seed in range(2):
        values = np.random.default_rng(seed).normal(size=(len(ids), 4))
        files.append(tmp_path_factory.mktemp("vectors") / f"v{seed}.npz")
        np.savez(files[-1], ids=np.array(ids), vectors=values)
        by_id.append(dict(zip(ids, values)))
    return files, by_id


def is_correct(split, triplet, vector_of):
    a, b, odd = (vector_of[split.face_ids[row]] for row in triplet)
    return math.dist(a, b) < min(math.dist(a, odd), math.dist(b, odd))


def correct(splits, vector_of):
    return [[is_correct(split, each, vector_of) for each in split.triplets] for split in splits]


def test_the_mean_over_folds_and_the_pooled_tpa_equal_loops(splits, data_dirs, vectors):
    (path, other), (mine, theirs) = vectors
    result = evaluate_folds([path], data_dirs, against=[other])
    own, others = correct(splits, mine), correct(splits, theirs)
    means = [statistics.mean(fold) for fold in own]
    assert result["folds"]["n"] == N
    assert result["folds"]["tpa"] == pytest.approx(statistics.mean(means))
    assert result["folds"]["tpa_se"] == pytest.approx(statistics.stdev(means) / math.sqrt(N))
    pooled = [value for fold in own for value in fold]
    assert result["n_triplets"] == len(pooled)
    assert result["tpa"] == pytest.approx(statistics.mean(pooled))
    assert sum(part["n_triplets"] for part in result["by_type"].values()) == len(pooled)
    gains = [[int(a) - int(b) for a, b in zip(*fold)] for fold in zip(own, others)]
    fold_gains = [statistics.mean(fold) for fold in gains]
    found = result["against"]
    assert found["folds"]["difference"] == pytest.approx(statistics.mean(fold_gains))
    assert found["folds"]["standard_error"] == pytest.approx(
        statistics.stdev(fold_gains) / math.sqrt(N)
    )
    assert found["difference"] == pytest.approx(
        statistics.mean([gain for fold in gains for gain in fold])
    )
    assert found["n_triplets"] == len(pooled)
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    for part in (result, result["folds"], found, found["folds"]):
        assert set(part) <= NAMES


def test_each_fold_has_the_result_of_its_own_evaluation(data_dirs, vectors):
    (path, _), _ = vectors
    each = evaluate_folds([path], data_dirs, disjoint_from="train")["folds"]["each"]
    assert each == [
        evaluate_embeddings(path, data_dir, disjoint_from="train") for data_dir in data_dirs
    ]
    assert all(fold["disjoint"]["n_left_out"] == 0 for fold in each)


def test_runs_of_folds_are_trained_and_averaged_by_the_verbs(folds, data_dirs, capsys):
    from imagefec.training import configurables

    settings = ["steps = 2", "training.eval_split = 'validation'"]
    for fold in folds:
        configurables.run(["smoke.gin"], settings, fold / "run", fold / "data")
    configurables.gin.clear_config()
    runs = [str(fold / "run") for fold in folds]
    flags = ["evaluate", "--run", *runs, "--data_dir", *map(str, data_dirs)]
    assert cli.main([*flags, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    tpas = [evaluate_run(run, data)["tpa"] for run, data in zip(runs, data_dirs)]
    assert [each["tpa"] for each in result["folds"]["each"]] == tpas
    assert [each["run"] for each in result["folds"]["each"]] == runs
    assert result["folds"]["tpa"] == pytest.approx(statistics.mean(tpas))
    assert (result["run"], result["step"], result["split"]) == (None, None, "test")
    assert result["embedding_spread"] > 0 and result["human_tpa_source"] == "simulated"
    assert cli.main(flags) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line[:7] for line in lines[:N]] == ["fold 0:", "fold 1:", "fold 2:"]
    assert f"mean over {N} folds ± its standard error over folds" in lines[N]
    assert lines[-1] == ", ".join(runs)


def test_runs_and_data_that_are_no_folds_are_refused(folds, data_dirs, vectors):
    (path, other), _ = vectors
    runs = [fold / "run" for fold in folds]
    with pytest.raises(UserError, match="gives 2 and --data_dir 3"):
        evaluate_folds(runs[:2], data_dirs)
    with pytest.raises(UserError, match="--against gives 2 and --data_dir 3"):
        evaluate_folds([path], data_dirs, against=[other, other])
    with pytest.raises(UserError, match="another fold, whose test faces"):
        evaluate_folds(runs[::-1], data_dirs)
    with pytest.raises(UserError, match="so the two are not folds"):
        evaluate_folds([path], [data_dirs[0], data_dirs[0]])
    with pytest.raises(UserError, match="requires networks"):
        evaluate_folds([path], data_dirs, invariance=True)


def test_the_fold_of_a_path_is_found_by_its_complete_path_and_through_links(
    folds, data_dirs, tmp_path, monkeypatch
):
    for fold in folds[:2]:
        (fold / "plain").mkdir(exist_ok=True)
    monkeypatch.chdir(folds[0])
    with pytest.raises(UserError, match=r"^\.\./fold1/plain is of fold1, .* data of data, fold0"):
        evaluate_folds(["../fold1/plain", "plain"], ["data", "../fold1/data"])
    names = [tmp_path / "a", tmp_path / "b"]
    for name, fold in zip(names, folds):
        name.symlink_to(fold)
    (tmp_path / "fold0").symlink_to(folds[1])  # its name says another fold than it leads to
    for runs in ([names[1] / "plain", "plain"], [tmp_path / "fold0" / "plain", "plain"]):
        with pytest.raises(UserError, match=r"is of fold1, .* another fold"):
            evaluate_folds(runs, [names[0] / "data", names[1] / "data"])
    with pytest.raises(UserError, match=r"plain: has no run\.json"):  # in order: opened
        evaluate_folds([name / "plain" for name in names], data_dirs[:2])
