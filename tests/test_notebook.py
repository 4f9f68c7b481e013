"""The notebook of colab/, executed from top to bottom with few faces and steps."""

import json
import pathlib
import re

import nbformat
import pytest
from nbclient import NotebookClient

import imagefec

CHECKOUT = pathlib.Path(imagefec.__file__).parents[1]
NOTEBOOK = CHECKOUT / "colab" / "image_fec.ipynb"


@pytest.fixture(scope="module")
def notebook():
    return nbformat.read(NOTEBOOK, as_version=4)


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    out = tmp_path_factory.mktemp("notebook")
    patch = pytest.MonkeyPatch()
    patch.setenv("IMAGEFEC_NOTEBOOK_SMOKE", "1")
    patch.setenv("IMAGEFEC_NOTEBOOK_OUT", str(out))
    patch.setenv("PYTHONPATH", str(CHECKOUT))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    resources = {"metadata": {"path": str(CHECKOUT / "colab")}}
    try:
        NotebookClient(notebook, timeout=600, kernel_name="python3", resources=resources).execute()
    finally:
        patch.undo()
    return out, {cell.id: cell for cell in notebook.cells}


def said(cell):
    return "".join(output.get("text", "") for output in cell.outputs)


def test_it_is_stored_without_outputs_and_counts(notebook):
    for cell in notebook.cells:
        assert cell.cell_type == "markdown" or (not cell.outputs and cell.execution_count is None)


def test_it_uses_public_names_only(notebook):
    for cell in notebook.cells:
        assert not re.search(r"imagefec(\.\w+)*\._\w|import _", cell.source), cell.id


def test_every_cell_runs_and_the_numbers_are_those_of_the_run(executed):
    out, cells = executed
    assert re.search(r"JAX uses \d+ x (cpu|gpu|tpu)", said(cells["devices"]))
    match = re.search(r"TPA (0\.\d{3}) ± (0\.\d{3}) on (\d+) triplets", said(cells["evaluate"]))
    tpa, error, n = float(match[1]), float(match[2]), int(match[3])
    history = json.loads((out / "run" / "history.json").read_text())
    assert [step for step, _ in history["eval"]["metrics/tpa"]] == [1, 10, 20, 30]
    # After 30 steps nothing is learned: TPA is near chance, by its own error.
    assert n > 100 and abs(tpa - 1 / 3) < 0.1 + 4 * error
    [difference] = re.findall(r"distances: (\[\[0\.0, .*\]\])", said(cells["use"]))
    assert len(json.loads(difference)) == 3
    assert re.search(r"^1 face\(s\) in a photo", said(cells["serve"]), re.MULTILINE)


def test_curves_and_gallery_are_pictures(executed):
    out, cells = executed
    for name in ("curves", "gallery"):
        assert any("image/png" in output.get("data", {}) for output in cells[name].outputs)
    assert (out / "expressions.onnx").stat().st_size > 10_000
