"""The complete pipeline on synthetic faces: a short one for CI, the full one marked slow."""

import json
import pathlib
import re

import pytest

from imagefec import quickstart
from imagefec.errors import UserError
from imagefec.fec import csv_file_name

FIELDS = {
    "tpa",
    "tpa_se",
    "n_triplets",
    "by_type",
    "human_tpa",
    "embedding_spread",
    "run",
    "step",
    "dataset",
    "split",
    "wall_s",
    "n_images_fetched",
    "n_faces",
    "n_dropped",
}


@pytest.fixture(scope="module")
def short(tmp_path_factory):
    out = tmp_path_factory.mktemp("quickstart") / "out"
    settings = {"faces": 950, "identities": 30, "triplets": 500, "config_file": "smoke.gin"}
    return out, settings, quickstart.quickstart(out, 0, **settings)


def test_quickstart_writes_the_documented_summary_and_files(short):
    out, _, summary = short
    assert summary.keys() >= FIELDS
    assert json.loads((out / "summary.json").read_text()) == summary
    assert list(summary["wall_s"]) == [
        "draw",
        "fetch",
        "crop",
        "build",
        "train",
        "evaluate",
        "gallery",
    ]
    for key in ("gallery_png", "gallery_html", "run", "data_dir"):
        assert pathlib.Path(summary[key]).exists()
    assert summary["n_faces"] > 700 and 0.7 < summary["human_tpa"] < 1
    assert summary["human_tpa_source"] == "simulated"


def test_expressions_and_persons_are_scored_and_on_the_gallerys_page(short):
    summary = short[2]
    found = summary["neighbours"]
    known = found["annotations"]
    assert known["n_label"] == known["n_person"] == known["n_faces"] > 50
    assert found["same_label"]["4"]["n_queries"] > 50
    assert 0 < found["same_person"]["4"]["chance"] < 0.5
    text = pathlib.Path(summary["gallery_html"]).read_text(encoding="utf-8")
    walk = json.loads(re.search(r'id="data">(.*?)</script>', text, re.S)[1])
    columns = {column["name"]: column for column in walk["columns"]}
    assert list(columns) == ["label", "person", "triplets"]
    assert len(columns["person"]["values"]) == known["n_persons"]
    assert all(len(of) == 1 for of in columns["label"]["of"])


def test_every_photo_is_fetched_over_http(short):
    out, _, summary = short
    rows = (out / "fec" / csv_file_name("train")).read_text().splitlines()
    assert all(row.startswith('"http://127.0.0.1:') for row in rows)
    assert summary["n_images_fetched"] > 600


def test_a_second_run_resumes_and_other_settings_are_refused(short):
    out, settings, summary = short
    again = quickstart.quickstart(out, 0, **settings)
    assert again["tpa"] == summary["tpa"] and again["step"] == summary["step"]
    with pytest.raises(UserError, match="Choose another --output_dir"):
        quickstart.quickstart(out, 1, **settings)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"config_file": "nowhere.gin"}, "--config_file=nowhere.gin: there is no such file"),
        ({"config_file": "models/tiny.gin"}, "Required bindings .* Give --config_file"),
        ({"bindings": ["training.steps = 1e4"]}, "training.steps is 10000.0; .* Write 10000"),
        ({"bindings": ["import os"]}, "a gin file may bind settings"),
        ({"bindings": ["hosts.processes = 2"]}, "hosts.coordinator is None"),
        ({"seed": -1}, "training.seed is -1; it must be an integer, 0 or more"),
        ({"seed": 1.5}, r"training.seed is 1\.5; it must be an integer"),
    ],
)
def test_wrong_settings_of_the_training_are_refused_before_the_first_stage(
    tmp_path, wrong, message
):
    with pytest.raises(UserError, match=message):
        quickstart.quickstart(tmp_path / "out", **wrong)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_quickstart_learns(seed, tmp_path):
    summary = quickstart.quickstart(tmp_path / "out", seed)
    assert summary["n_triplets"] >= 8000 and summary["tpa"] >= 0.80


def test_damaged_state_files_are_reported_and_written_again(tmp_path, caplog):
    (tmp_path / "settings.json").touch()  # as a full disk leaves it
    settings = {"seed": 0, "faces": 950, "identities": 30, "triplets": 500}
    with quickstart._locked(tmp_path, settings):
        assert json.loads((tmp_path / "settings.json").read_text()) == settings
    assert "settings.json is damaged" in caplog.text
    (tmp_path / ".port").write_text("12")
    assert quickstart._saved_port(tmp_path / ".port") == 12
    for damaged in ("", "x", "-1", "99999999"):
        (tmp_path / ".port").write_text(damaged)
        assert quickstart._saved_port(tmp_path / ".port") == 0


def test_a_second_quickstart_in_the_folder_is_refused(tmp_path):
    settings = {"seed": 0, "faces": 950, "identities": 30, "triplets": 500}
    with (
        quickstart._locked(tmp_path, settings),
        pytest.raises(UserError, match=r"another quickstart \(process [0-9]+\) is writing"),
        quickstart._locked(tmp_path, settings),
    ):
        pass
