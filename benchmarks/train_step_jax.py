"""train_step.py's own side: the bare jitted step of ImageFEC, and the same step inside Trax's Loop as training runs it."""

import importlib.util

if (
    importlib.util.find_spec("tensorflow") is None
):  # a GPU machine may do without; Trax asks for it by name alone
    import trax_without_tensorflow

    trax_without_tensorflow.install()

import itertools
import tempfile

import jax
import numpy as np

from imagefec.compat import optimizers, shapes, tl
from imagefec.model import ImageFEC, convolution, layers, norms
from imagefec.training.cores import split_cpu
from imagefec.training.step.compiler import step_options
from imagefec.training.step.objectives import Objective, TripletLoss, Uda
from imagefec.training.step.precision import in_bfloat16


def step_of(name: str, px: int, n: int, d_hidden: int, views: int):
    """(function that makes a number of steps, name of the device) of a contender.

    "jax" is the bare step, "jax-ynnpack" with XLA's own choice of what YNNPACK computes,
    "jax-small-pages" the same as "jax" (train_step.py starts it otherwise), "jax-lax" with every
    convolution as XLA's own, "jax-plain-norm" with the norm's backward pass as JAX derives it,
    "jax-bfloat16" as training.precision has it; "jax-loop" is "jax" inside FaceLoop, "jax-cores"
    that with training.cores_as_devices.
    """
    if name == "jax-lax":
        convolution.Conv._by_matmul = lambda self, *arguments: False
    if name == "jax-plain-norm":
        norms.BatchNorm._by_batch = _plain_norm
    if name == "jax-cores":
        split_cpu(n)
    make = _loop_step if name in ("jax-loop", "jax-cores") else _bare_step
    return make(px, n, d_hidden, views, name), jax.devices()[0].device_kind


def _bare_step(px: int, n: int, d_hidden: int, views: int, name: str):
    uda = Uda(weight=float(views > 1))
    batch = (
        _faces(px, n),
        np.zeros(n // 3, np.int8),
        np.zeros((n // 3, 3), np.int32),
        *[np.float32(1)] * (views - 1),
    )
    model = tl.Serial(
        layers.Augment(views=views), ImageFEC(d_hidden=d_hidden), Objective(TripletLoss(), uda)
    )
    model.init(shapes.signature(batch))
    optimizer = optimizers.Adam(1e-4)
    _, parameters = optimizer.tree_init(model.weights)

    def step(weights, state, slots, number, key, batch):
        def loss(weights):
            rounded = in_bfloat16(model, weights) if name == "jax-bfloat16" else weights
            return model.pure_fn(batch, rounded, state, key)

        (value, state), gradients = jax.value_and_grad(loss, has_aux=True)(weights)
        weights, slots, _ = optimizer.tree_update(
            number, gradients, weights, slots, parameters, store_slots=False
        )
        return value, weights, state, slots

    options = None if name == "jax-ynnpack" else step_options()
    jitted = jax.jit(step, donate_argnums=(0, 1, 2), compiler_options=options)
    held, batch = [model.weights, model.state, optimizer.slots], jax.device_put(batch)
    numbers = itertools.count(1)

    def run(steps: int) -> None:
        for _ in range(steps):
            number = next(numbers)
            value, *held[:] = jitted(*held, number, jax.random.PRNGKey(number), batch)
        value.block_until_ready()

    return run


def _loop_step(px: int, n: int, d_hidden: int, views: int, name: str):
    """Steps of FaceLoop as `trainer.train` builds it: faces gathered and sent by a thread, statistics watched."""
    from imagefec.compat import training
    from imagefec.data.samplers import TripletSampler
    from imagefec.data.store.datasets import Triplets
    from imagefec.training.input import FaceInput
    from imagefec.training.loop import FaceLoop, Schedule
    from imagefec.training.monitor.divergence import Guards, TrainingMonitor
    from imagefec.training.schedules import warmup_cosine
    from imagefec.training.step.mesh import all_devices
    from imagefec.training.step.mesh_trainer import StepConfig

    random, m, mesh, uda, never = (
        np.random.default_rng(0),
        3000,
        all_devices(),
        Uda(weight=float(views > 1)),
        1 << 30,
    )
    triplets = np.argsort(random.random((8 * n, m)), axis=1)[:, :3].astype(np.int32)
    data = Triplets(
        _faces(px, m),
        [""] * m,
        [""] * m,
        triplets,
        (np.arange(8 * n) % 3).astype(np.int8),
        np.zeros((8 * n, 3), np.int32),
        np.ones(8 * n, np.float32),
    )
    faces = FaceInput(TripletSampler(data, n // 3, seed=0), 0, mesh, uda)
    model, eval_model = (
        tl.Serial(layers.Augment(views=views, mode=mode), ImageFEC(d_hidden=d_hidden, mode=mode))
        for mode in ("train", "eval")
    )
    task = training.TrainTask(
        faces.batches(0),
        Objective(TripletLoss(), uda),
        optimizers.Adam(1e-4),
        lr_schedule=warmup_cosine(1e-4, never),
        loss_name="loss",
        sample_batch=faces.sample(),
        n_steps_per_checkpoint=never,
    )
    watch = TrainingMonitor(Guards(collapse_steps=0, divergence_factor=0), 0.2)
    measures = {"tpa": 0.0, "embedding_spread": 1.0}
    loop = FaceLoop(
        model,
        task,
        eval_model,
        lambda model: dict(measures),
        tempfile.mkdtemp(),
        Schedule(never, never, never),
        0,
        mesh,
        StepConfig(),
        watch,
    )

    def run(steps: int) -> None:
        loop.run(steps)
        watch.drain()

    return run


def _plain_norm(norm, x, scale, offset):
    mean, variance = norms.mean_and_variance(x)
    return norm._scaled(x, mean, variance, scale, offset), mean, variance


def _faces(px: int, n: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, px, px, 3), np.uint8)
