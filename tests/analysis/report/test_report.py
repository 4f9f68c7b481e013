"""Reports of trained runs: their contents, the cache of embeddings, and errors."""

import base64
import io
import pathlib
import re
import shutil
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from imagefec import cli
from imagefec.analysis.evaluate import evaluate_run
from imagefec.analysis.report.build import make_report
from imagefec.analysis.report.page import (
    Command,
    Figure,
    Heading,
    Table,
    Text,
    as_html,
    as_markdown,
)
from imagefec.analysis.split import SplitLoader
from imagefec.errors import UserError


@pytest.fixture(scope="module")
def runs(world, tmp_path_factory):
    """Two seeds without UDA and two with it, two steps each."""
    from imagefec.training import configurables

    root = tmp_path_factory.mktemp("runs")
    run_dirs = []
    for weight in (0.0, 1.0):
        for seed in (0, 1):
            settings = [
                f"training.seed = {seed}",
                f"uda_consistency.weight = {weight}",
                "steps = 2",
                "training.eval_split = 'test'",
            ]
            run_dirs.append(
                configurables.run(
                    ["smoke.gin"], settings, root / f"uda{weight:g}_seed{seed}", world.data_dir
                )
            )
    configurables.gin.clear_config()
    return run_dirs


@pytest.fixture(scope="module")
def report(runs, world, tmp_path_factory):
    calls = []
    page = make_report(
        runs, world.data_dir, tmp_path_factory.mktemp("report") / "report", progress=calls.append
    )
    assert calls == [1] * 4
    return page


def table(text, first):
    """The rows of the Markdown table whose first column has this name: column -> cell."""
    lines = text[text.index(f"| {first} |") :].split("\n\n")[0].splitlines()
    header, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [dict(zip(header, row)) for row in rows]


def test_the_table_has_the_values_of_evaluate_averaged_over_seeds(report, runs, world):
    conditions = {row["condition"]: row for row in table(report.read_text(), "condition")}
    assert set(conditions) == {"UDA 0", "UDA 1", "accuracy of simulated raters"}
    for name, runs_of_condition in (("UDA 0", runs[:2]), ("UDA 1", runs[2:])):
        results = [evaluate_run(run, world.data_dir, invariance=True) for run in runs_of_condition]
        for column, values in (
            ("TPA, ± over seeds", [one["tpa"] for one in results]),
            ("one-class", [one["by_type"]["one_class"]["tpa"] for one in results]),
        ):
            assert (
                conditions[name][column]
                == f"{100 * np.mean(values):.1f} ± {100 * np.std(values, ddof=1) / 2**0.5:.1f} %"
            )
        views = [one["invariance"]["relative_view_distance"] for one in results]
        assert conditions[name]["view distance"].startswith(f"{np.mean(views):.2f} ±")
        assert (conditions[name]["seeds"], conditions[name]["steps"]) == (
            "0, 1",
            ", ".join(str(one["step"]) for one in results),
        )
    assert (
        conditions["accuracy of simulated raters"]["TPA, ± over seeds"]
        == f"{100 * results[0]['human_tpa']:.1f} %"
    )


def test_single_runs_are_compared_as_evaluate_compares_them(report, runs, world):
    rows = table(report.read_text(), "run")
    best = min(row["condition"] for row in table(report.read_text(), "condition")[:1])
    ours, others = (runs[:2], runs[2:]) if best == "UDA 0" else (runs[2:], runs[:2])
    found = evaluate_run(others[1], world.data_dir, against=ours[1])["against"]
    row = next(row for row in rows if row["run"].endswith("seed 1"))
    assert row["difference"].replace("−", "-") == f"{100 * found['difference']:+.1f}"
    assert (
        row["± clustered"] == f"{100 * found['standard_error']:.1f}"
        and row["seed of the best"] == "1"
    )


def test_the_first_screen_answers_three_questions_and_has_the_command(report):
    screen = report.read_text().split("\n## ")[0]
    assert re.findall(r"\*\*(\d)\. .*?\?\*\*\n\n\*\*.+?\*\*", screen) == ["1", "2", "3"]
    assert re.search(r"\*\*TPA \d+\.\d ± \d+\.\d %\.\*\*", screen)
    assert "imagefec report --runs " in screen and "Weight 1 changed TPA by" in screen


def test_every_section_names_the_command_that_generates_it(report):
    for section in report.read_text().split("\n## ")[1:]:
        assert "```\nimagefec " in section or "`imagefec report`" in section, section


def test_the_images_are_beside_the_page_small_and_complete(report):
    named = re.findall(r"!\[.+\]\((.+)\)", report.read_text())
    assert named == ["types.png", "curves.png", "uda.png", "pairs.png", "side_by_side.jpg"]
    for name in named:
        assert (report.parent / name).stat().st_size < 100_000
        with Image.open(report.parent / name) as image:
            image.load()
            assert image.width > 700 and np.asarray(image.convert("L")).std() > 5


def test_the_html_page_has_the_same_images_and_loads_nothing(report):
    page = (report.parent / "report.html").read_text()
    open_tags = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag, attributes):
            attributes = dict(attributes)
            assert tag not in ("script", "link", "iframe") and attributes.get(
                "src", "data:"
            ).startswith("data:")
            if tag not in ("meta", "img"):
                open_tags.append(tag)

        def handle_endtag(self, tag):
            assert open_tags.pop() == tag

    Reader().feed(page)
    assert not open_tags and page.count("<img") == 5
    for data in re.findall(r"base64,([^\"]+)", page):
        Image.open(io.BytesIO(base64.b64decode(data))).load()


def test_a_second_report_embeds_nothing_and_is_equal(report, runs, world, monkeypatch):
    from imagefec.model import Embedder

    before = {path.name: path.read_bytes() for path in report.parent.iterdir() if path.is_file()}
    monkeypatch.setattr(Embedder, "embed", lambda *_: pytest.fail("embedded again"))
    assert make_report(runs, world.data_dir, report.parent) == report
    assert {
        path.name: path.read_bytes() for path in report.parent.iterdir() if path.is_file()
    } == before


def test_a_truncated_or_foreign_cached_file_is_computed_again(report, runs, world, tmp_path):
    shutil.copytree(report.parent, tmp_path / "copy")
    cached = sorted((tmp_path / "copy" / "embeddings").glob("*.npz"))
    assert len(cached) == 4
    cached[0].write_bytes(cached[0].read_bytes()[:100])
    cached[1].write_bytes(b"")
    make_report(runs, world.data_dir, tmp_path / "copy")
    here, there = (
        (folder / "report.md").read_text() for folder in (report.parent, tmp_path / "copy")
    )
    assert there.replace(str(tmp_path / "copy"), str(report.parent)) == here
    assert all(path.stat().st_size > 1000 for path in cached)


def test_a_report_of_one_run_leaves_the_other_questions_unanswered(runs, world, report, tmp_path):
    shutil.copytree(report.parent / "embeddings", tmp_path / "embeddings")
    text = make_report(runs[:1], world.data_dir, tmp_path).read_text()
    assert text.count("**Not evaluated.**") == 2 and "One run of “smoke”" in text
    assert (
        "side_by_side" not in text
        and "Comparison with the best" not in text
        and "There is no pair" in text
    )


def test_a_split_of_few_triplets_is_reported_with_its_error_and_a_warning(run, data_dir, tmp_path):
    text = make_report([run], data_dir, tmp_path, split="train").read_text()
    assert "With fewer than 100 triplets" in text and re.search(
        r"\*\*TPA \d+\.\d ± \d\d?\.\d %\.\*\*", text
    )
    assert "No run has a history.json" in text and "types.png" in text


def test_a_run_is_reproduced_by_the_command_on_the_page(report, runs, world, tmp_path):
    from imagefec.model import checkpoint
    from imagefec.training import configurables

    [line] = re.findall(
        r"^imagefec train --config_file=(\S+) .*--output_dir=NEW$", report.read_text(), re.M
    )
    again = configurables.run([line], [], tmp_path / "again", world.data_dir)
    configurables.gin.clear_config()
    first, second = (
        checkpoint.load(folder / "model.npz")[0] for folder in (pathlib.Path(line).parent, again)
    )
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_invalid_arguments_are_refused_before_any_work(runs, world, tmp_path):
    with pytest.raises(UserError, match="No run was given"):
        make_report([], world.data_dir, tmp_path / "out")
    with pytest.raises(UserError, match="no such run directory"):
        make_report([*runs, tmp_path / "gone"], world.data_dir, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match=r"file.* cannot be written"):
        make_report(runs, tmp_path / "not reached", tmp_path / "file")
    with pytest.raises(UserError, match="no split 'elsewhere'"):
        make_report(runs, world.data_dir, tmp_path / "out", split="elsewhere")


def test_markup_in_texts_is_escaped():
    blocks = [
        Heading("a < b"),
        Text("**1 < 2** and `x|y`\n\nnext"),
        Command(("run --a='<b>'",)),
        Table(("what", "n"), (("a|b", "<3>"),)),
        Figure("p.png", b"", 'a "b"', "c & d"),
    ]
    page, text = as_html("T & U", blocks), as_markdown("T & U", blocks)
    assert (
        "<h2>a &lt; b</h2>" in page
        and "<strong>1 &lt; 2</strong> and <code>x|y</code></p>\n<p>next</p>" in page
    )
    assert (
        "run --a=&#x27;&lt;b&gt;&#x27;" in page
        and "<td>&lt;3&gt;</td>" in page
        and 'alt="a &quot;b&quot;"' in page
    )
    assert "<title>T &amp; U</title>" in page and "c &amp; d" in page
    assert (
        "| a\\|b | <3> |" in text
        and '![a "b"](p.png)\n\nc & d' in text
        and text.startswith("# T & U\n\n## a < b")
    )


def test_annotations_add_a_table_of_neighbours_with_the_values_of_evaluate(runs, world, tmp_path):
    loader = SplitLoader(world.data_dir, "fec", "test")
    ids = loader.load(64).face_ids
    lines = [f"{name},{'ab'[row % 2]},p{row % 5}" for row, name in enumerate(ids)]
    known = tmp_path / "known table.csv"
    known.write_text("\n".join(["id,label,person", *lines]))
    command = ["report", "--runs", *map(str, runs[:2]), f"--data_dir={world.data_dir}"]
    assert cli.main([*command, "--annotations", str(known), f"--out={tmp_path / 'r'}"]) == 0
    text = (tmp_path / "r" / "report.md").read_text()
    part = text[text.index("Neighbours by label and person") :]
    assert f"--annotations '{known}'" in part
    row, chance = table(part, "condition")
    found = [evaluate_run(run, world.data_dir, annotations=[known])["neighbours"] for run in runs]
    for column, measure, k in (
        ("same label, nearest", "same_label", "1"),
        ("of 4", "same_label", "4"),
        ("among other persons, of 4", "same_label_other_persons", "4"),
        ("same person, nearest", "same_person", "1"),
    ):
        mean = np.mean([one[measure][k]["share"] for one in found[:2]])
        assert row[column].startswith(f"{100 * mean:.1f} ± ")
        assert chance[column] == f"{100 * found[0][measure][k]['chance']:.1f} %"
    assert chance["TPA, same person"] == "33.3 %"
