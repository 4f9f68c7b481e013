"""A gin file that somebody sends runs no code, in whatever form it asks for that."""

import pathlib
import subprocess
import sys

import gin
import pytest

from imagefec.errors import UserError

CANARY = None  # set by the fixture: the file that a stranger's code would write


@gin.configurable(module="stranger")
def touch(path=None):
    """A function of another library that is registered with gin."""
    pathlib.Path(path or CANARY).touch()


gin.constant("stranger.CONSTANT", touch)

IMPORTS = [
    "import evil",
    "import evil as e",
    "import package.module",
    "from package import module",
    "from package import module as m",
    "from __gin__ import dynamic_registration",
    "from __gin__ import dynamic_registration\nimport os\nos.system.command = 'touch canary'",
    "from __gin__ import dynamic_registration\nimport evil\ntraining.model = @evil.run()",
    "training.seed = 1\nimport evil",
    "include 'package/folder/file.gin'",  # gin would import `package` to find its folder
    "include 'package.module'",
]
REFERENCES = [
    "training.model = @stranger.touch()",
    "training.model = @touch",
    "training.model = @scope/touch()",
    "training.learning_rate = @stranger.touch()",
    "training.layer_rates = {'Stem': @touch()}",
    "ImageFEC.fc_widths = (1, [@touch()])",
    "TripletLoss.margins_by_type = (@touch(), @touch(), @touch())",
    "value = @touch()\ntraining.seed = %value",
    "training.seed = \\\n  @touch()",
    "touch.path = 'canary'",
    "stranger.touch.path = 'canary'",
    "scope/touch.path = 'canary'",
    "touch:\n  path = 'canary'",
    "training.model = %stranger.CONSTANT",
    "training.model = %CONSTANT",
    "training.model = @one/gin.singleton()\none/gin.singleton.constructor = @touch",
    "gin.macro.value = 1",
    "training.model = @gin.constant()",
    "training.model = @eval()",
    "training.model = @builtins.eval()",
    "training.model = @os.system()",
    "training.model = @trax.models.Resnet50",
    "training.optimizer = @trax.optimizers.SM3",
    "optimizers.Adam.b1 = 0.5",
    "backend.name = 'numpy'",
    "data_streams.data_dir = 'x'",
]


@pytest.fixture
def canary(tmp_path, monkeypatch):
    """Modules and packages in the current folder whose import writes a file."""
    canary = tmp_path / "canary"
    monkeypatch.setattr(sys.modules[__name__], "CANARY", str(canary))
    monkeypatch.syspath_prepend(str(tmp_path))
    code = f"open({str(canary)!r}, 'w').close()\ndef run(): pass\n"
    (tmp_path / "evil.py").write_text(code)
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").write_text(code)
    (tmp_path / "package" / "module.py").write_text(code)
    yield canary
    for name in [name for name in sys.modules if name.split(".")[0] in ("evil", "package")]:
        del sys.modules[name]


def test_the_canary_works(canary):
    touch()
    assert canary.exists()


@pytest.mark.parametrize("text", IMPORTS + REFERENCES)
@pytest.mark.parametrize("by", ["file", "included twice", "binding"])
def test_a_strangers_gin_file_runs_no_code_and_is_refused_in_a_sentence(
    tmp_path, parse, canary, text, by
):
    files, bindings = ["smoke.gin", "stranger.gin"], []
    if by == "binding":
        files, bindings = ["smoke.gin"], [text]
    elif by == "file":
        (tmp_path / "stranger.gin").write_text(text + "\n")
    else:
        (tmp_path / "stranger.gin").write_text("include 'a.gin'\n")
        (tmp_path / "a.gin").write_text("include 'b.gin'\n")
        (tmp_path / "b.gin").write_text(text + "\n")
    with pytest.raises(UserError) as caught:
        parse(files, bindings)
    assert not canary.exists()
    where = {
        "file": "stranger.gin, line ",
        "included twice": "b.gin, line ",
        "binding": "--config=",
    }
    assert str(caught.value).startswith(where[by]) and "\n" not in str(caught.value)


def test_the_command_line_refuses_it_before_any_work(tmp_path, canary):
    (tmp_path / "stranger.gin").write_text(
        "from __gin__ import dynamic_registration\nimport evil\ntraining.model = @evil.run()\n"
    )
    command = ["train", "--config_file=stranger.gin", "--output_dir=run", "--data_dir=nowhere"]
    done = subprocess.run(
        [sys.executable, "-m", "imagefec", *command], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 2 and not canary.exists() and not (tmp_path / "run").exists()
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("imagefec train: stranger.gin, line 1: ") and "import no code" in last
    assert "Traceback" not in done.stderr


def test_what_trax_writes_to_a_runs_config_gin_is_accepted(tmp_path, parse):
    (tmp_path / "config.gin").write_text(
        "include 'smoke.gin'\n"
        "optimizers.Adam.b1 = 0.9\noptimizers.Adam.clip_grad_norm = None\n"
        "trax.optimizers.SGD.learning_rate = 0.01\nbackend.name = 'jax'\n"
        "TrainTask.export_prefix = None\nTrainTask.n_steps_per_permanent_checkpoint = None\n"
    )
    parse(["config.gin"])
