"""train_step.py's contenders in JAX: ImageFEC's bare jitted step, and the step in Trax's Loop."""

import functools
import itertools
import pathlib
import tempfile
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from train_step_network import QUICKSTART

from imagefec.compat import optimizers, shapes, tl
from imagefec.model import ImageFEC, convolution, layers, norms
from imagefec.training.config import UdaConfig
from imagefec.training.step.compiler import step_options
from imagefec.training.step.objectives import Objective, TripletLoss
from imagefec.training.step.precision import in_bfloat16


def step_of(
    name: str, px: int, n: int, d_hidden: int, views: int
) -> tuple[Callable[[int], None], str]:
    """(function that runs a number of steps, name of the device) of a contender.

    "jax" is the bare step. The others differ from it in one point: "jax-ynnpack" lets XLA choose
    what YNNPACK computes; "jax-small-pages" is started by train_step.py without huge pages;
    "jax-lax" computes every convolution by XLA; "jax-plain-norm" has the norm's backward pass as
    JAX derives it; "jax-bfloat16" has training.precision = 'bfloat16'; "jax-loop" runs in FaceLoop.
    "jax-quickstart" and "jax-quickstart-bfloat16" train the network of quickstart.gin.
    """
    if name == "jax-lax":
        convolution.Conv._by_matmul = lambda *_arguments: False
    if name == "jax-plain-norm":
        norms.BatchNorm._by_batch = _plain_norm
    make = _loop_step if name == "jax-loop" else _bare_step
    return make(px, n, d_hidden, views, name), jax.devices()[0].device_kind


def _bare_step(px: int, n: int, d_hidden: int, views: int, name: str) -> Callable[[int], None]:
    uda = UdaConfig(weight=float(views > 1))
    batch = (
        _faces(px, n),
        np.zeros(n // 3, np.int8),
        np.zeros((n // 3, 3), np.int32),
        *[np.float32(1)] * (views - 1),
    )
    settings: dict[str, Any] = QUICKSTART if name.startswith("jax-quickstart") else {}
    model = tl.Serial(
        layers.Augment(views=views),
        ImageFEC(d_hidden=d_hidden, **settings),
        Objective(TripletLoss(), uda),
    )
    model.init(shapes.signature(batch))
    optimizer = optimizers.Adam(1e-4)
    _, parameters = optimizer.tree_init(model.weights)

    def step(weights: Any, state: Any, slots: Any, number: Any, key: Any, batch: Any) -> tuple:
        def loss(weights: Any) -> tuple:
            rounded = in_bfloat16(model, weights) if name.endswith("bfloat16") else weights
            return model.pure_fn(batch, rounded, state, key)

        (value, state), gradients = jax.value_and_grad(loss, has_aux=True)(weights)
        weights, slots, _ = optimizer.tree_update(
            number, gradients, weights, slots, parameters, store_slots=False
        )
        return value, weights, state, slots

    options = None if name == "jax-ynnpack" else step_options()
    jitted = jax.jit(step, donate_argnums=(0, 1, 2), compiler_options=options)
    trained, batch = [model.weights, model.state, optimizer.slots], jax.device_put(batch)
    numbers = itertools.count(1)

    def run(steps: int) -> None:
        for _ in range(steps):
            number = next(numbers)
            value, *trained[:] = jitted(*trained, number, jax.random.PRNGKey(number), batch)
        value.block_until_ready()

    return run


def _loop_step(px: int, n: int, d_hidden: int, views: int, _name: str) -> Callable[[int], None]:
    """Steps of FaceLoop as `trainer.train` sets it up: prefetch thread, statistics, monitor."""
    from imagefec.compat import training
    from imagefec.data.samplers import TripletSampler
    from imagefec.training.config import DivergenceConfig, ScheduleConfig, TrainConfig
    from imagefec.training.input import FaceInput
    from imagefec.training.loop import FaceLoop
    from imagefec.training.monitor.divergence import TrainingMonitor
    from imagefec.training.schedules import warmup_cosine
    from imagefec.training.step.mesh import all_devices

    never = 1 << 30
    config = TrainConfig(
        model=functools.partial(ImageFEC, d_hidden=d_hidden),
        loss=TripletLoss,
        optimizer=functools.partial(optimizers.Adam, 1e-4),
        learning_rate=warmup_cosine(1e-4, never),
        schedule=ScheduleConfig(never, never, never),
        uda=UdaConfig(weight=float(views > 1)),
        divergence=DivergenceConfig(collapse_steps=0, divergence_factor=0),
    )
    mesh = all_devices()
    faces = FaceInput(TripletSampler(_triplets(px, n), n // 3, seed=0), 0, mesh, config.uda)
    model, eval_model = (
        tl.Serial(config.augment(views=views, mode=mode), config.model(mode=mode))
        for mode in ("train", "eval")
    )
    task = training.TrainTask(
        faces.batches(0),
        Objective(config.loss(), config.uda),
        config.optimizer(),
        lr_schedule=config.learning_rate,
        loss_name="loss",
        sample_batch=faces.sample(),
        n_steps_per_checkpoint=never,
    )
    monitor = TrainingMonitor(config.divergence, 0.2)
    measures = {"tpa": 0.0, "embedding_spread": 1.0}
    run_dir = pathlib.Path(tempfile.mkdtemp())
    loop = FaceLoop(
        run_dir, config, model, eval_model, task, lambda _model: dict(measures), mesh, monitor
    )

    def run(steps: int) -> None:
        loop.run(steps)
        monitor.drain()

    return run


def _triplets(px: int, n: int) -> Any:
    from imagefec.data.store.datasets import Triplets

    n_triplets, n_faces = 8 * n, 3000
    order = np.argsort(np.random.default_rng(0).random((n_triplets, n_faces)), axis=1)
    return Triplets(
        _faces(px, n_faces),
        [""] * n_faces,
        [""] * n_faces,
        order[:, :3].astype(np.int32),
        (np.arange(n_triplets) % 3).astype(np.int8),
        np.zeros((n_triplets, 3), np.int32),
        np.ones(n_triplets, np.float32),
    )


def _plain_norm(norm: Any, x: Any, scale: Any, offset: Any) -> tuple:
    mean, variance = norms.mean_and_variance(x)
    return norm._scaled(x, mean, variance, scale, offset), mean, variance


def _faces(px: int, n: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, px, px, 3), np.uint8)
