"""The settings as dataclasses: allowed values, schedules and checks of the batch."""

import pytest

from imagefec.errors import UserError
from imagefec.training.config import (
    DataConfig,
    DivergenceConfig,
    HostsConfig,
    IdentityRemovalConfig,
    ScheduleConfig,
    StepConfig,
    TrainConfig,
    UdaConfig,
)


def settings(data=None, step=None, uda=None, **others):
    """Settings with factories that these tests never call."""
    return TrainConfig(
        model=None,
        loss=None,
        optimizer=None,
        learning_rate=None,
        schedule=ScheduleConfig(10),
        data=data or DataConfig(),
        step=step or StepConfig(),
        uda=uda or UdaConfig(),
        **others,
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ScheduleConfig(0), "training.steps is 0; it must be an integer, 1 or more"),
        (lambda: ScheduleConfig(2.5), "training.steps is 2.5"),
        (lambda: ScheduleConfig("10"), "training.steps is '10'"),
        (lambda: ScheduleConfig(10, 0), "training.steps_per_eval is 0"),
        (lambda: ScheduleConfig(10, 1, -1), "training.steps_per_checkpoint is -1"),
        (lambda: ScheduleConfig(10, stop_at_tpa=80), r"training.stop_at_tpa is 80; .* 0 to 1"),
        (lambda: DataConfig(image_size=0), "training.image_size is 0"),
        (lambda: DataConfig(images_per_identity=0), "training.faces_each is 0"),
        (lambda: StepConfig(precision="float16"), r"precision is 'float16'; .* float32, bfloat16"),
        (lambda: StepConfig(accumulation_steps=0), "training.accumulate is 0"),
        (lambda: UdaConfig(weight=-1.0), "uda_consistency.weight is -1"),
        (lambda: UdaConfig(weight=float("nan")), "uda_consistency.weight is nan"),
        (lambda: UdaConfig(ramp_steps=-1), "uda_consistency.ramp_steps is -1"),
        (lambda: UdaConfig(weight=1.0, distance="far"), "distance is 'far'; it must be one of l2"),
        (lambda: UdaConfig(weight=1.0, dataset="fec"), "batch_faces 0"),
        (lambda: UdaConfig(weight=1.0, batch_faces=3), "dataset is None"),
        (lambda: UdaConfig(dataset="fec", batch_faces=3), r"weight 0\.0"),
        (lambda: IdentityRemovalConfig(weight=-1.0), "identity_removal.weight is -1"),
        (lambda: IdentityRemovalConfig(ramp_steps=0.5), "identity_removal.ramp_steps is 0.5"),
        (lambda: DataConfig(annotations=3), "training.annotations is 3"),
        (lambda: DivergenceConfig(spread_floor=-1), "guards.spread_floor is -1"),
        (lambda: HostsConfig("here:1", 2), "hosts.process None"),
        (lambda: settings(seed=-1), "training.seed is -1"),
    ],
)
def test_values_that_are_not_allowed_are_refused_by_the_name_that_gin_binds(make, message):
    with pytest.raises(UserError, match=message):
        make()


def test_a_run_evaluates_at_its_first_step_regularly_and_at_its_last():
    schedule = ScheduleConfig(steps=10, steps_per_eval=4, steps_per_checkpoint=3)
    assert [step for step in range(1, 11) if schedule.evaluates(step)] == [1, 4, 8, 10]
    assert [step for step in range(1, 11) if schedule.saves(step)] == [3, 6, 9]


def test_the_weight_of_uda_rises_over_its_ramp():
    rising = UdaConfig(weight=2.0, ramp_steps=4)
    assert [rising.weight_at(step) for step in (1, 2, 4, 9)] == [0.5, 1.0, 2.0, 2.0]
    assert UdaConfig(weight=2.0).weight_at(1) == 2.0
    assert UdaConfig().views == 1 and UdaConfig(weight=0.1).views == 2


def test_the_weight_of_identity_removal_rises_over_its_ramp():
    rising = IdentityRemovalConfig(weight=2.0, ramp_steps=4)
    assert [rising.weight_at(step) for step in (1, 4, 9)] == [0.5, 2.0, 2.0]
    assert IdentityRemovalConfig(weight=3.0).weight_at(1) == 3.0


def test_identity_removal_requires_persons_and_a_loss_over_triplets():
    data = DataConfig(batch_triplets=4, batch_identities=4, annotations="persons.csv")
    on = {"identity_removal": IdentityRemovalConfig(weight=1.0)}
    settings(data, **on).check_batch(of_triplets=True, n_devices=1)
    with pytest.raises(UserError, match=r"weight is 1\.0, but the loss tells identities apart"):
        settings(data, **on).check_batch(of_triplets=False, n_devices=1)
    with pytest.raises(UserError, match=r"weight is 1\.0, but training\.annotations is None"):
        settings(DataConfig(batch_triplets=4), **on).check_batch(of_triplets=True, n_devices=1)


def test_only_the_batch_that_the_loss_takes_is_checked():
    settings(DataConfig(batch_triplets=4)).check_batch(of_triplets=True, n_devices=4)
    settings(DataConfig(batch_identities=4)).check_batch(of_triplets=False, n_devices=8)
    with pytest.raises(UserError, match=r"training\.batch_people is 0"):
        settings(DataConfig(batch_triplets=4)).check_batch(of_triplets=False, n_devices=1)
    with pytest.raises(UserError, match=r"training\.batch_triplets is 0"):
        settings(DataConfig(batch_identities=4)).check_batch(of_triplets=True, n_devices=1)


@pytest.mark.parametrize(
    ("batch_triplets", "parts", "unlabelled", "n_devices", "message"),
    [
        (
            4,
            3,
            0,
            1,
            r"training.accumulate = 3 cannot split the batch evenly\. Use multiples of 3",
        ),
        (4, 2, 3, 1, "uda_consistency.batch_faces 3; training.accumulate = 2 cannot split"),
        (3, 1, 0, 8, r"the 9 images .* evenly among 8 devices .* multiple of 8\."),
        (4, 2, 2, 4, r"the 7 images .* 4 devices .* multiple of 8 for both"),
    ],
)
def test_a_batch_that_cannot_be_split_evenly_is_refused(
    batch_triplets, parts, unlabelled, n_devices, message
):
    uda = UdaConfig(weight=1.0, dataset="fec", batch_faces=unlabelled) if unlabelled else None
    config = settings(
        DataConfig(batch_triplets=batch_triplets), StepConfig("float32", False, parts), uda
    )
    with pytest.raises(UserError, match=message):
        config.check_batch(of_triplets=True, n_devices=n_devices)


def test_shared_faces_are_what_the_devices_split():
    data = DataConfig(batch_triplets=7, batch_faces=12)
    settings(data).check_batch(of_triplets=True, n_devices=4)
    with pytest.raises(UserError, match=r"the 12 images .* evenly among 8 devices"):
        settings(data).check_batch(of_triplets=True, n_devices=8)


@pytest.mark.parametrize(
    ("others", "parts", "of_triplets", "message"),
    [
        ({"batch_faces": 2}, 1, True, "batch_faces is 2; it must be 0, or 3 to 12, the faces of"),
        ({"batch_faces": 13}, 1, True, "batch_faces is 13; it must be 0, or 3 to 12"),
        ({"batch_faces": 9, "balanced": True}, 1, True, "combined with training.balanced"),
        ({"batch_faces": 9}, 2, True, "combined with training.accumulate"),
        ({"batch_faces": 9, "batch_identities": 4}, 1, False, "the loss takes identities"),
    ],
)
def test_shared_faces_exclude_some_settings(others, parts, of_triplets, message):
    config = settings(DataConfig(batch_triplets=4, **others), StepConfig("float32", False, parts))
    with pytest.raises(UserError, match=message):
        config.check_batch(of_triplets=of_triplets, n_devices=1)
