"""The file of an index, appending, runs that do not match, and the scikit-learn estimator."""

import json
import signal
import subprocess
import sys
import time
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.neighbors import KNeighborsTransformer
from sklearn.utils.estimator_checks import parametrize_with_checks

from imagefec.analysis.neighbours import NeighbourIndex
from imagefec.analysis.neighbours.estimator import NearestFaces
from imagefec.analysis.vectors.vector_file import read_vector_file
from imagefec.errors import UserError
from imagefec.model.embedding.run_identity import RunIdentity

RUN = RunIdentity("ab" * 32, "runs/one", 12, "fec")
OTHER = RunIdentity("cd" * 32, "runs/two", 12, "fec")


def some_vectors(n, dim=4, seed=0):
    return np.random.default_rng(seed).normal(size=(n, dim)).astype(np.float32)


@pytest.mark.parametrize("ids", [["b", "é/1", "", "a b\n"], [3, -1, 2**62, 0]])
@pytest.mark.parametrize("run", [RUN, None])
def test_a_saved_index_is_read_back(tmp_path, ids, run):
    index = NeighbourIndex(some_vectors(4), ids, run=run)
    path = index.save(tmp_path / "new" / "index.npz")
    found = NeighbourIndex.load(path, "product", run=run)
    np.testing.assert_array_equal(found.vectors, index.vectors)
    assert found.vectors.dtype == np.float32
    assert (found.ids, found.run, found.algorithm) == (ids, run, "product")
    assert found.query(index.vectors, 4, None) == index.query(index.vectors, 4, None)


def test_a_saved_index_is_a_file_of_vectors_for_the_other_commands(tmp_path):
    index = NeighbourIndex(some_vectors(3), ["a", "b", "c"], run=RUN)
    file = read_vector_file(index.save(tmp_path / "index.npz"))
    assert file.ids == ["a", "b", "c"]
    np.testing.assert_array_equal(file.vectors, index.vectors)


@pytest.mark.parametrize("algorithm", ["tree", "product"])
def test_an_appended_index_gives_the_answers_of_one_made_at_once(algorithm):
    vectors, ids = some_vectors(30), [f"{row:02}" for row in range(30)]
    index = NeighbourIndex(vectors[20:], ids[20:], algorithm, RUN)
    index.query(vectors, 3)
    index.append(vectors[:20], ids[:20], RUN)
    assert len(index) == 30 and index.ids == [*ids[20:], *ids[:20]]
    at_once = NeighbourIndex(vectors, ids, algorithm, RUN)
    for found, expected in zip(index.query(vectors, 5), at_once.query(vectors, 5), strict=True):
        assert [(n.id, n.distance) for n in found] == [(n.id, n.distance) for n in expected]


@pytest.mark.parametrize(
    ("vectors", "ids", "run", "kind", "text"),
    [
        (some_vectors(1), ["c"], OTHER, UserError, r"runs/one, step 12 .*runs/two, step 12"),
        (some_vectors(1), ["c"], None, UserError, "these are of no known run"),
        (some_vectors(1, 5), ["c"], RUN, UserError, "are 5-d and those of the index 4-d"),
        (some_vectors(2), ["c", "a"], RUN, UserError, "already has 1 of the 2 ids .* such as 'a'"),
        (some_vectors(2), ["c", "c"], RUN, ValueError, "1 repeated, such as 'c'"),
        (some_vectors(1), [7], RUN, ValueError, "all texts or all whole numbers.* int, str"),
        (some_vectors(1) * np.nan, ["c"], RUN, ValueError, "NaN or infinity in row 0"),
        (some_vectors(1).astype(float) * 1e200, ["c"], RUN, ValueError, "larger than 1e100"),
    ],
)
def test_vectors_that_do_not_belong_are_not_appended(vectors, ids, run, kind, text):
    index = NeighbourIndex(some_vectors(2), ["a", "b"], run=RUN)
    before = index.query(index.vectors, 2, None)
    with pytest.raises(kind, match=text):
        index.append(vectors, ids, run)
    assert len(index) == 2 and index.query(index.vectors, 2, None) == before


def test_an_index_of_another_run_is_refused_when_it_is_loaded(tmp_path):
    path = NeighbourIndex(some_vectors(2), ["a", "b"], run=RUN).save(tmp_path / "index.npz")
    with pytest.raises(UserError, match=r"index\.npz has vectors of run runs/one.*mean nothing"):
        NeighbourIndex.load(path, run=OTHER)
    assert NeighbourIndex.load(path, run=RunIdentity(RUN.digest, "moved")).run == RUN


@pytest.mark.parametrize("ids", [["a\0", "b"], [2**80, 1]])
def test_ids_that_a_file_cannot_hold_are_refused_before_anything_is_written(tmp_path, ids):
    with pytest.raises(ValueError, match="zero character, or 64-bit numbers"):
        NeighbourIndex(some_vectors(2), ids).save(tmp_path / "index.npz")
    assert list(tmp_path.iterdir()) == []


def test_ids_of_mixed_types_have_no_order_and_are_refused():
    for ids in (["a", 1], [1.5, 2.5], [True, False], [("a",), ("b",)]):
        with pytest.raises(ValueError, match="all texts or all whole numbers"):
            NeighbourIndex(some_vectors(2), ids)


@pytest.mark.parametrize(
    ("columns", "text"),
    [
        ({"vectors": np.zeros((1, 2))}, "no ids and no index"),
        ({"ids": np.array(["a"]), "vectors": np.zeros((1, 2))}, "it has no index"),
        ({"index": np.array(["{"])}, "damaged index"),
        ({"index": np.array(['{"format": 2}'])}, "format 2; this version of Image FEC reads"),
        ({"index": np.array(['{"format": true}'])}, "format True"),
        ({"index": np.array(['{"format": 1, "run": 5}'])}, "a run must have"),
        ({"index": np.array(["a", "b"])}, r"index is <U1 \[2\]"),
        ({"vectors": np.zeros((3, 2))}, "found 3 vectors and 1 ids"),
        ({"vectors": np.full((1, 2), np.inf)}, "NaN or infinity in row 0"),
        ({"vectors": np.zeros((1, 2), int)}, "vectors is int64"),
        ({"vectors": np.zeros((0, 2)), "ids": np.array([], "U1")}, r"\[n >= 1, d\]"),
        ({"ids": np.array([1.5])}, "ids is float64"),
        ({"ids": np.array([{"a": 1}])}, "pickle"),
    ],
)
def test_files_that_are_no_index_are_refused(tmp_path, columns, text):
    good = {
        "vectors": np.zeros((1, 2)),
        "ids": np.array(["a"]),
        "index": np.array(['{"format": 1, "run": null}']),
    }
    path = tmp_path / "index.npz"
    np.savez(path, **(columns if "no " in text else good | columns))
    with pytest.raises(UserError, match=text):
        NeighbourIndex.load(path)


def test_paths_that_are_no_index_are_refused(tmp_path):
    index = NeighbourIndex(some_vectors(2), ["a", "b"])
    for use in (index.save, NeighbourIndex.load):
        with pytest.raises(UserError, match=r"an index is an \.npz file"):
            use(tmp_path / "index.parquet")
    with pytest.raises(UserError, match="no such file"):
        NeighbourIndex.load(tmp_path / "gone.npz")
    (tmp_path / "folder.npz").mkdir()
    with pytest.raises(UserError, match="is a folder"):
        NeighbourIndex.load(tmp_path / "folder.npz")
    with pytest.raises(UserError, match="is a folder"):
        index.save(tmp_path / "folder.npz")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(data=st.data())
def test_a_damaged_file_is_refused_in_one_sentence_or_read_as_it_was(tmp_path, data):
    path = tmp_path / "index.npz"
    index = NeighbourIndex(some_vectors(5), list("abcde"), run=RUN)
    good = index.save(path).read_bytes()
    damaged = bytearray(good)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    damaged = damaged[: data.draw(st.one_of(st.just(len(good)), st.integers(0, len(good))))]
    path.write_bytes(damaged)
    found = loaded_or_refused(path)
    if found is not None:
        np.testing.assert_array_equal(found.vectors, index.vectors)
        assert (found.ids, found.run) == (index.ids, RUN)


def loaded_or_refused(path):
    """The index, or None if it is refused in one line that names the file."""
    found, text = None, f"{path}"
    try:
        found = NeighbourIndex.load(path)
    except UserError as error:
        text = str(error)
    assert str(path) in text and "\n" not in text
    return found


def test_the_contents_of_the_file_are_fuzzed_behind_a_correct_checksum(tmp_path):
    path = NeighbourIndex(some_vectors(5), list("abcde"), run=RUN).save(tmp_path / "index.npz")
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    random = np.random.default_rng(0)
    refused = 0
    for _ in range(300):
        name = random.choice(list(members))
        changed = bytearray(members[name])
        changed[random.integers(len(changed))] = random.integers(256)
        with zipfile.ZipFile(path, "w") as archive:
            for each, content in members.items():
                archive.writestr(each, bytes(changed) if each == name else content)
        index = loaded_or_refused(path)
        if index is None:
            refused += 1
        else:
            index.query(index.vectors, len(index), None)
    assert refused > 50


SAVE_FOREVER = """
import sys
import numpy as np
from imagefec.analysis.neighbours import NeighbourIndex
index = NeighbourIndex(np.random.default_rng(1).normal(size=(2000, 8)), range(2000))
while True:
    index.save(sys.argv[1])
    print("saved", flush=True)
"""


def test_a_killed_save_leaves_the_old_or_the_new_index(tmp_path):
    path = tmp_path / "index.npz"
    for wait_s in (0.0, 0.013):
        process = subprocess.Popen(
            [sys.executable, "-c", SAVE_FOREVER, str(path)], stdout=subprocess.PIPE
        )
        process.stdout.readline()
        time.sleep(wait_s)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert len(NeighbourIndex.load(path)) == 2000


def test_the_text_of_an_index_names_its_size_and_run():
    index = NeighbourIndex(some_vectors(2), ["a", "b"], run=RUN)
    assert repr(index) == (
        "<NeighbourIndex of 2 faces, 4-d, tree, run=run runs/one, step 12 (weights abababababab)>"
    )
    assert json.loads(json.dumps(RUN.as_json()))["step"] == 12


@parametrize_with_checks([NearestFaces(), NearestFaces(algorithm="product")])
def test_the_estimator_passes_the_checks_of_scikit_learn(estimator, check):
    check(estimator)


@pytest.mark.parametrize("algorithm", ["tree", "product"])
def test_the_estimator_gives_what_that_of_scikit_learn_gives(algorithm):
    vectors, queries = some_vectors(50), some_vectors(6, seed=1)
    ours = NearestFaces(n_neighbors=3, algorithm=algorithm).fit(vectors)
    theirs = KNeighborsTransformer(n_neighbors=3, algorithm="brute").fit(vectors)
    for given_queries in (queries, None):
        distances, rows = ours.kneighbors(given_queries)
        expected_distances, expected_rows = theirs.kneighbors(given_queries)
        np.testing.assert_array_equal(rows, expected_rows)
        np.testing.assert_allclose(distances, expected_distances, atol=1e-6)
        np.testing.assert_array_equal(
            ours.kneighbors(given_queries, return_distance=False), expected_rows
        )
    graph, expected_graph = ours.transform(queries), theirs.transform(queries)
    np.testing.assert_allclose(graph.toarray(), expected_graph.toarray(), atol=1e-6)
    assert ours.get_feature_names_out().tolist() == [f"nearestfaces{row}" for row in range(50)]


@pytest.mark.parametrize("k", [0, 5, 2.5, True, None])
def test_the_estimator_refuses_a_number_of_neighbours_it_cannot_give(k):
    fitted = NearestFaces(n_neighbors=9).fit(some_vectors(4))
    with pytest.raises(ValueError, match="n_neighbors must be 1 to 4"):
        fitted.kneighbors(some_vectors(1), k)
    with pytest.raises(ValueError, match="n_neighbors must be 1 to 3"):
        fitted.kneighbors(None, 4)
