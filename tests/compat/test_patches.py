"""Each patch of imagefec.compat: what Trax asks of today's JAX and would not get without it."""

import inspect
import json
import os
import pathlib
import subprocess
import sys
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import imagefec
from imagefec.compat import patches, tl

CHECKOUT = str(pathlib.Path(imagefec.__file__).parents[1])
IMPORTED = "---- imported ----"
# A fresh process on two CPU devices: the import, then two steps of a small Trax Loop.
ON_TWO_DEVICES = f"""
from imagefec import compat
import json, os
os.write(2, b"{IMPORTED}\\n")

import jax
import numpy as np
import trax
from trax import layers as tl, optimizers
from trax.supervised import training

def batches():
    rng = np.random.default_rng(0)
    while True:
        inputs = rng.normal(size=(4, 3)).astype(np.float32)
        yield inputs, inputs.sum(1, keepdims=True), np.ones((4, 1), np.float32)

model = tl.Serial(tl.Dense(5), tl.BatchNorm(axis=(0,)), tl.Dense(1))
task = training.TrainTask(batches(), tl.L2Loss(), optimizers.Adam(0.01), n_steps_per_checkpoint=1)
evaluation = training.EvalTask(batches(), [tl.L2Loss()], n_eval_batches=1)
# Without a folder: our own loop writes its checkpoints itself.
loop = training.Loop(model, task, eval_tasks=[evaluation])
before = [np.array(weight) for weight in jax.tree.leaves(loop.model.weights)]
loop.run(2)
after = [np.array(weight) for weight in jax.tree.leaves(loop.model.weights)]
print(json.dumps({{
    "devices": jax.local_device_count(),
    "devices_of_trax": trax.fastmath.local_device_count(),
    "host_count_is_patched": jax.host_count is jax.process_count,
    "step": loop.step,
    "finite": all(np.isfinite(weight).all() for weight in after),
    "moved": max(float(np.abs(a - b).max()) for a, b in zip(before, after)),
}}))
"""


@pytest.fixture(scope="module")
def fresh():
    """(facts, stderr of the import, stderr of the run) of the process above."""
    environment = {
        **os.environ,
        "XLA_FLAGS": "--xla_force_host_platform_device_count=2",
        "JAX_PLATFORMS": "cpu",
        "PYTHONPATH": os.pathsep.join([CHECKOUT, os.environ.get("PYTHONPATH", "")]),
    }
    environment.pop("PYTHONWARNINGS", None)
    done = subprocess.run(
        [sys.executable, "-c", ON_TWO_DEVICES],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    at_import, _, at_run = done.stderr.partition(f"{IMPORTED}\n")
    return json.loads(done.stdout.splitlines()[-1]), at_import, at_run


def shown(warn):
    """The messages of the warnings that `warn` calls forth and that are not silenced."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.resetwarnings()
        warnings.simplefilter("always")
        patches.silence_known_warnings()
        warn()
    return [str(warning.message) for warning in caught]


def test_importing_trax_by_way_of_compat_prints_nothing(fresh):
    assert fresh[1] == ""


def test_trax_sees_one_device_where_jax_sees_two(fresh):
    assert fresh[0]["devices"] == 2
    assert fresh[0]["devices_of_trax"] == 1


def test_a_trax_loop_trains_on_a_machine_of_two_devices(fresh):
    facts = fresh[0]
    assert facts["step"] == 2 and facts["finite"] and facts["moved"] > 1e-3


def test_a_trax_loop_runs_without_a_warning(fresh):
    assert "Warning" not in fresh[2]


def test_jax_has_host_count_as_trax_calls_it(fresh, monkeypatch):
    assert fresh[0]["host_count_is_patched"]
    monkeypatch.delattr(jax, "host_count")
    patches.patch_host_count()
    assert jax.host_count() == jax.process_count()


def test_trax_is_told_of_one_device_whatever_there_is(monkeypatch):
    import trax.fastmath.jax as trax_jax

    monkeypatch.setitem(trax_jax.JAX_BACKEND, "local_device_count", lambda: 8)
    patches.patch_local_device_count()
    assert trax_jax.JAX_BACKEND["local_device_count"]() == 1


def test_the_counter_of_trax_batch_norm_draws_no_warning():
    assert shown(lambda: jnp.zeros((), np.int64)) == []
    assert (
        len(shown(lambda: jnp.zeros((), np.float64))) == 1
    )  # a float64 cut short is for the user to know


def test_warnings_of_trax_code_being_old_are_silenced_and_those_of_others_show():
    def warn(module, category=DeprecationWarning):
        return lambda: warnings.warn_explicit("of 2021", category, "file.py", 1, module=module)

    assert shown(warn("trax.supervised.training")) == []
    assert shown(warn("imagefec.training.loop")) == ["of 2021"]
    assert shown(warn("mytrax.training")) == ["of 2021"]
    assert shown(warn("trax.supervised.training", UserWarning)) == ["of 2021"]


@pytest.mark.parametrize("name", ["host_count", "process_count"])
def test_jaxs_word_on_renamed_counts_is_silenced_and_its_other_words_show(name):
    renamed = f"jax.{name} has been renamed to jax.something. This alias will eventually be removed"
    assert shown(lambda: warnings.warn(renamed, stacklevel=1)) == []
    other = "jax.devices has been renamed to jax.something"
    assert shown(lambda: warnings.warn(other, stacklevel=1)) == [other]


def test_a_trax_layer_still_says_where_its_shapes_are_declared():
    """Trax asks `inspect.stack` for file and line when it is imported: those of the decorator."""
    relu = tl.Relu()  # decorated with '...->...': Serial(AssertShape, Fn, AssertShape)
    message = relu.sublayers[0]._message
    file, line = message.removeprefix("Defined at ").removesuffix(" function input").rsplit(":", 1)
    assert pathlib.Path(file).name == "activation_fns.py"
    declared = pathlib.Path(file).read_text().splitlines()[int(line) - 1 :][:2]
    assert declared[0].startswith("@assert_shape('...->...')") and declared[1].startswith(
        "def Relu"
    )


def test_the_quick_stack_names_the_frames_of_the_original():
    def seen(stack):
        return [(entry.frame, entry.filename, entry.function, entry[0]) for entry in stack]

    original = inspect.stack
    with patches.quick_stack():
        assert inspect.stack is not original
        quick, slow = inspect.stack(), original()
        assert quick[0].lineno == slow[0].lineno
        assert seen(quick) == seen(slow)
    assert inspect.stack is original


def test_trax_describes_the_place_of_a_new_assertion_alike_with_either_stack():
    from trax.layers.assert_shape import AssertShape

    def message():
        return AssertShape("ab")._message

    plain = message()
    with patches.quick_stack():
        assert message() == plain
    assert plain.startswith("Defined at ") and __file__ in plain
