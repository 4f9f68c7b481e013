"""Gin files as they come: other encodings, other kinds of file, includes, names, mistakes."""

import os

import gin
import pytest

from imagefec.errors import UserError


def write(path, text):
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())


@pytest.mark.parametrize(
    "text",
    [
        b"\xef\xbb\xbftraining.steps = 8\n",
        b"training.steps = 8\r\n# \xc3\xa9\r\n",
        b"\xef\xbb\xbf# windows\r\ntraining.steps = \\\r\n  8",
        b"training.steps = 8 # no line end",
        b"training.steps = 8\rtraining.seed = 1\r",
        b"training:\n  steps = 8  # in a block\n\n  seed = 1\n",
        b"training.steps = %n\nn = 8\n",
        b"training.steps = (8)\n",
    ],
)
def test_byte_order_marks_line_ends_comments_blocks_and_macros_are_read(tmp_path, parse, text):
    write(tmp_path / "mine.gin", text)
    parse(["smoke.gin", "mine.gin"])
    from imagefec.training import configurables

    assert configurables.train_config().schedule.steps == 8


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"# a\n# caf\xe9\n", r"mine.gin, line 2: the byte 0xe9 is not UTF-8\. Save the file"),
        ("training.steps = 8".encode("utf-16"), "mine.gin: is text in UTF-16. Save it as UTF-8"),
        (b"training.steps = 8\n\0\n", "mine.gin, line 2: has a zero byte"),
        (b"#" * 2_000_000, "mine.gin: has 2,000,000 bytes; a gin file has at most 1,000,000"),
        (b"(" * 5000, "mine.gin, line 1: gin cannot read this"),
        (b"training.steps = " + b"(" * 90, "mine.gin, line 1: gin cannot read this"),
        (b"training.steps = " + b"9" * 5000, "mine.gin, line 1: gin cannot read this"),
        (b"training.steps = 0x" + b"f" * 9000, "mine.gin, line 1: .* too large to show"),
        (b"training.seed = 1\ntraining.steps =\n", "mine.gin, line 2: gin cannot read this"),
        (b"training.steps = = 1", "mine.gin, line 1: gin cannot read this: 'training.steps = = 1'"),
        (b"training.steps = 'a", "mine.gin, line 1: gin cannot read this"),
        (b"training.steps 5", "mine.gin, line 1: gin cannot read this: 'training.steps 5'"),
        (b"training.steps = 5 6", "mine.gin, line 1: gin cannot read this"),
        (b"training.steps = 5 + 6", "mine.gin, line 1: gin cannot read this"),
        (b"training.steps = nan", "mine.gin, line 1: gin cannot read this"),
        (b"training:\n", "mine.gin, line 2: gin cannot read this"),
        (b"include 5", "mine.gin, line 1: gin cannot read this"),
        (b"\x89PNG\r\n\x1a\n", "mine.gin, line 1: the byte 0x89 is not UTF-8"),
        (b"}{", "mine.gin, line 1: gin cannot read this"),
        (b"training.stepz = 1", r"has no parameter 'stepz'; did you mean steps\. It has model, "),
        (b"trainning.steps = 1", r"there is no trainning; did you mean training\. A gin file may"),
        (b"training.loss = @Tripletloss", "there is no @Tripletloss; did you mean TripletLoss"),
        (b"training = 5", r"training is a group of settings\. Write training\.PARAMETER = VALUE"),
        (b"x/training.steps = 5", "x/training.steps has no effect"),
        (b"x/ImageFEC.d_hidden = 5", "nothing refers to @x/ImageFEC. Bind ImageFEC.d_hidden"),
        (b"training.steps = %stepz", r"line 1: %stepz is bound nowhere; did you mean steps\."),
        (b"training.steps = %a\na = %b\nb = %a", r"%a refers to itself\. Bind it to a value: a ="),
        (
            b"training.steps = 5\n\ntraining.steps = 6",
            r"line 3: training.steps is bound here and in .*mine.gin, line 1\. Remove one of them",
        ),
        (b"steps = 5\nsteps = 6", "line 2: steps is bound here and in"),
        (b"include 'mine.gin'", r"files include each other: mine.gin -> mine.gin\. Remove one"),
        (b"include 'nowhere.gin'", "line 1: include 'nowhere.gin': there is no such file"),
        (b"include 'http://a/b.gin'", "line 1: include 'http://a/b.gin': there is no such file"),
        (b"include 'gs://a/b.gin'", "line 1: include 'gs://a/b.gin': there is no such file"),
        (b"include '/dev/zero'", "/dev/zero is not a regular file"),
        (b"include '.'", "is a folder. Give the path of a gin file"),
        (b"include ''", "which is not a path"),
        (b"include '" + b"x" * 5000 + b"'", "File name too long"),
    ],
)
def test_what_cannot_be_read_is_refused_with_file_line_and_reason(tmp_path, parse, text, message):
    write(tmp_path / "mine.gin", text)
    with pytest.raises(UserError, match=message) as caught:
        parse(["smoke.gin", "mine.gin"])
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 1200


def test_values_that_multiply_by_macros_are_refused(tmp_path, parse):
    lines = [f"a{n} = (%a{n + 1}, %a{n + 1})" for n in range(40)]
    write(tmp_path / "mine.gin", "\n".join([*lines, "a40 = 1", "ImageFEC.fc_widths = %a0"]))
    with pytest.raises(UserError, match="more than 10,000 values"):
        parse(["smoke.gin", "mine.gin"])


def test_files_that_multiply_by_includes_are_refused(tmp_path, parse):
    for n in range(30):
        write(tmp_path / f"{n}.gin", f"include '{n + 1}.gin'\ninclude '{n + 1}.gin'\n")
    write(tmp_path / "30.gin", "")
    with pytest.raises(UserError, match="more than 1000 files are included"):
        parse(["0.gin"])


def test_a_circle_of_includes_is_refused(tmp_path, parse):
    write(tmp_path / "a.gin", "include 'b.gin'\n")
    write(tmp_path / "b.gin", "include 'a.gin'\n")
    with pytest.raises(UserError, match=r"files include each other: a.gin -> b.gin -> a.gin"):
        parse(["a.gin"])


def test_a_folder_a_fifo_and_a_device_are_refused_as_config_files(tmp_path, parse):
    os.mkfifo(tmp_path / "fifo")
    for name, found in ((".", "a folder"), ("fifo", "not a regular"), ("/dev/zero", "not a regul")):
        with pytest.raises(UserError, match=rf"--config_file={name}: .* is {found}"):
            parse([name])


def test_an_included_file_is_found_beside_the_file_before_the_current_folder(tmp_path, parse):
    write(tmp_path / "common.gin", "training.seed = 1\n")
    write(tmp_path / "there" / "common.gin", "training.seed = 2\n")
    write(tmp_path / "there" / "mine.gin", "include 'common.gin'\n")
    parse(["there/mine.gin"])
    assert gin.query_parameter("training.seed") == 2


def test_a_file_in_the_current_folder_does_not_replace_one_that_a_run_file_includes(
    tmp_path, parse
):
    write(tmp_path / "base.gin", "training.seed = 5\n")
    parse(["smoke.gin"])
    with pytest.raises(ValueError, match="seed"):
        gin.query_parameter("training.seed")


def test_home_and_variables_are_replaced_in_the_names_of_files(tmp_path, parse, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("WHERE", str(tmp_path / "home"))
    write(tmp_path / "home" / "a.gin", "training.seed = 3\n")
    write(tmp_path / "mine.gin", "include '$WHERE/a.gin'\n")
    for name in ("~/a.gin", "mine.gin"):
        parse([name])
        assert gin.query_parameter("training.seed") == 3


def test_the_later_of_several_files_and_bindings_counts(tmp_path, parse):
    write(tmp_path / "one.gin", "training.seed = 1\n")
    write(tmp_path / "two.gin", "training.seed = 2\n")
    parse(["one.gin", "two.gin"])
    assert gin.query_parameter("training.seed") == 2
    parse(["two.gin"], ["training.seed = 3", "training.seed = 4", "include 'one.gin'"])
    assert gin.query_parameter("training.seed") == 1


def test_a_name_that_nothing_uses_is_refused_on_the_command_line_and_warned_of_in_a_file(
    tmp_path, parse, caplog
):
    with pytest.raises(UserError, match=r"nothing uses %stepz; did you mean steps\. Correct"):
        parse(["smoke.gin"], ["stepz = 10"])
    with pytest.raises(UserError, match=r"nothing uses %seed; did you mean training\.seed\."):
        parse(["smoke.gin"], ["seed = 10"])
    write(tmp_path / "mine.gin", "stepz = 10\n")
    parse(["smoke.gin", "mine.gin"])
    assert "mine.gin, line 1: nothing uses %stepz; did you mean steps. It has no" in caplog.text


def test_a_function_has_the_settings_of_its_scope(tmp_path, parse):
    from imagefec.training import configurables

    write(
        tmp_path / "mine.gin",
        "training.model = %m\nm = @big/ImageFEC\nbig/ImageFEC.d_hidden = 6\n",
    )
    parse(["smoke.gin", "mine.gin"])
    settings = configurables.train_config().model_settings
    assert settings["d_hidden"] == 6 and settings["stem"] == "conv3x2"


def test_short_and_complete_names_stand_for_the_same_function(parse):
    parse(
        ["smoke.gin"],
        [
            "training.optimizer = @Adam",
            "Adam.b1 = 0.5",
            "imagefec.model.resnet.ImageFEC.pool='mean'",
        ],
    )
    assert gin.query_parameter("imagefec.Adam.b1") == 0.5
