"""Values that gin files and --config bind: by hand, and for every setting by hypothesis."""

from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from imagefec import cli
from imagefec.errors import UserError
from imagefec.parameters import Function
from imagefec.training.settings.table import groups

ALL = {each.name: each for group in groups().values() for each in group.settings.values()}

# Setting, value as written, and what the message must say besides the setting's name.
WRONG = [
    ("training.steps", "1e4", r"is 10000\.0; it must be an integer, 1 or more.*Write 10000\."),
    ("training.steps", "'10'", r"is '10'; .* Write 10 without quotes\."),
    ("training.steps", "True", "is True; it must be an integer"),
    ("training.steps", "10**3", "gin cannot read this"),
    ("training.steps", "1000000000000", "at most 1,000,000,000"),
    ("training.steps", "@warmup_cosine()", r"is @warmup_cosine\(\); it must be an integer"),
    ("training.steps_per_eval", "0", "is 0; it must be an integer, 1 or more"),
    ("training.batch_triplets", "8.0", r"is 8\.0; .* Write 8\."),
    ("training.batch_triplets", "-4", "is -4; it must be an integer, 0 to 1,000,000"),
    ("training.image_size", "0", "is 0; it must be an integer, 1 to 1,024"),
    ("training.image_size", "1000000000", "it must be an integer, 1 to 1,024"),
    ("training.image_size", "None", "is None; it must be an integer"),
    ("training.image_size", "True", "is True; it must be"),
    ("training.dataset", "5", "is 5; it must be a TFDS name"),
    ("training.dataset", "''", "is ''; it must be a TFDS name"),
    ("training.dataset", "'../../secret'", "it must be a TFDS name"),
    ("training.train_split", "5", "is 5; it must be text in quotes"),
    ("training.eval_split", "None", "is None; it must be text in quotes"),
    ("training.seed", "-1", "is -1; it must be an integer, 0 or more"),
    ("training.seed", "1.5", r"is 1\.5; it must be an integer"),
    ("training.seed", "99999999999999999999", "at most 4,294,967,295"),
    ("training.stop_at_tpa", "80", "is 80; it must be a number, 0 to 1"),
    ("training.stop_at_tpa", "'0.8'", r"is '0.8'; .* Write 0\.8 without quotes\."),
    ("training.balanced", "1", "is 1; it must be True or False"),
    ("training.balanced", "'yes'", "it must be True or False"),
    ("training.layer_rates", "0.5", r"is 0\.5; it must be a dict of \{a regular expression"),
    ("training.layer_rates", "{'(': 0.5}", r"is \{'\(': 0\.5\}; it must be a dict"),
    ("training.layer_rates", "{'Stem': -1}", "it must be a dict"),
    ("training.layer_rates", "{'Stem': 'slow'}", "it must be a dict"),
    ("training.layer_rates", "{5: 0.5}", "it must be a dict"),
    ("training.layer_rates", "{'Stem': 1e999}", "it must be a dict"),
    ("training.init_checkpoint", "''", "it must be text in quotes, not empty, or None"),
    ("training.init_checkpoint", "5", "is 5; it must be text"),
    ("training.init_part", "'x'", "is 'x'; it must be one of whole, body"),
    ("training.precision", "'float16'", "it must be one of float32, bfloat16"),
    ("training.accumulate", "0", "it must be an integer, 1 to"),
    ("training.model", "5", "is 5; it must be @ImageFEC"),
    ("training.model", "@ImageFEC()", r"it must be @ImageFEC\. Write @ImageFEC\."),
    ("training.model", "@TripletLoss", "it must be @ImageFEC"),
    ("training.loss", "'TripletLoss'", "it must be one of @TripletLoss, "),
    ("training.loss", "@ImageFEC", "it must be one of @TripletLoss, "),
    ("training.optimizer", "@imagefec.Adam()", r"Write @imagefec\.Adam\."),
    ("training.learning_rate", "1e-3", r"is 0\.001; .*For a constant rate, bind warmup_cosine"),
    ("training.learning_rate", "@warmup_cosine", r"Write @warmup_cosine\(\)\."),
    ("training.learning_rate", "-1", "it must be @warmup_cosine"),
    ("training.augment", "None", "it must be @Augment"),
    ("TripletLoss.margin", "-0.1", "it must be a number, above 0, at most 4"),
    ("TripletLoss.margin", "1e999", "is inf; it must be a number"),
    ("TripletLoss.margins_by_type", "(1,)", "it must be a tuple of 3 values, each a number"),
    ("TripletLoss.margins_by_type", "(0.1, 0.2, -0.2)", "it must be a tuple of 3 values"),
    ("TripletLoss.margins_by_type", "0.1", "it must be a tuple of 3 values"),
    ("TripletLoss.distance", "'far'", "it must be one of l2, squared_l2"),
    ("TripletLoss.distance", "['l2']", "it must be one of l2, squared_l2"),
    ("OddOneOutCrossEntropy.temperature", "0", "it must be a number"),
    ("OddOneOutCrossEntropy.from_votes", "1", "it must be True or False"),
    ("ChoiceLoss.temperature", "-1", "it must be a number"),
    ("IdentityLoss.select", "'easy'", "it must be one of semi_hard, batch_hard"),
    ("Augment.crop", "0.7", "it must be a number, 0 to 0.45"),
    ("Augment.flip", "-0.5", "it must be a number, 0 to 1"),
    ("Augment.brightness", "'a'", "it must be a number, 0 to 0.99"),
    ("Augment.views", "3", "it must be an integer, 1"),
    ("uda_consistency.weight", "-1", "it must be a number, 0 or more"),
    ("uda_consistency.weight", "1e999", "is inf; it must be a number"),
    ("uda_consistency.ramp_steps", "0.5", "it must be an integer"),
    ("guards.collapse_steps", "0.5", "it must be an integer"),
    ("guards.spread_floor", "None", "it must be a number, 0 to 2"),
    ("warmup_cosine.learning_rate", "-0.001", "it must be a number, above 0"),
    ("warmup_cosine.learning_rate", "'fast'", "it must be a number, above 0"),
    ("warmup_cosine.warmup_steps", "-1", "it must be an integer, 0 or more"),
    ("warmup_cosine.final_fraction", "-0.1", "it must be a number, 0 to 1"),
    ("imagefec.Adam.b1", "5", "it must be a number, 0 or more, below 1"),
    ("imagefec.Adam.b1", "1", "it must be a number, 0 or more, below 1"),
    ("imagefec.Adam.clip_grad_norm", "-1", "it must be a number, above 0"),
    ("imagefec.Adafactor.clipping_threshold", "None", "it must be a number, above 0"),
    ("imagefec.Momentum.mass", "2", "it must be a number, 0 or more, below 1"),
    ("imagefec.SGD.anything", "2", "imagefec.SGD has no parameter 'anything'"),
    ("ImageFEC.d_hidden", "1000000000", "it must be an integer, 1 to 1,024"),
    ("ImageFEC.d_hidden", "64.0", r"Write 64\."),
    ("ImageFEC.fc_widths", "512", r"it must be a tuple .* Write \(512,\)\."),
    ("ImageFEC.fc_widths", "('a',)", "it must be a tuple"),
    ("ImageFEC.stage_blocks", "()", "it must be a tuple of 1 to 6 values"),
    ("ImageFEC.norm_momentum", "1.0", "it must be a number, 0 or more, below 1"),
    ("ImageFEC.zero_init_residual", "0", "it must be True or False"),
    ("ImageFEC.mode", "'eval'", "ImageFEC has no parameter 'mode'"),
    ("hosts.coordinator", "5", "it must be 'auto', or 'HOST:PORT'"),
    ("hosts.coordinator", "'here'", "it must be 'auto', or 'HOST:PORT'"),
    ("hosts.processes", "0", "it must be an integer, 1 to"),
]


@pytest.mark.parametrize(("name", "written", "message"), WRONG)
def test_a_wrong_value_is_refused_with_where_what_and_what_is_allowed(
    tmp_path, parse, name, written, message
):
    for files, bindings, where in (
        (["smoke.gin"], [f"{name} = {written}"], r"--config=[\"']"),
        (["smoke.gin", "mine.gin"], [], "mine.gin, line 2: "),
    ):
        (tmp_path / "mine.gin").write_text(f"# mine\n{name} = {written}\n")
        with pytest.raises(UserError, match=f"^{where}.*{message}") as caught:
            parse(files, bindings)
        assert name.rsplit(".", 1)[0] in str(caught.value) and "\n" not in str(caught.value)


def test_a_wrong_value_behind_a_macro_is_told_with_both_places(tmp_path, parse):
    (tmp_path / "mine.gin").write_text("include 'smoke.gin'\ntraining.steps = %n\nn = 2.5\n")
    with pytest.raises(
        UserError, match=r"^mine.gin, line 3, used in mine.gin, line 2: training.st"
    ):
        parse(["mine.gin"])


@pytest.mark.parametrize(
    ("bindings", "message"),
    [
        (["training.init_part = 'body'"], "init_part is 'body', but training.init_checkpoint is N"),
        (
            ["hosts.processes = 2"],
            "hosts.processes is 2 .* hosts.coordinator is None, so they have",
        ),
        (["hosts.process = 0"], "hosts.process 0, but hosts.coordinator is None"),
        (["hosts.coordinator = 'a:1'"], "each process requires the number of processes"),
        (["uda_consistency.batch_faces = 3"], "Unlabelled faces require all three"),
        (["training.batch_triplets = 0"], "training.batch_triplets is 0; it must be an integer, 1"),
        (
            ["ImageFEC.zero_init_residual = True", "ImageFEC.norm = 'group'"],
            "zero_init_residual needs norm 'batch'",
        ),
        (
            ["ImageFEC.d_hidden = 1024", "ImageFEC.stage_blocks = (9, 9, 9, 9, 9)"],
            r"gives the blocks [\d,]+ weights; at most 2,000,000,000",
        ),
        (["training.init_checkpoint = '~/nowhere'"], "there is no such checkpoint"),
        (["training.init_checkpoint = '$NO_WHERE/a'"], "there is no such checkpoint"),
    ],
)
def test_settings_that_exclude_each_other_end_the_command_before_any_data_is_read(
    tmp_path, capsys, bindings, message
):
    import re

    command = ["train", "--config_file=smoke.gin", "--output_dir=run", "--data_dir=nowhere"]
    assert cli.main([*command, *[f"--config={binding}" for binding in bindings]]) == 2
    error = capsys.readouterr().err
    assert re.search(message, error) and "nowhere holds no dataset" not in error


# Values of every type that gin can write, and extremes of each.
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False)
    | st.sampled_from([0, 1, 2, 10**9, 2**31, 2**32 - 1, 1e-300, 1e300, float("inf"), -0.0])
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
    | st.sampled_from(["l2", "fec", "train", "", "1", "True", "../x", "(", "auto", "a:1", "body"])
)
VALUES = st.recursive(
    SCALARS,
    lambda part: (
        st.lists(part, max_size=4)
        | st.lists(part, max_size=4).map(tuple)
        | st.dictionaries(SCALARS, part, max_size=3)
    ),
    max_leaves=5,
)
REFERENCES = st.sampled_from([f"@{name}{call}" for name in groups() for call in ("", "()")]).map(
    lambda text: Reference(text)
)


class Reference(NamedTuple):
    text: str


def written(value):
    """The value as a gin literal."""
    return repr(value).replace("inf", "1e999") if not isinstance(value, str) else repr(value)


def build(configurables):
    """Makes all that the settings describe, except the data and the weights."""
    config = configurables.train_config()
    configurables.hosts_config()
    config.loss(), config.optimizer(), config.augment(mode="train")
    assert 0 < config.learning_rate(1) < 1e9
    if sum(config.model_settings["stage_blocks"]) < 20:
        config.model(mode="eval")
    return config


def tried(name, value):
    """Binds a value as gin does; whether it is allowed. If so, what it describes can be built.

    A value that is refused is refused in one line. Settings that exclude each other count as
    allowed: `trainer.train` makes a layer's ValueError a UserError.
    """
    from imagefec.training import configurables

    message = "zero_init_residual"
    try:
        configurables.parse(["smoke.gin"], [f"{name} = {value}"])
    except UserError as refused:
        message = str(refused)
        allowed = False
    else:
        allowed = True
        try:
            build(configurables)
        except UserError:
            pass
        except ValueError as error:
            message = str(error)
    if allowed:
        assert "zero_init_residual" in message or "weights; at most" in message
    else:
        assert "\n" not in message and len(message) < 1500 and name.split(".")[0] in message
    return allowed


def _quick(examples):
    return settings(
        max_examples=examples,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
        derandomize=examples < 100,  # CI runs the same values every time
    )


def check(name, value):
    kind = ALL[name].kind
    if isinstance(kind, Function) or isinstance(value, Reference):
        tried(name, value.text if isinstance(value, Reference) else written(value))
    else:
        assert tried(name, written(value)) == kind.accepts(value)


@pytest.mark.parametrize("name", ALL)
@_quick(8)
@given(value=VALUES | REFERENCES)
@example(value=float("inf"))
@example(value=10**40)
@example(value=Reference("@warmup_cosine()"))
def test_a_value_of_any_type_is_refused_in_a_sentence_or_allowed_and_can_be_built(name, value):
    check(name, value)


@pytest.mark.slow
@pytest.mark.parametrize("name", ALL)
@_quick(500)
@given(value=VALUES | REFERENCES)
def test_many_values_of_any_type_are_refused_in_a_sentence_or_allowed_and_can_be_built(name, value):
    check(name, value)


def test_every_default_is_allowed_by_its_own_kind():
    for setting in ALL.values():
        if not isinstance(setting.kind, Function) and setting.default is not _required():
            assert setting.kind.accepts(setting.default), setting.name


def _required():
    from imagefec.training.settings.table import REQUIRED

    return REQUIRED


@pytest.mark.parametrize("name", sorted(ALL)[::9])
def test_the_command_line_exits_with_2_and_a_sentence(tmp_path, capsys, name):
    command = ["train", "--config_file=smoke.gin", "--output_dir=run", "--data_dir=nowhere"]
    assert cli.main([*command, f"--config={name} = [{{5: '\\x00'}}]"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("imagefec train: --config=") and error.count("\n") == 1
    assert f"{name} is [{{5: '\\x00'}}]; it must be " in error and not (tmp_path / "run").exists()
