"""What `crop` tells its user: the faces that were dropped, and what they cost in triplets."""

import numpy as np
import pytest

from imagefec import cli
from imagefec.data.crop.report import CropReport, describe
from imagefec.data.fec_csv import FaceRef
from imagefec.maths.geometry import Box


def split(n, whole, lost, only, by_type, refused=0):
    return {
        "n_triplets": n,
        "whole": whole,
        "lost": lost,
        "lost_only": only,
        "rows_refused": refused,
        "by_type": {kind: {"n_triplets": n, "whole": whole} for kind, whole, n in by_type},
    }


def test_the_text_says_how_many_triplets_each_reason_costs():
    report = CropReport(
        n_faces=40,
        n_kept=30,
        n_upscaled=3,
        dropped={"no face found": 8, "not a photo": 2},
        triplets={
            "test": split(0, 0, {}, {}, [("one_class", 0, 0)]),
            "train": split(
                50,
                22,
                {"no face found": 26, "tie": 2},
                {"no face found": 24, "tie": 2},
                [("one_class", 20, 40), ("two_class", 2, 10), ("three_class", 0, 0)],
                refused=1,
            ),
        },
    )
    assert describe(report).splitlines() == [
        "faces     30 of 40 (75.0%) cropped",
        "dropped   8: no face found",
        "dropped   2: not a photo",
        "triplets  test: 0 of 0 complete, 0 lost",
        "triplets  train: 22 of 50 (44.0%) complete, 28 lost",
        "complete  train: one_class 20 of 40 (50.0%), two_class 2 of 10 (20.0%)",
        "lost      train: 26 of 50 (52.0%): no face found (24 for this reason only)",
        "lost      train: 2 of 50 (4.0%): tie",
        "rows      train: 1 bad rows skipped",
    ]


def test_rare_reasons_share_a_line():
    dropped = {f"reason {k}": 20 - k for k in range(12)}
    lines = describe(CropReport(200, 0, 0, dropped, {})).splitlines()
    assert len(lines) == 11
    assert lines[-2:] == [
        "dropped   12: reason 8",
        "dropped   30: other reasons, see report.json",  # 11 + 10 + 9
    ]


def test_the_classes_missed_most_and_least_often_are_shown():
    by_class = {name: {"n": 10, "missed": k} for k, name in enumerate("abcdefg")}
    by_class["never searched"] = {"n": 0, "missed": 0}
    assert describe(CropReport(70, 49, 0, {}, {}, {"by_class": by_class})).splitlines()[1:] == [
        "missed    most often g 6 of 10 (60.0%), f 5 of 10 (50.0%), e 4 of 10 (40.0%); least often "
        "c 2 of 10 (20.0%), b 1 of 10 (10.0%), a 0 of 10 (0.0%)"
    ]
    few = {name: by_class[name] for name in "fa"}
    assert describe(CropReport(20, 15, 0, {}, {}, {"by_class": few})).splitlines()[1:] == [
        "missed    f 5 of 10 (50.0%), a 0 of 10 (0.0%)"
    ]
    none = {"by_class": {"a": {"n": 10, "missed": 0}}}
    assert len(describe(CropReport(10, 10, 0, {}, {}, none)).splitlines()) == 1


def test_crop_prints_it_on_stderr_and_only_the_folder_on_stdout(workspace, capsys):
    triplet = workspace.astronaut_triplet(
        third=FaceRef(
            workspace.photo("black.png", np.zeros((256, 256, 3), np.uint8)), Box(0.1, 0.9, 0.1, 0.9)
        )
    )
    path = workspace.csv([triplet, triplet])
    code = cli.main(
        [
            "crop",
            str(path),
            f"--cache={workspace.cache}",
            f"--faces={workspace.faces}",
            "--detector=haar",
            "--workers=1",
        ]
    )
    captured = capsys.readouterr()
    assert code == 0 and captured.out == f"{workspace.faces}\n"
    assert "faces     2 of 3 (66.7%) cropped\ndropped   1: no face found\n" in captured.err
    assert "triplets  train: 0 of 2 (0.0%) complete, 2 lost\n" in captured.err
    assert "lost      train: 2 of 2 (100.0%): no face found\n" in captured.err


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--min_score=inf", "--min_score inf: detector haar scores 0 or more. Give a finite"),
        ("--min_score=-inf", "--min_score -inf"),
        ("--min_score=nan", "--min_score nan"),
        ("--min_score=x", "--min_score"),
        ("--workers=0", "--workers"),
        ("--workers=1000000000", "--workers is 1000000000; allowed are 1 to 1024"),
        ("--workers=99999999999999999999", "allowed are 1 to 1024"),
        ("--exclude=", "--exclude is ''"),
        ("--faces=", "--faces is ''"),
        ("--cache=", "--cache is ''"),
        ("--model_dir=", "--model_dir is ''"),
    ],
)
def test_a_wrong_flag_is_refused_by_name_before_anything_is_written(
    workspace, capsys, flag, message
):
    path = workspace.csv([workspace.astronaut_triplet()])
    arguments = ["crop", str(path), f"--cache={workspace.cache}", f"--faces={workspace.faces}"]
    try:
        code = cli.main([*arguments, "--detector=haar", flag])
    except SystemExit as stopped:  # argparse
        code = stopped.code
    captured = capsys.readouterr()
    assert code == 2 and message in captured.err and "Traceback" not in captured.err
    assert not workspace.faces.exists()
