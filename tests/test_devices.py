"""Platforms that are not there, forks, and what every command says of them."""

import os
import subprocess
import sys

import pytest

from imagefec import devices
from imagefec.errors import UserError

PRINT_ERROR = """
import os, sys
from imagefec import devices
from imagefec.errors import UserError

def try_it():
    try:
        print("found", len(devices.find_devices()), flush=True)
    except UserError as error:
        print(error, flush=True)
"""


def output_of(code, **variables):
    done = subprocess.run(
        [sys.executable, "-c", PRINT_ERROR + code],
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1", **variables},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_the_devices_are_those_of_jax():
    import jax

    assert devices.find_devices() == jax.devices()


@pytest.mark.parametrize("platform", ["cuda", "tpu", "nonsense", "nonsense,cpu"])
def test_a_platform_that_is_not_there_is_named_with_what_to_do(platform):
    # Asked twice, because JAX forgets its own reason after the first time.
    first, second = output_of("try_it()\ntry_it()", JAX_PLATFORMS=platform)
    for text in (first, second):
        assert text.startswith(f"JAX_PLATFORMS={platform}: JAX found no such device (")
        assert "Unset JAX_PLATFORMS" in text and "JAX_PLATFORMS=cpu" in text
        assert devices.INSTALLATION in text and "set JAX_PLATFORMS=''" not in text


def test_the_reason_of_jax_is_part_of_the_sentence():
    jax_says = "Unable to initialize backend 'x': no driver (set JAX_PLATFORMS='' to choose)"
    assert "device (Unable to initialize backend 'x': no driver)." in devices.explain(jax_says, "x")
    assert "device (this machine, or the installed JAX, has no cuda)." in devices.explain(
        "", "cuda"
    )
    assert devices.explain("no\ndriver.", None).startswith("JAX found no device: no driver. Set ")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_fork_of_a_process_that_used_jax_is_refused_and_others_are_not():
    fork = """
    child = os.fork()
    if child == 0:
        try_it()
        os._exit(0)
    os.waitpid(child, 0)
    """.replace("\n    ", "\n")
    [before] = output_of(fork)
    assert before.startswith("found ")
    parent, child = output_of("try_it()" + fork)
    assert parent.startswith("found ")
    assert child.startswith("this process was forked from one that had used JAX")
    assert "multiprocessing.get_context('spawn')" in child
    # A user's own use of JAX counts too.
    [child] = output_of("import jax\njax.numpy.ones(3).sum().block_until_ready()" + fork)
    assert child.startswith("this process was forked")


def test_a_process_that_was_not_forked_passes():
    devices.check_not_forked()
    assert not issubclass(UserError, RuntimeError)
