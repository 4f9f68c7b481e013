"""The verbs as called from a shell: exit codes, stdout, and one sentence for a user error."""

import json
import os
import re
import shlex
import subprocess
import sys

import pytest

from imagefec import cli
from imagefec.fec import csv_file_name

VERBS = (
    "quickstart",
    "draw",
    "fetch",
    "crop",
    "triplets",
    "split",
    "train",
    "evaluate",
    "embed",
    "gallery",
    "map",
    "report",
    "serve",
    "judge",
    "export",
    "doctor",
)
ROW = (
    '"{url}",0.1,0.9,0.1,0.9,"{url}",0.1,0.8,0.1,0.9,"{url}",0.2,0.9,0.1,0.9,'
    "ONE_CLASS_TRIPLET,r1,1,r2,1\r\n"
)
TRAIN = csv_file_name("train")


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_with_an_example(verb, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main([verb, "--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert f"Example:\n  imagefec {verb}" in shown and "--helpfull" not in shown


@pytest.mark.parametrize("seed", ["-1", "1.5", "1e3", "4294967296", "9" * 5000, "", "one", "²"])
def test_a_seed_that_is_not_one_is_refused_by_every_verb_that_takes_it(seed, capsys, tmp_path):
    out = str(tmp_path / "out")
    for argv in (
        ["draw", out],
        ["triplets", str(tmp_path), f"--out={out}"],
        ["split", "a.csv", f"--out={out}"],
        ["quickstart", f"--output_dir={out}"],
        ["gallery", "--run=run", "--data_dir=data", f"--out={out}"],
        ["map", "--run=run", "--data_dir=data", f"--out={out}"],
    ):
        with pytest.raises(SystemExit) as ended:
            cli.main([*argv, f"--seed={seed}"])
        assert ended.value.code == 2
        assert "is not a whole number from 0 to 4294967295" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_verb_or_flag_exits_2():
    for argv in (["dance"], ["draw"], ["draw", "out", "--colour=red"]):
        with pytest.raises(SystemExit) as ended:
            cli.main(argv)
        assert ended.value.code == 2


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("evalute --run=r", "imagefec: there is no verb evalute (did you mean evaluate?)."),
        ("dance", "imagefec: there is no verb dance. See imagefec --help."),
        ("doctor --jason", "imagefec doctor: there is no flag --jason (did you mean --json?)."),
        ("--quiet doctor", "imagefec doctor: unrecognized arguments: --quiet; a flag stands after"),
        ("draw out --faces=1e4", "imagefec draw: argument --faces: 1e4 is not a whole number. See"),
        ("draw out --roll=nan", "imagefec draw: argument --roll: nan is not a number. See"),
        (
            "export --run=r --out=",
            "imagefec export: argument --out: --out is '', which is not a path",
        ),
        (
            "triplets t.csv --out=o --min_score=nan",
            "imagefec triplets: argument --min_score: nan is",
        ),
        ("doctor here", "imagefec doctor: unrecognized arguments: here."),
        (
            "evaluate --run=r --data-dir=d",
            "imagefec evaluate: the following arguments are required: --data_dir; there is no flag "
            "--data-dir (did you mean --data_dir?).",
        ),
        ("fetch --cache=c", "imagefec fetch: the following arguments are required: CSV. See"),
        ("export --run=r --out=o --format=onxx", "imagefec export: argument --format: invalid"),
    ],
)
def test_a_mistyped_command_gives_one_sentence_that_names_what_may_be_meant(typed, said, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(typed.split())
    printed = capsys.readouterr()
    assert ended.value.code == 2 and printed.out == ""
    assert printed.err.startswith(said) and printed.err.count("\n") == 1
    assert printed.err.endswith(" --help.\n") and ".." not in printed.err


def test_no_verb_at_all_shows_the_list_of_verbs(capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main([])
    printed = capsys.readouterr()
    assert ended.value.code == 2 and printed.out == ""
    assert all(f"    {verb}" in printed.err for verb in VERBS)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "no such"),
        (b"", "empty"),
        (b"\x00\x01\x02\xff" * 50, "binary|text"),
        (b'"http://127.0.0.1/a.jpg",0.1,0.9\r\n', "line 1.*3"),
        (
            ROW.replace("0.1,0.9,0.1,0.9", "0.9,0.1,0.1,0.9", 1)
            .format(url="http://127.0.0.1/a.jpg")
            .encode(),
            "line 1.*left",
        ),
        (
            ROW.replace("0.1,0.9,0.1,0.9", "0.1,1.9,0.1,0.9", 1)
            .format(url="http://127.0.0.1/a.jpg")
            .encode(),
            "line 1.*1.9",
        ),
        (
            ROW.replace("ONE_CLASS", "FOUR_CLASS").format(url="http://127.0.0.1/a.jpg").encode(),
            "line 1.*FOUR_CLASS",
        ),
        (ROW.replace("r2,1", "r2,4").format(url="http://127.0.0.1/a.jpg").encode(), "line 1.*4"),
    ],
)
@pytest.mark.parametrize("verb", ["fetch", "crop"])
def test_a_csv_that_cannot_be_read_gives_one_sentence_and_exit_code_2(
    verb, content, said, tmp_path, capsys
):
    path = tmp_path / TRAIN
    if verb == "crop":  # requires a cache before it reads the csv file
        path.write_text(ROW.format(url="file:///nowhere/a.jpg"))
        assert cli.main(["fetch", str(path), f"--cache={tmp_path / 'cache'}"]) == 0
        path.unlink()
        capsys.readouterr()
    if content is not None:
        path.write_bytes(content)
    faces = [f"--faces={tmp_path / 'faces'}"] if verb == "crop" else []
    assert cli.main([verb, str(path), f"--cache={tmp_path / 'cache'}", *faces]) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and "Traceback" not in printed.err
    last = printed.err.strip().splitlines()[-1]
    assert last.startswith(f"imagefec {verb}: ") and TRAIN in last and re.search(said, last), last


def test_a_wrong_csv_leaves_no_cache_and_crop_refuses_a_cache_without_its_photos(tmp_path, capsys):
    cache, faces = f"--cache={tmp_path / 'cache'}", f"--faces={tmp_path / 'faces'}"
    (tmp_path / TRAIN).write_text(ROW.format(url="file:///nowhere/a.jpg"))
    for wrong in (tmp_path / "none.csv", tmp_path):
        assert cli.main(["fetch", str(wrong), cache]) == 2
        assert not (tmp_path / "cache").exists()
    other = tmp_path / csv_file_name("test")
    other.write_text(ROW.format(url="file:///nowhere/b.jpg"))
    assert cli.main(["fetch", str(other), cache]) == 0
    capsys.readouterr()
    for more in ([], ["--dry_run"]):
        argv = ["crop", str(tmp_path / TRAIN), cache, faces, "--detector=none", *more]
        assert cli.main(argv) == 2
        assert "none of the 1 photos of these csv files was fetched" in capsys.readouterr().err
    # A photo that was requested in vain is dropped, and counted.
    assert cli.main(["crop", str(other), cache, faces, "--detector=none"]) == 0


def test_a_csv_file_of_another_kind_is_answered_with_the_kind_that_is_meant(tmp_path, capsys):
    table = tmp_path / "photos.csv"
    table.write_text("path,label\na.jpg,joy\n")
    assert cli.main(["fetch", str(table), f"--cache={tmp_path / 'c'}"]) == 2
    assert "If this is not a file of triplets, give one, such as" in capsys.readouterr().err
    (tmp_path / TRAIN).write_text(ROW.format(url="file:///nowhere/a.jpg") + "bad\n")
    assert cli.main(["fetch", str(tmp_path / TRAIN), f"--cache={tmp_path / 'c'}"]) == 2
    assert "If this is not" not in capsys.readouterr().err  # its first row is one of FEC's
    assert cli.main(["triplets", str(tmp_path / TRAIN), f"--out={tmp_path / 'o'}"]) == 2
    assert "are triplets already" in capsys.readouterr().err
    assert cli.main(["crop", str(tmp_path), f"--cache={tmp_path / 'c'}", "--faces=f"]) == 2
    assert "this is a directory. Give a csv file in it" in capsys.readouterr().err


def test_draw_prints_its_folder_and_fetch_and_crop_print_one_json_object(tmp_path, capsys):
    sizes = ["--faces=200", "--identities=8", "--triplets=12", "--test_fraction=0.5"]
    assert cli.main(["draw", str(tmp_path / "d"), *sizes]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(tmp_path / "d")
    csv_paths = [str(path) for path in sorted((tmp_path / "d").glob("faceexp*.csv"))]
    cache, faces = f"--cache={tmp_path / 'cache'}", f"--faces={tmp_path / 'd' / 'faces'}"
    assert cli.main(["fetch", *csv_paths, cache, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["n_ok"] == report["n_urls"] > 0
    assert cli.main(["crop", *csv_paths, cache, faces, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["n_kept"] > 0


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["evaluate", "--run={tmp}/none", "--data_dir={tmp}"], "none"),
        (["embed", "--run={tmp}/none", "{tmp}/a.png", "--out={tmp}/o.npz"], "none"),
        (["gallery", "--run={tmp}/none", "--data_dir={tmp}", "--out={tmp}/g"], "none"),
        (["map", "--run={tmp}/none", "--data_dir={tmp}", "--out={tmp}/m"], "none"),
        (
            ["train", "--config_file=nowhere.gin", "--output_dir={tmp}/r", "--data_dir={tmp}"],
            "nowhere.gin",
        ),
        (
            [
                "train",
                "--config_file=smoke.gin",
                "--config=nothing.at.all = 1",
                "--output_dir={tmp}/r",
                "--data_dir={tmp}",
            ],
            "nothing",
        ),
        (
            ["train", "--config_file=smoke.gin", "--output_dir={tmp}/r", "--data_dir={tmp}"],
            "tfds build",
        ),
        (["quickstart", "--output_dir=/proc/nowhere"], "/proc/nowhere"),
    ],
)
def test_a_user_error_gives_one_sentence_without_a_traceback(argv, said, tmp_path, capsys):
    (tmp_path / "a.png").write_bytes(b"whatever")
    assert cli.main([word.format(tmp=tmp_path) for word in argv]) == 2
    printed = capsys.readouterr()
    assert said in printed.err and "Traceback" not in printed.err and printed.out == ""


def test_python_m_imagefec_runs_the_command_line(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "imagefec", "--version"], capture_output=True, text=True
    )
    assert done.returncode == 0 and done.stdout.startswith("imagefec ")


@pytest.mark.parametrize("verb", sorted(cli._parser()._subparsers._group_actions[0].choices))
def test_every_verb_has_a_line_to_say_at_once(verb):
    parser = cli._parser()._subparsers._group_actions[0].choices[verb]
    (_, example) = parser.epilog.split("imagefec ", 1)
    given = cli._parser().parse_args(shlex.split(example))
    line = given.starts(given)
    assert line and "None" not in line and "\n" not in line and "[" not in line


def test_a_process_says_at_once_what_it_does_unless_it_is_quiet(tmp_path):
    command = [sys.executable, "-m", "imagefec", "embed", "--run=none", "x.png", "--out=x.npz"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    begins, refused = done.stderr.splitlines()
    assert begins == "embed: loading none" and refused.startswith("imagefec embed: ")
    quiet = subprocess.run([*command, "--quiet"], capture_output=True, text=True, cwd=tmp_path)
    assert quiet.stderr == f"{refused}\n" and done.returncode == quiet.returncode == 2


def test_a_quiet_verb_says_nothing_but_its_result(tmp_path, capsys):
    small = ["--faces=450", "--identities=12", "--triplets=30"]
    assert cli.main(["draw", str(tmp_path / "a"), *small, "--quiet"]) == 0
    printed = capsys.readouterr()
    assert printed.out == f"{tmp_path / 'a'}\n" and printed.err == ""
    assert cli.main(["draw", str(tmp_path / "b"), *small]) == 0
    assert "photos" in capsys.readouterr().err  # one call's --quiet does not outlast it


def test_print_config_prints_settings_that_give_themselves_again(tmp_path, capsys):
    binding = "--config=training.seed = 7"
    assert cli.main(["train", "--config_file=quickstart.gin", binding, "--print_config"]) == 0
    printed = capsys.readouterr().out
    assert "training.seed = 7\n" in printed and "training.steps = " in printed
    (tmp_path / "all.gin").write_text(printed)
    assert cli.main(["train", f"--config_file={tmp_path / 'all.gin'}", "--print_config"]) == 0
    assert capsys.readouterr().out == printed


def test_training_requires_folders_which_print_config_does_not(capsys):
    assert cli.main(["train", "--config_file=quickstart.gin", "--data_dir=data"]) == 2
    assert "--output_dir is required, except with --print_config" in capsys.readouterr().err
    assert cli.main(["train", "--config=training.steps = 0", "--print_config"]) == 2
    assert "training.steps is 0" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("typed", "offered"),
    [("imagefec qui", "quickstart"), ("imagefec evaluate --aga", "--against")],
)
def test_a_shell_gets_completions(typed, offered, tmp_path):
    # As bash asks for them: argcomplete answers on file descriptor 8.
    words = {
        "_ARGCOMPLETE": "1",
        "COMP_LINE": typed,
        "COMP_POINT": str(len(typed)),
        "_ARGCOMPLETE_IFS": "\n",
        "_ARGCOMPLETE_STDOUT_FILENAME": str(tmp_path / "answer"),
    }
    subprocess.run([sys.executable, "-m", "imagefec"], env={**os.environ, **words}, timeout=60)
    assert offered in (tmp_path / "answer").read_text()
