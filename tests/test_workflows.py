"""The workflows: they are YAML, and what their steps run exists."""

import pathlib
import shlex

import pytest
import yaml

import imagefec
from imagefec import cli

CHECKOUT = pathlib.Path(imagefec.__file__).parents[1]
WORKFLOWS = sorted((CHECKOUT / ".github" / "workflows").glob("*.yml"))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_the_commands_of_a_workflow_exist(path):
    workflow = yaml.safe_load(path.read_text())
    assert True in workflow  # the key `on`, as YAML 1.1 reads it
    installed = {"pip"}
    for job in workflow["jobs"].values():
        for step in job["steps"]:
            assert ("uses" in step) != ("run" in step)
            command = shlex.split(step.get("run", ""))
            match command:
                case ["python", "-m", "pip", "install", *names]:
                    installed.update(names)
                case ["python", "-m", module, *_]:
                    assert module in installed
                case ["cd", "/", "&&", "imagefec", *arguments]:
                    cli._parser().parse_args(arguments)
                case ["test", version, "=", "$GITHUB_REF_NAME"]:
                    assert version == "v$(python setup.py --version)"
                case [script]:
                    assert (CHECKOUT / script).stat().st_mode & 0o100
                case _:
                    assert not command, command


def test_nothing_is_published_without_a_build_and_a_token_of_its_own():
    jobs = yaml.safe_load((CHECKOUT / ".github/workflows/release.yml").read_text())["jobs"]
    assert jobs["publish"]["needs"] == "build"
    assert jobs["publish"]["permissions"] == {"id-token": "write"}
