"""The examples of docs/python.md, in a folder with a run and a dataset as the page assumes."""

import doctest
import pathlib

import imagefec

PAGE = pathlib.Path(imagefec.__file__).parents[1] / "docs" / "python.md"


def test_the_examples_of_the_python_page_give_what_it_shows(run, data_dir, tmp_path, monkeypatch):
    (tmp_path / "quickstart").mkdir()
    (tmp_path / "quickstart" / "run").symlink_to(run)
    (tmp_path / "quickstart" / "data").symlink_to(data_dir)
    monkeypatch.chdir(tmp_path)
    result = doctest.testfile(str(PAGE), module_relative=False)
    assert result.attempted > 20 and not result.failed
