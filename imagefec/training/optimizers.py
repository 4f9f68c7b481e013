"""Trax's optimizers with the ranges of their settings; the algorithms are Trax's."""

import inspect
from collections.abc import Callable, Mapping
from typing import Annotated, Any

from imagefec.compat import optimizers
from imagefec.parameters import Flag, Integer, Maybe, Number, checked

_Rate, _Decay = Number(0, 1000, above=True), Number(0, 1)
_Average, _Epsilon = Number(0, 1, below=True), Number(0, 1, above=True)
_Norm = Number(0, above=True)


@checked
def Adam(
    learning_rate: Annotated[float, _Rate] = 0.0001,
    weight_decay_rate: Annotated[float, _Decay] = 1e-5,
    b1: Annotated[float, _Average] = 0.9,
    b2: Annotated[float, _Average] = 0.999,
    eps: Annotated[float, _Epsilon] = 1e-5,
    clip_grad_norm: Annotated[float | None, Maybe(_Norm)] = None,
) -> Any:
    """Adam.

    Args:
      learning_rate: replaced at every step by training.learning_rate.
      weight_decay_rate: fraction of each weight that is subtracted at every step.
      b1: share of the old value in the running mean of the gradient.
      b2: share of the old value in the running mean of the squared gradient.
      eps: added to the root of the latter.
      clip_grad_norm: longest gradient; a longer one is scaled down. None for no limit.

    Raises:
      ValueError: an argument has a value that is not allowed.

    Source: Kingma & Ba 2014, arXiv:1412.6980.
    """
    return _made(optimizers.Adam, Adam, locals())


@checked
def Adafactor(
    learning_rate: Annotated[float, _Rate] = 0.05,
    factored: Annotated[bool, Flag()] = True,
    multiply_by_parameter_scale: Annotated[bool, Flag()] = True,
    do_clipping: Annotated[bool, Flag()] = True,
    do_momentum: Annotated[bool, Flag()] = False,
    momentum_in_bfloat16: Annotated[bool, Flag()] = False,
    beta1: Annotated[float, _Average] = 0.0,
    decay_rate: Annotated[float, _Decay] = 0.8,
    clipping_threshold: Annotated[float, _Norm] = 1.0,
    weight_decay_rate: Annotated[float, _Decay] = 1e-5,
    weight_decay_n_steps: Annotated[int, Integer(0)] = 0,
    epsilon1: Annotated[float, _Epsilon] = 1e-16,
    epsilon2: Annotated[float, _Epsilon] = 1e-3,
) -> Any:
    """Adafactor, which stores less than Adam for each weight.

    Args:
      learning_rate: replaced at every step by training.learning_rate.
      factored: keep sums over rows and columns of the squared gradient of a matrix instead of all
        values.
      multiply_by_parameter_scale: multiply the learning rate by the size of the weights.
      do_clipping: scale down updates that are larger than clipping_threshold.
      do_momentum: keep a running mean of the updates, see beta1.
      momentum_in_bfloat16: store it as bfloat16.
      beta1: share of the old value in that mean.
      decay_rate: exponent of the schedule of the running mean of the squared gradient.
      clipping_threshold: largest root mean square of an update.
      weight_decay_rate: fraction of each weight that is subtracted at every step.
      weight_decay_n_steps: number of steps with weight decay; 0 for all.
      epsilon1: added to the squared gradient.
      epsilon2: smallest size of the weights that the learning rate is multiplied by.

    Raises:
      ValueError: an argument has a value that is not allowed.

    Source: Shazeer & Stern 2018, arXiv:1804.04235.
    """
    return _made(optimizers.Adafactor, Adafactor, locals())


@checked
def Momentum(
    learning_rate: Annotated[float, _Rate] = 0.01,
    mass: Annotated[float, _Average] = 0.9,
    weight_decay_rate: Annotated[float, _Decay] = 1e-5,
    nesterov: Annotated[bool, Flag()] = True,
) -> Any:
    """Stochastic gradient descent with momentum.

    Args:
      learning_rate: replaced at every step by training.learning_rate.
      mass: share of the old value in the running sum of gradients.
      weight_decay_rate: fraction of each weight that is subtracted at every step.
      nesterov: with Nesterov's correction.

    Raises:
      ValueError: an argument has a value that is not allowed.
    """
    return _made(optimizers.Momentum, Momentum, locals())


@checked
def SGD(
    learning_rate: Annotated[float, _Rate] = 0.01,
    clip_grad_norm: Annotated[float | None, Maybe(_Norm)] = None,
) -> Any:
    """Stochastic gradient descent.

    Args:
      learning_rate: replaced at every step by training.learning_rate.
      clip_grad_norm: longest gradient; a longer one is scaled down. None for no limit.

    Raises:
      ValueError: an argument has a value that is not allowed.
    """
    return _made(optimizers.SGD, SGD, locals())


def _made(
    of_trax: Callable[..., Any], function: Callable[..., Any], values: Mapping[str, Any]
) -> Any:
    """Trax's optimizer; its defaults, which are those of `function`, are not passed.

    Gin then records them by Trax's names, as in earlier runs, with which reports compare.
    """
    defaults = inspect.signature(function).parameters
    return of_trax(
        **{name: value for name, value in values.items() if value != defaults[name].default}
    )
