"""Which runs form one condition, the names of conditions, and which form a UDA series."""

import json

import pytest

from imagefec.analysis.report.conditions import group_by_condition, read_runs, uda_series
from imagefec.errors import UserError

BASE = {
    "TripletLoss.margin": 0.1,
    "training.loss": "@TripletLoss",
    "training.steps": 300,
    "training.steps_per_eval": 50,
    "training.init_checkpoint": None,
    "uda_consistency.weight": 0.0,
    "uda_consistency.distance": "l2",
}


def gin_text(settings):
    """As gin's operative configuration has it; references have no quotes."""
    lines = (
        f"{name} = {value if str(value)[:1] in '@%' else repr(value)}"
        for name, value in settings.items()
    )
    return "\n".join(lines) + "\n"


@pytest.fixture(params=["config.gin", "settings.json"])
def style(request):
    """The file that holds a run's settings: that of old runs, that of new ones."""
    return request.param


@pytest.fixture
def make(tmp_path, style):
    def make(name, seed=0, recipe=None, model=None, dataset="fec", config=True, **settings):
        folder = tmp_path / name
        folder.mkdir()
        changed = {key.replace("__", "."): value for key, value in settings.items()}
        settings = {**BASE, "training.seed": seed, **changed}
        info = {
            "format": 1,
            "model": model or {},
            "image_size": 48,
            "dataset": dataset,
            "seed": seed,
        }
        (folder / "run.json").write_text(
            json.dumps({**info, **({"recipe": recipe} if recipe else {})})
        )
        (folder / "model.npz").write_bytes(b"its existence is checked, not its contents")
        if config:
            text = gin_text(settings) if style == "config.gin" else json.dumps(settings)
            (folder / style).write_text(text)
        return folder

    return make


def named(*folders):
    return {
        condition.name: [run.name for run in condition.runs]
        for condition in group_by_condition(read_runs(folders))
    }


def test_runs_that_differ_only_in_their_seed_are_one_condition_ordered_by_seed(make):
    runs = make("b", 1), make("a", 2), make("c", 0), make("wide", TripletLoss__margin=0.2)
    assert named(*runs) == {"margin 0.1": ["c", "b", "a"], "margin 0.2": ["wide"]}


def test_init_checkpoint_matters_but_not_its_path(make):
    runs = (
        make("a", 0, training__init_checkpoint="/pre/0"),
        make("b", 1, training__init_checkpoint="/pre/1"),
        make("c", 0),
    )
    assert [sorted(names) for names in named(*runs).values()] == [["a", "b"], ["c"]]


def test_the_settings_of_a_uda_term_without_weight_do_not_matter(make):
    runs = (
        make("a", 0),
        make("b", 1, uda_consistency__distance="squared_l2"),
        make("c", 0, uda_consistency__weight=1.0),
    )
    assert named(*runs) == {"UDA 0": ["a", "b"], "UDA 1": ["c"]}


def test_conditions_are_named_by_recipe_and_by_settings_that_differ_within_it(make):
    runs = (
        make("a", recipe="best"),
        make("b", recipe="best", uda_consistency__weight=2.0),
        make("c", recipe="paper", TripletLoss__margin=0.2),
    )
    assert list(named(*runs)) == ["best, UDA 0", "best, UDA 2", "paper"]
    assert list(named(runs[0], runs[1])) == ["UDA 0", "UDA 2"]
    assert list(named(runs[0])) == ["best"]


def test_options_of_later_versions_that_are_off_distinguish_no_runs(make):
    earlier = make("earlier")
    off = make("off", 1, Augment__rotation=0.0, Augment__blur=0.0, Augment__blur_sigma=1.5)
    on = make("on", 2, Augment__rotation=10.0, Augment__blur=0.0, Augment__blur_sigma=1.5)
    assert [len(one.runs) for one in group_by_condition(read_runs([earlier, off, on]))] == [2, 1]
    assert list(named(off, on)) == ["Augment rotation 0.0", "Augment rotation 10.0"]


def test_how_often_a_run_evaluates_is_in_its_name_only_if_nothing_else_differs(make):
    runs = make("a"), make("b", training__steps=600, training__steps_per_eval=100)
    assert list(named(*runs)) == ["steps 300", "steps 600"]
    assert list(named(runs[0], make("c", training__steps_per_eval=10))) == [
        "steps per eval 50",
        "steps per eval 10",
    ]


def test_conditions_that_differ_in_many_settings_are_named_by_their_folder_without_the_seed(make):
    runs = (
        make("plain_seed0"),
        make("other-seed1", 1, TripletLoss__margin=0.2, training__steps=7, Augment__crop=0.0),
    )
    assert list(named(*runs)) == ["plain", "other"]


def test_equal_names_are_numbered_and_runs_without_settings_are_separate_conditions(make):
    runs = make("x1", config=False), make("x2", config=False)
    assert named(*runs) == {"x (1)": ["x1"], "x (2)": ["x2"]}


def test_a_uda_series_differs_only_in_the_weight_and_starts_at_0(make):
    runs = [
        make("w2", uda_consistency__weight=2.0, Augment__views=2),
        make("w0"),
        make("w1", uda_consistency__weight=1.0),
        make("m1", TripletLoss__margin=0.2, uda_consistency__weight=1.0),
    ]
    [series] = uda_series(group_by_condition(read_runs(runs)))
    assert [one.uda_weight for one in series] == [0, 1, 2]
    assert uda_series(group_by_condition(read_runs(runs[:1]))) == []


def test_runs_that_cannot_be_in_one_report_are_refused(make, tmp_path):
    with pytest.raises(UserError, match="No run was given"):
        read_runs([])
    run = make("run")
    with pytest.raises(UserError, match="the same run as"):
        read_runs([run, tmp_path / "." / "run"])
    with pytest.raises(
        UserError, match=r"other: its dataset is vggface2, but that of .*run is fec"
    ):
        read_runs([run, make("other", dataset="vggface2")])
    with pytest.raises(UserError, match=r"its d_embedding is 8, but that of .* is 16"):
        read_runs([run, make("small", model={"d_embedding": 8})])
    (run / "model.npz").unlink()
    with pytest.raises(UserError, match="no checkpoint"):
        read_runs([run])


def test_uda_terms_with_other_settings_form_separate_series_from_the_same_weight_0(make):
    runs = [
        make("w0"),
        make("a", uda_consistency__weight=1.0),
        make("b", uda_consistency__weight=1.0, uda_consistency__distance="squared_l2"),
        make("c", uda_consistency__weight=3.0, uda_consistency__distance="squared_l2"),
    ]
    conditions = group_by_condition(read_runs(runs))
    assert [one.name for one in conditions] == [
        "UDA 0",
        "UDA 1 (distance l2)",
        "UDA 1 (distance squared_l2)",
        "UDA 3 (distance squared_l2)",
    ]
    series = uda_series(conditions)
    assert [[one.runs[0].name for one in conditions] for conditions in series] == [
        ["w0", "a"],
        ["w0", "b", "c"],
    ]
    assert series[1][1].uda_term == "distance squared_l2"


def test_a_name_too_long_for_a_table_is_replaced_by_the_folder(make):
    runs = [
        make(
            f"rate{k}_seed0",
            warmup_cosine__learning_rate=0.001 * k,
            training__init_checkpoint=start,
        )
        for k, start in ((1, None), (2, "/pre"))
    ]
    assert list(named(*runs)) == ["rate1", "rate2"]


def test_values_in_names_are_readable(make):
    runs = (
        make("a"),
        make("b", training__loss="@OddOneOutCrossEntropy"),
    )
    assert list(named(*runs)) == ["loss TripletLoss", "loss OddOneOutCrossEntropy"]
    start = make("c", training__init_checkpoint="/pre")
    assert list(named(runs[0], start)) == ["no init checkpoint", "init checkpoint given"]
    balanced = [make(f"d{on}", training__balanced=on) for on in (False, True)]
    assert list(named(*balanced)) == ["no balanced", "balanced"]
    widths = [make(f"e{n}", ImageFEC__fc_widths=[512] * n) for n in (1, 2)]
    assert list(named(*widths)) == ["ImageFEC fc_widths 512", "ImageFEC fc_widths 512 512"]


def test_a_value_repeated_in_another_setting_is_named_once(make):
    runs = [make(f"run{n}", training__steps=n, warmup_cosine__steps=n) for n in (100, 200)]
    assert list(named(*runs)) == ["steps 100", "steps 200"]


def test_equal_numbers_of_two_types_are_equal_settings(make):
    runs = make("a", 0, TripletLoss__margin=1), make("b", 1, TripletLoss__margin=1.0)
    assert [sorted(names) for names in named(*runs).values()] == [["a", "b"]]


def test_an_old_and_a_new_run_of_equal_settings_are_one_condition(tmp_path):
    for name, seed in (("old", 0), ("new", 1)):
        (tmp_path / name).mkdir()
        info = {"format": 1, "model": {}, "image_size": 48, "seed": seed}
        (tmp_path / name / "run.json").write_text(json.dumps(info))
        (tmp_path / name / "model.npz").write_bytes(b"")
    settings = {**BASE, "ImageFEC.fc_widths": (512,), "training.seed": 0}
    old = {**settings, "training.steps": "%steps", "training.cores_as_devices": False}
    (tmp_path / "old" / "config.gin").write_text("steps = 300\n" + gin_text(old))
    (tmp_path / "new" / "settings.json").write_text(json.dumps({**settings, "training.seed": 1}))
    [condition] = group_by_condition(read_runs([tmp_path / "old", tmp_path / "new"]))
    assert [run.name for run in condition.runs] == ["old", "new"]
