"""Each exported file against its run: values, batches, the record inside, damage, refusals."""

# Over 350 lines: its tests share a run and its exports, which take long to make.

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from imagefec import cli
from imagefec.errors import UserError
from imagefec.export import check
from imagefec.export.build import export_run
from imagefec.model import Embedder, checkpoint_file
from imagefec.model.network import load_network
from imagefec.model.run import Run
from tests.model.network.numpy_network import run_network
from tests.model.network.small_networks import some_faces
from tests.model.network.small_runs import SETTINGS, write_run

SIDE = 33


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    extra = {"eval_split": "test", "recipe": "quickstart"}
    return write_run(tmp_path_factory.mktemp("runs") / "small", SETTINGS, SIDE, **extra)


@pytest.fixture(scope="module")
def faces():
    return some_faces(7, SIDE, seed=1)


@pytest.fixture(scope="module")
def expected(run, faces):
    """The run's embeddings by the oracle, without Trax."""
    return run_network(load_network(run), faces)


@pytest.fixture(scope="module")
def archive(run, tmp_path_factory):
    out = tmp_path_factory.mktemp("archive") / "small.npz"
    export_run(run, out, "archive")
    return out


@pytest.fixture(scope="module")
def onnx_file(run, tmp_path_factory):
    out = tmp_path_factory.mktemp("onnx") / "small.onnx"
    export_run(run, out, "onnx")
    return out


def test_an_archive_loads_as_its_run_does(archive, run, faces, expected):
    embedder = Embedder.load(archive)
    np.testing.assert_array_equal(embedder.embed(faces), Embedder.load(run).embed(faces))
    np.testing.assert_allclose(embedder.embed(faces), expected, atol=1e-4)
    np.testing.assert_allclose(run_network(load_network(archive), faces), expected, atol=1e-12)
    assert embedder.info["step"] == 12 and embedder.image_size == SIDE


def test_an_archive_is_an_npz_of_the_weights_with_their_digests(archive, run):
    import hashlib
    import zipfile

    with np.load(archive) as arrays, zipfile.ZipFile(archive) as members:
        meta = json.loads(members.read("meta.json"))
        stored, _ = checkpoint_file.load(run / "best.npz")
        assert set(arrays.files) - {"meta.json"} == set(stored) == set(meta["sha256"]["arrays"])
        for name, array in stored.items():
            np.testing.assert_array_equal(arrays[name], array)
            data = members.read(f"{name}.npy")
            assert meta["sha256"]["arrays"][name] == hashlib.sha256(data).hexdigest()


def test_an_archive_can_be_exported_again(archive, tmp_path, faces, expected):
    from imagefec.export import onnx

    export_run(archive, tmp_path / "again.onnx", "onnx")
    session = onnx.open_session(tmp_path / "again.onnx")
    np.testing.assert_allclose(onnx.embed(session, faces), expected, atol=1e-4)
    export_run(archive, tmp_path / "again.npz", "archive")
    assert Run.open(tmp_path / "again.npz").archive_meta == Run.open(archive).archive_meta


def test_an_onnx_file_takes_batches_of_any_size(onnx_file, faces, expected):
    import onnxruntime

    session = onnxruntime.InferenceSession(onnx_file, providers=["CPUExecutionProvider"])
    (given,), (result,) = session.get_inputs(), session.get_outputs()
    assert (given.type, given.shape) == ("tensor(uint8)", ["n", SIDE, SIDE, 3])
    assert (result.type, result.shape) == ("tensor(float)", ["n", 5])
    for n in (1, 2, 7):
        (found,) = session.run(["embeddings"], {"faces": faces[:n]})
        np.testing.assert_allclose(found, expected[:n], atol=1e-4)


def test_an_onnx_file_is_valid_for_opset_17(onnx_file):
    import onnx

    model = onnx.load(onnx_file)
    onnx.checker.check_model(model, full_check=True)
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 17)]


def test_a_file_says_what_it_is(onnx_file, archive, run):
    from imagefec.export import onnx

    record = onnx.read_record(onnx_file)
    assert record["architecture"] == {
        **SETTINGS,
        "dropout": 0.0,
        "norm": "batch",
        "norm_momentum": 0.9,
        "padding": "same",
        "scaling": "unit",
        "stem": "imagenet",
        "zero_init_residual": False,
    }
    assert record["run"] == json.loads((run / "run.json").read_text())
    assert record["step"] == 12 and record["tpa"] is None
    assert record["preprocessing"]["image_size"] == SIDE
    assert record["training_data"]["dataset"] == "fec"
    assert record["weights_sha256"] == checkpoint_file.arrays_digest(run / "best.npz")
    found = record["check"]
    assert found["n_faces"] == 32 and found["faces"] == "synthetic faces"
    assert 0 <= found["largest_difference"] <= found["tolerance"] == 1e-4
    meta = checkpoint_file.load_meta(archive)
    assert {name: meta[name] for name in record if name != "check"} == {
        name: value for name, value in record.items() if name != "check"
    }


def test_the_tpa_is_that_of_the_checkpoints_step(tmp_path):
    run = write_run(tmp_path / "run", SETTINGS, SIDE, eval_split="validation")
    arrays, _ = checkpoint_file.load(run / "best.npz")
    evaluated = {"metrics/tpa": [[5, 0.4], [12, 0.75]], "metrics/tpa_se": [[5, 0.1], [12, 0.03]]}
    meta = {"step": 12, "history": {"_values": {"eval": evaluated}}}
    checkpoint_file.save(run / "best.npz", arrays, meta)
    export_run(run, tmp_path / "run.npz", "archive")
    assert Run.open(tmp_path / "run.npz").archive_meta["tpa"] == {
        "tpa": 0.75,
        "standard_error": 0.03,
        "dataset": "fec",
        "split": "validation",
    }


@pytest.mark.slow
def test_the_check_uses_the_datasets_faces_where_they_are(world, tmp_path):
    run = write_run(tmp_path / "run", {**SETTINGS, "stem": "conv3x2"}, 32, eval_split="test")
    result = export_run(run, tmp_path / "x.onnx", "onnx", world.data_dir)
    assert result["check"]["faces"] == "fec, split test"
    assert result["bytes"] == (tmp_path / "x.onnx").stat().st_size


def test_a_file_that_differs_from_the_run_is_refused_and_not_kept(run, tmp_path, faces, expected):
    source = check.Faces(faces, "noise")
    assert check.compare(lambda x: expected[: len(x)], expected, source, "x")["n_faces"] == 7
    for wrong in (
        lambda x: expected[: len(x)] + 2e-4,
        lambda x: expected[: len(x)] * np.nan,
        lambda x: expected[:7],  # ignores how many faces it is given
    ):
        with pytest.raises(RuntimeError, match="differ from the run"):
            check.compare(wrong, expected, source, "x")


# Every byte of an archive is covered: by a digest, by the zip file's checksums, or by its layout.
@pytest.mark.parametrize("place", np.linspace(0.001, 0.999, 40))
def test_a_damaged_archive_is_refused_in_one_sentence(archive, tmp_path, place):
    data = bytearray(archive.read_bytes())
    data[int(place * len(data))] ^= 0x40
    (tmp_path / "damaged.npz").write_bytes(data)
    refusal = f"{tmp_path / 'damaged.npz'}: "
    try:
        load_network(tmp_path / "damaged.npz")
    except UserError as error:
        found = str(error)
    else:  # a time or an attribute of the zip file, which means nothing here
        same = Run.open(tmp_path / "damaged.npz").checkpoint_digest
        found = refusal if same == Run.open(archive).checkpoint_digest else "loaded"
    assert found.startswith(refusal) and "\n" not in found


@pytest.mark.parametrize("share", [0, 0.3, 0.99])
def test_a_truncated_archive_is_refused(archive, tmp_path, share):
    data = archive.read_bytes()
    (tmp_path / "short.npz").write_bytes(data[: int(share * len(data))])
    code = cli.main(
        ["embed", f"--run={tmp_path / 'short.npz'}", "x.png", f"--out={tmp_path}/o.npz"]
    )
    assert code == 2


def change(archive, path, edit_meta=lambda meta: meta, edit_arrays=lambda arrays: arrays):
    """An archive whose zip file is in order, but whose contents were edited."""
    arrays, meta = checkpoint_file.load(archive)
    checkpoint_file.save(path, edit_arrays(arrays), edit_meta(meta))
    return path


@pytest.mark.parametrize(
    ("edit", "what"),
    [
        (lambda meta: {**meta, "step": 13}, "its meta.json has been changed"),
        (lambda meta: {**meta, "version": 2}, "an archive of version 2; this version"),
        (lambda meta: {**meta, "format": None}, "not an archive of Image FEC"),
        (lambda meta: {"step": 1}, "not an archive of Image FEC"),
        (lambda meta: {**meta, "sha256": []}, "no SHA-256 digests"),
        (lambda meta: {**meta, "sha256": {"arrays": {}, "meta": 3}}, "has been changed"),
    ],
)
def test_an_edited_meta_is_refused(archive, tmp_path, edit, what):
    with pytest.raises(UserError, match=what):
        Run.open(change(archive, tmp_path / "edited.npz", edit))


def test_an_edited_weight_is_refused_and_named(archive, tmp_path):
    def edit(arrays):
        arrays["weights/1.Stem/0.Conv"][0, 0, 0, 0] += 1e-3
        return arrays

    path = change(archive, tmp_path / "edited.npz", edit_arrays=edit)
    for load in (load_network, Embedder.load):
        with pytest.raises(UserError, match=r"array weights/1\.Stem/0\.Conv has been changed"):
            load(path)


def test_an_archive_whose_run_is_nonsense_is_refused(archive, tmp_path):
    from imagefec.model.archive import meta_digest

    for run in ({"format": 1}, [], {"format": 9, "image_size": 33, "model": {}}):

        def edit(meta, run=run):
            meta["run"] = run
            meta["sha256"]["meta"] = meta_digest(meta)
            return meta

        with pytest.raises(UserError):
            Run.open(change(archive, tmp_path / "odd.npz", edit))


def test_a_checkpoint_is_no_archive(run):
    with pytest.raises(UserError, match="not an archive of Image FEC"):
        Run.open(run / "best.npz")


def test_an_onnx_file_of_another_program_has_no_record(tmp_path):
    import onnx as onnx_package

    from imagefec.export import onnx

    helper = onnx_package.helper
    value = helper.make_tensor_value_info("x", onnx_package.TensorProto.FLOAT, [1])
    graph = helper.make_graph([], "empty", [value], [value])
    onnx_package.save(helper.make_model(graph), tmp_path / "other.onnx")
    with pytest.raises(UserError, match="`imagefec export` did not write"):
        onnx.read_record(tmp_path / "other.onnx")
    (tmp_path / "broken.onnx").write_bytes(b"no model at all")
    for read in (onnx.read_record, onnx.open_session):
        with pytest.raises(UserError, match=r"broken\.onnx: "):
            read(tmp_path / "broken.onnx")


def test_the_verb_prints_the_path_or_the_result(run, tmp_path, capsys):
    out = tmp_path / "new" / "small.npz"
    argv = ["export", f"--run={run}", "--format=archive", f"--out={out}"]
    assert cli.main(argv) == 0
    assert capsys.readouterr().out == f"{out}\n"
    assert cli.main([*argv, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["path"] == str(out) and printed["check"]["largest_difference"] <= 1e-4
    assert [path.name for path in out.parent.iterdir()] == ["small.npz"]


@pytest.mark.parametrize(
    ("flags", "what"),
    [
        (["--run=missing", "--out=x.npz"], "missing: no such run directory"),
        (["--run={run}", "--out={folder}"], "is a folder"),
        (["--run={run}", "--out=x.npz", "--data_dir=missing"], "missing"),
    ],
)
def test_what_cannot_be_exported_is_refused(run, tmp_path, capsys, monkeypatch, flags, what):
    monkeypatch.chdir(tmp_path)
    written = [flag.format(run=run, folder=tmp_path) for flag in flags]
    assert cli.main(["export", "--format=archive", *written]) == 2
    error = capsys.readouterr().err
    assert what in error and error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_an_onnx_file_is_written_and_run_without_jax_trax_and_tensorflow(run, tmp_path):
    code = (
        "import sys, numpy as np\n"
        "from imagefec.export import onnx, record\n"
        "from imagefec.model.network import load_network\n"
        "from imagefec.model.run import Run\n"
        "run = Run.open(sys.argv[1])\n"
        "onnx.write_onnx(load_network(run), sys.argv[2], record.record_of_run(run))\n"
        f"faces = np.zeros((2, {SIDE}, {SIDE}, 3), np.uint8)\n"
        "assert onnx.embed(onnx.open_session(sys.argv[2]), faces).shape == (2, 5)\n"
        "print(*{'jax', 'trax', 'tensorflow'} & sys.modules.keys())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(run), str(tmp_path / "x.onnx")],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "", "")


def test_int8_is_measured_on_a_split_and_printed(world, tmp_path, capsys):
    run = write_run(tmp_path / "run", {**SETTINGS, "d_hidden": 8}, 32, eval_split="test")
    out = tmp_path / "int8.onnx"
    argv = ["export", f"--run={run}", "--format=onnx", f"--out={out}", "--precision=int8"]
    assert cli.main([*argv, f"--data_dir={world.data_dir}", "--json"]) == 0
    printed = capsys.readouterr()
    found = json.loads(printed.out)["check"]
    expected = evaluated_tpa(Embedder.load(run).embed, world.data_dir)
    assert found["tpa_before"] == pytest.approx(expected, abs=1e-9)
    from imagefec.export import onnx

    session = onnx.open_session(out)
    after = evaluated_tpa(lambda faces: onnx.embed(session, faces), world.data_dir)
    assert found["tpa_after"] == pytest.approx(after, abs=1e-9)
    assert 0 < found["mean_distance"] < 0.5  # of unrelated unit vectors: about 1.4
    assert f"TPA {expected:.1%} before, {after:.1%} after" in printed.err
    assert onnx.read_record(out)["check"] == found
    export_run(run, tmp_path / "float.onnx", "onnx")
    import onnx as onnx_package

    types = {
        tensor.data_type
        for tensor in onnx_package.load(out).graph.initializer
        if len(tensor.dims) == 4
    }
    assert types == {onnx_package.TensorProto.INT8}


def evaluated_tpa(embed, data_dir):
    """TPA by a loop over the triplets."""
    from imagefec.data.store.datasets import load_triplets

    data = load_triplets(data_dir, "fec", "test", 32)
    vectors = embed(np.stack([data.faces[i] for i in range(len(data.faces))]))

    def distance(i, j):
        return np.linalg.norm(vectors[i] - vectors[j])

    correct = [
        distance(a, b) < min(distance(a, odd), distance(b, odd)) for a, b, odd in data.triplets
    ]
    return np.mean(correct)


@pytest.mark.parametrize(
    ("flags", "what"),
    [
        (["--format=tflite", "--precision=int8"], "--format=onnx has float32 and int8"),
        (["--format=onnx", "--precision=bfloat16"], "--precision=bfloat16 is not available"),
        (["--format=onnx", "--precision=int8"], "needs --data_dir"),
    ],
)
def test_a_precision_that_nothing_has_or_measures_is_refused(run, tmp_path, capsys, flags, what):
    out = tmp_path / "x"
    assert cli.main(["export", f"--run={run}", f"--out={out}", *flags]) == 2
    error = capsys.readouterr().err
    assert what in error and error.count("\n") == 1 and not out.exists()


def test_a_stablehlo_file_has_its_record_beside_it(run, tmp_path, faces, expected):
    from imagefec.export.stablehlo import open_stablehlo

    export_run(run, tmp_path / "small.stablehlo", "stablehlo")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "small.stablehlo",
        "small.stablehlo.json",
    ]
    record = json.loads((tmp_path / "small.stablehlo.json").read_text())
    assert record["check"]["largest_difference"] <= 1e-4
    found = open_stablehlo(tmp_path / "small.stablehlo")(faces)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_a_savedmodel_is_a_new_folder(run, tmp_path, capsys):
    out = tmp_path / "model"
    argv = ["export", f"--run={run}", "--format=savedmodel", f"--out={out}"]
    assert cli.main(argv) == 0
    assert (out / "saved_model.pb").is_file()
    assert "check" in json.loads((out / "assets.extra" / "imagefec.json").read_text())
    assert cli.main(argv) == 2
    assert "exists already" in capsys.readouterr().err
