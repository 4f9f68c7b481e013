"""The synthetic world with a run, and the undisturbed result of every verb."""

import pytest

from tests.faults.verbs import VERBS, Inputs, command, run_verb


@pytest.fixture(scope="session")
def inputs(world, tmp_path_factory):
    run = tmp_path_factory.mktemp("faults") / "run"
    arguments = ["--config_file=smoke.gin", f"--data_dir={world.data_dir}", f"--output_dir={run}"]
    done = run_verb(["train", *arguments])
    assert done.returncode == 0, done.stderr
    return Inputs(world.csv_paths, world.cache_dir, world.manual_dir / "faces", world.data_dir, run)


@pytest.fixture(scope="session")
def undisturbed(inputs, tmp_path_factory):
    """A function from a verb to the digests of its undisturbed result."""
    results = {}

    def result(verb):
        if verb.name not in results:
            out = tmp_path_factory.mktemp(f"undisturbed-{verb.name}") / "out"
            done = run_verb(command(verb, inputs, out))
            assert done.returncode == 0, done.stderr
            results[verb.name] = verb.digests(out, done.stdout)
            assert results[verb.name] or verb.name == "doctor"
        return results[verb.name]

    assert {verb.name for verb in VERBS} >= {"draw", "train", "report"}
    return result
