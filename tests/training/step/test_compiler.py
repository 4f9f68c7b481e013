"""What XLA is told about a step: less YNNPACK on a CPU, nothing where that is not known or somebody has said otherwise."""

import jax
import jax.numpy as jnp
import pytest

from imagefec.training.step import compiler


@pytest.fixture(autouse=True)
def asked_anew():
    compiler.step_options.cache_clear()
    yield
    compiler.step_options.cache_clear()


def convolve(x, kernel):
    return jax.lax.conv_general_dilated(
        x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="the option is the CPU's")
def test_on_a_cpu_convolutions_are_left_to_xla_and_give_the_same():
    x, kernel = jnp.ones((8, 32, 32, 64)) * 0.5, jnp.ones((3, 3, 64, 64)) * 0.01
    plain = jax.jit(convolve).lower(x, kernel).compile()
    told = jax.jit(convolve, compiler_options=compiler.step_options()).lower(x, kernel).compile()
    assert "ynn" not in told.as_text()
    assert jnp.allclose(plain(x, kernel), told(x, kernel), rtol=1e-5)


def test_xla_flags_have_the_last_word(monkeypatch):
    monkeypatch.setenv(
        "XLA_FLAGS", "--xla_cpu_experimental_ynn_fusion_type=LIBRARY_FUSION_TYPE_DOT"
    )
    assert compiler.step_options() is None


def test_a_jaxlib_without_the_option_is_told_nothing(monkeypatch):
    monkeypatch.setattr(compiler, "_SUMS_AND_PRODUCTS", {"xla_cpu_no_such_option": "1"})
    assert compiler.step_options() is None
