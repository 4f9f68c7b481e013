"""A short training run, for the tests of what a run does and leaves."""

import pytest


@pytest.fixture(scope="module")
def train(world):
    from imagefec.training import configurables

    def run(output_dir, *bindings):
        return configurables.run(["smoke.gin"], list(bindings), output_dir, world.data_dir)

    yield run
    configurables.gin.clear_config()
