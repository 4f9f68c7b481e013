"""Which runs are one condition, what conditions are called, and which make a UDA series."""

import json

import pytest

from imagefec.analysis.report.conditions import read_runs, sort_into_conditions, uda_series
from imagefec.errors import UserError

BASE = {
    "TripletLoss.margin": "0.1",
    "training.steps": "300",
    "training.steps_per_eval": "50",
    "training.init_checkpoint": "None",
    "uda_consistency.weight": "0.0",
    "uda_consistency.distance": "'l2'",
}


@pytest.fixture
def make(tmp_path):
    def make(name, seed=0, recipe=None, model=None, dataset="fec", config=True, **settings):
        folder = tmp_path / name
        folder.mkdir()
        settings = {
            **BASE,
            "training.seed": str(seed),
            **{key.replace("__", "."): value for key, value in settings.items()},
        }
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
        (folder / "model.npz").write_bytes(b"only looked for")
        if config:
            (folder / "config.gin").write_text(
                "".join(f"{key} = {value}\n" for key, value in settings.items())
            )
        return folder

    return make


def named(*folders):
    return {
        condition.name: [run.name for run in condition.runs]
        for condition in sort_into_conditions(read_runs(folders))
    }


def test_runs_that_differ_in_their_seed_alone_are_one_condition_in_the_order_of_seeds(make):
    runs = make("b", 1), make("a", 2), make("c", 0), make("wide", TripletLoss__margin="0.2")
    assert named(*runs) == {"margin 0.1": ["c", "b", "a"], "margin 0.2": ["wide"]}


def test_the_path_of_a_start_does_not_matter_but_that_there_is_one(make):
    runs = (
        make("a", 0, training__init_checkpoint="'/pre/0'"),
        make("b", 1, training__init_checkpoint="'/pre/1'"),
        make("c", 0),
    )
    assert [sorted(its) for its in named(*runs).values()] == [["a", "b"], ["c"]]


def test_a_term_without_weight_has_no_other_settings(make):
    runs = (
        make("a", 0),
        make("b", 1, uda_consistency__distance="'squared_l2'"),
        make("c", 0, uda_consistency__weight="1.0"),
    )
    assert named(*runs) == {"UDA 0": ["a", "b"], "UDA 1": ["c"]}


def test_recipes_name_conditions_and_settings_tell_those_of_one_recipe_apart(make):
    runs = (
        make("a", recipe="best"),
        make("b", recipe="best", uda_consistency__weight="2.0"),
        make("c", recipe="paper", TripletLoss__margin="0.2"),
    )
    assert list(named(*runs)) == ["best, UDA 0", "best, UDA 2", "paper"]
    assert list(named(runs[0], runs[1])) == ["UDA 0", "UDA 2"]
    assert list(named(runs[0])) == ["best"]


def test_how_often_a_run_evaluates_names_it_only_where_nothing_else_does(make):
    runs = make("a"), make("b", training__steps="600", training__steps_per_eval="100")
    assert list(named(*runs)) == ["steps 300", "steps 600"]
    assert list(named(runs[0], make("c", training__steps_per_eval="10"))) == [
        "steps per eval 50",
        "steps per eval 10",
    ]


def test_what_differs_in_too_much_is_named_by_its_folder_without_the_seed(make):
    runs = (
        make("plain_seed0"),
        make("other-seed1", 1, TripletLoss__margin="0.2", training__steps="7", Augment__crop="0.0"),
    )
    assert list(named(*runs)) == ["plain", "other"]


def test_equal_names_are_numbered_and_runs_without_settings_stand_alone(make):
    runs = make("x1", config=False), make("x2", config=False)
    assert named(*runs) == {"x (1)": ["x1"], "x (2)": ["x2"]}


def test_a_uda_series_differs_in_the_term_alone_and_has_weight_0(make):
    runs = [
        make("w2", uda_consistency__weight="2.0", Augment__views="2"),
        make("w0"),
        make("w1", uda_consistency__weight="1.0"),
        make("m1", TripletLoss__margin="0.2", uda_consistency__weight="1.0"),
    ]
    [series] = uda_series(sort_into_conditions(read_runs(runs)))
    assert [one.uda_weight for one in series] == [0, 1, 2]
    assert uda_series(sort_into_conditions(read_runs(runs[:1]))) == []


def test_runs_that_cannot_stand_in_one_report_are_refused(make, tmp_path):
    with pytest.raises(UserError, match="no run is given"):
        read_runs([])
    run = make("run")
    with pytest.raises(UserError, match="the same run as"):
        read_runs([run, tmp_path / "." / "run"])
    with pytest.raises(UserError, match=r"other: its dataset is vggface2, that of .*run is fec"):
        read_runs([run, make("other", dataset="vggface2")])
    with pytest.raises(UserError, match=r"its d_embedding is 8, that of .* is 16"):
        read_runs([run, make("small", model={"d_embedding": 8})])
    (run / "model.npz").unlink()
    with pytest.raises(UserError, match="no checkpoint"):
        read_runs([run])


def test_terms_of_another_kind_are_a_series_of_their_own_against_the_same_run_without(make):
    runs = [
        make("w0"),
        make("a", uda_consistency__weight="1.0"),
        make("b", uda_consistency__weight="1.0", uda_consistency__distance="'squared_l2'"),
        make("c", uda_consistency__weight="3.0", uda_consistency__distance="'squared_l2'"),
    ]
    conditions = sort_into_conditions(read_runs(runs))
    assert [one.name for one in conditions] == [
        "UDA 0",
        "UDA 1 (distance l2)",
        "UDA 1 (distance squared_l2)",
        "UDA 3 (distance squared_l2)",
    ]
    series = uda_series(conditions)
    assert [[one.runs[0].name for one in its] for its in series] == [["w0", "a"], ["w0", "b", "c"]]
    assert series[1][1].uda_term == "distance squared_l2"


def test_a_name_too_long_for_a_table_gives_way_to_the_folders(make):
    runs = [
        make(
            f"rate{k}_seed0",
            warmup_cosine__learning_rate=f"0.00{k}",
            training__init_checkpoint=f"{start}",
        )
        for k, start in ((1, "None"), (2, "'/pre'"))
    ]
    assert list(named(*runs)) == ["rate1", "rate2"]
