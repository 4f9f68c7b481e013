"""Compiler options of a step: less YNNPACK on a CPU; none if unknown or set by a user."""

import jax
import jax.numpy as jnp
import pytest

from imagefec.training.step import compiler


@pytest.fixture(autouse=True)
def no_cached_options():
    compiler.step_options.cache_clear()
    yield
    compiler.step_options.cache_clear()


def convolve(x, kernel):
    return jax.lax.conv_general_dilated(
        x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="an option of the CPU backend")
def test_on_a_cpu_xla_computes_convolutions_with_the_same_result():
    x, kernel = jnp.ones((8, 32, 32, 64)) * 0.5, jnp.ones((3, 3, 64, 64)) * 0.01
    plain = jax.jit(convolve).lower(x, kernel).compile()
    compiled = (
        jax.jit(convolve, compiler_options=compiler.step_options()).lower(x, kernel).compile()
    )
    assert "ynn" not in compiled.as_text()
    assert jnp.allclose(plain(x, kernel), compiled(x, kernel), rtol=1e-5)


def test_xla_flags_take_precedence(monkeypatch):
    monkeypatch.setenv(
        "XLA_FLAGS", "--xla_cpu_experimental_ynn_fusion_type=LIBRARY_FUSION_TYPE_DOT"
    )
    assert compiler.step_options() is None


def test_a_jaxlib_that_does_not_know_the_option_gets_none(monkeypatch):
    monkeypatch.setattr(compiler, "_WITHOUT_CONVOLUTIONS", {"xla_cpu_no_such_option": "1"})
    assert compiler.step_options() is None
