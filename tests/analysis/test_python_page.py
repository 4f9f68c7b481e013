"""The Python of docs/python.md and docs/tutorial.md, with the run and the data that they assume."""

import doctest
import pathlib
import re

import imagefec
from imagefec import cli
from tests.analysis.conftest import MANUAL

DOCS = pathlib.Path(imagefec.__file__).parents[1] / "docs"


def test_the_examples_of_the_python_page_give_what_it_shows(run, data_dir, tmp_path, monkeypatch):
    (tmp_path / "quickstart").mkdir()
    (tmp_path / "quickstart" / "run").symlink_to(run)
    (tmp_path / "quickstart" / "data").symlink_to(data_dir)
    monkeypatch.chdir(tmp_path)
    result = doctest.testfile(str(DOCS / "python.md"), module_relative=False)
    assert result.attempted > 20 and not result.failed


def test_the_recipe_of_a_table_gives_a_column_for_each_number(
    run, data_dir, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    for split in ("train", "test"):
        evaluated = ["evaluate", f"--run={run}", f"--data_dir={data_dir}", f"--split={split}"]
        assert cli.main([*evaluated, "--json"]) == 0
    (tmp_path / "evaluations.jsonl").write_text(capsys.readouterr().out)
    text = (DOCS / "how_to.md").read_text()
    (block,) = re.findall(r"^```python\n((?:(?!```).)*json_normalize.*?)^```", text, re.M | re.S)
    exec(compile(block, "how_to.md", "exec"), {})
    head, *rows = (tmp_path / "evaluations.csv").read_text().splitlines()
    assert head == "run,tpa,tpa_se_clustered,by_type.one_class.tpa" and len(rows) == 2
    assert all(row.startswith(f"{run},") for row in rows)


def test_the_python_of_the_tutorial_runs(run, data_dir, tmp_path, monkeypatch, capsys):
    (tmp_path / "first" / "runs").mkdir(parents=True)
    (tmp_path / "first" / "runs" / "rate_5e-3").symlink_to(run)
    (tmp_path / "first" / "world").symlink_to(MANUAL)
    (tmp_path / "first" / "data").symlink_to(data_dir)
    monkeypatch.chdir(tmp_path)
    text = (DOCS / "tutorial.md").read_text(encoding="utf-8")
    names: dict = {}
    for block in re.findall(r"^```python\n(.*?)^```", text, re.M | re.S):
        exec(block, names)
    assert (tmp_path / "first" / "triplet.png").is_file()
    # The gradient steps do not depend on the data, so the page shows what they print.
    steps = [line for line in capsys.readouterr().out.splitlines() if "loss" in line]
    assert len(steps) == 4 and "\n".join(steps) in text
