"""What a training would do: the checks that need no face and compile nothing."""

import os
from collections.abc import Sequence

from imagefec.model.run import prepare_directory
from imagefec.paths import user_path
from imagefec.plan import Plan
from imagefec.training import configurables
from imagefec.training.initial_weights import find_pretrained_weights
from imagefec.training.step.mesh import all_devices
from imagefec.training.step.objectives import takes_triplets
from imagefec.training.step.precision import check_precision
from imagefec.training.trainer import done_steps, open_splits, settings_errors


def plan_run(
    config_files: Sequence[str | os.PathLike[str]],
    bindings: Sequence[str],
    output_dir: str | os.PathLike[str],
    data_dir: str | os.PathLike[str],
) -> Plan:
    """What `configurables.run` would do: layers are made, datasets opened, nothing is written.

    A training on several hosts does not join them: the devices are those of this one.

    Args:
      config_files: as for `configurables.run`; likewise the others.
      bindings: likewise.
      output_dir: likewise.
      data_dir: likewise.

    Raises:
      UserError: as `configurables.run`, for what is known before faces are loaded.
    """
    config = configurables.parsed_config(config_files, bindings)
    configurables.hosts_config()
    run_dir = prepare_directory(output_dir, dry_run=True)
    check_precision(config.step.precision)
    mesh = all_devices()
    with settings_errors():
        loss = config.loss()
        config.optimizer()
        config.augment(mode="train")
        config.model(mode="train")
    of_triplets = takes_triplets(loss)
    config.check_batch(of_triplets, mesh.size)
    n_done = done_steps(run_dir, config)
    if config.init.checkpoint and not n_done:
        find_pretrained_weights(config.init.checkpoint)
    sources = open_splits(user_path(data_dir, "data_dir"), config)
    steps, data = config.schedule.steps, config.data
    device = mesh.devices.flat[0].device_kind
    batch = (
        f"{data.batch_triplets} triplets"
        if of_triplets
        else f"{data.batch_identities} identities, {data.images_per_identity} faces each"
    )
    lines = [
        f"steps      {max(0, steps - n_done)} of {steps} would be done, {n_done} are",
        f"batch      {batch}, on {mesh.size} x {device}",
    ]
    lines += [
        f"{name:<11}{source.full_name}, {'+'.join(source.splits)}: {len(source.chosen)} examples"
        for name, source in sources.items()
    ]
    facts = {
        "steps": steps,
        "n_done": n_done,
        "n_devices": mesh.size,
        "device": device,
        "examples": {name: len(source.chosen) for name, source in sources.items()},
    }
    return Plan(run_dir, lines, facts)
