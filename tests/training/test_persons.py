"""Training with identity removal: persons from tables, resuming, weight 0, and refusals."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from imagefec import cli
from imagefec.errors import UserError
from imagefec.model import checkpoint
from imagefec.training.config import DataConfig
from imagefec.training.persons import persons_of_faces

FACES = SimpleNamespace(
    face_ids=["a0", "b0", "c0", "d0"], urls=["http://x/a", "http://x/b", "http://x/c", "http://x/d"]
)


def persons_of(tmp_path, *rows, header="url,person"):
    path = tmp_path / "persons.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    return persons_of_faces(FACES, DataConfig(annotations=str(path))).tolist()


def test_each_person_is_a_number_and_faces_that_the_table_lacks_have_none(tmp_path):
    rows = ("http://x/a,Ada", "http://x/c,Bo", "http://x/d,Ada", "http://x/other,Cy")
    assert persons_of(tmp_path, *rows) == [0, -1, 1, 0]


@pytest.mark.parametrize(
    ("rows", "header", "message"),
    [
        (["http://x/a,Ada", "http://x/b,Bo"], "url,person", "names 2 persons .* 1 faces of one"),
        (["http://x/a,Ada", "http://x/b,Ada"], "url,person", "names 1 persons .* 2 faces of one"),
        (["http://x/a,joy", "http://x/b,joy"], "url,label", "names 0 persons .* 0 faces of one"),
        (["http://y/a,Ada"], "url,person", "none of its 1 rows"),
    ],
)
def test_persons_of_whom_nothing_can_be_learned_are_refused(tmp_path, rows, header, message):
    with pytest.raises(UserError, match=message):
        persons_of(tmp_path, *rows, header=header)


def test_the_message_about_a_missing_file_names_the_setting(tmp_path):
    with pytest.raises(UserError, match=r"training\.annotations=.*nowhere\.csv: no such file"):
        persons_of_faces(FACES, DataConfig(annotations=str(tmp_path / "nowhere.csv")))


def weights_of(run_dir):
    return checkpoint.load(run_dir / "model.npz")[0]


def test_a_run_without_persons_resumes_bit_for_bit_and_weight_0_is_off(world, train, tmp_path):
    persons = f"training.annotations = '{world.manual_dir / 'persons.csv'}'"
    on = (persons, "identity_removal.weight = 0.5", "identity_removal.ramp_steps = 3")
    whole = train(tmp_path / "whole", *on)
    train(tmp_path / "parts", *on, "training.steps = 2")
    expected, found = weights_of(whole), weights_of(train(tmp_path / "parts", *on))
    zero, off = weights_of(train(tmp_path / "zero", persons)), weights_of(train(tmp_path / "off"))
    for name in expected:
        np.testing.assert_array_equal(expected[name], found[name], err_msg=name)
        np.testing.assert_array_equal(zero[name], off[name], err_msg=name)
    changed = [name for name in expected if not np.array_equal(expected[name], off[name])]
    assert any(name.startswith("weights/") for name in changed)
    history = json.loads((whole / "history.json").read_text())["train"]
    shares = [share for _, share in history["training/identity"]]
    assert len(shares) == 3 and 0 < max(shares) < 1  # 0 in a batch without two faces of a person


def test_identity_removal_without_persons_is_refused_in_one_sentence(world, tmp_path, capsys):
    command = ["train", "--config_file=smoke.gin", f"--output_dir={tmp_path / 'run'}"]
    command += [f"--data_dir={world.data_dir}", "--config=identity_removal.weight = 1"]
    assert cli.main(command) == 2
    assert "training.annotations is None" in capsys.readouterr().err
