"""Of matrix.py: the commands that must work without TensorFlow, and the texts of failed tests."""

import pathlib
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET

_MAKE = (
    "from imagefec.quickstart import quickstart; import sys; quickstart(sys.argv[1], "
    "config_file='smoke.gin', faces=950, identities=30, triplets=500)"
)


def commands_without_tensorflow(bin_dir: pathlib.Path, folder: pathlib.Path) -> list[str]:
    """Makes a dataset, its face stores and a run; uninstalls TensorFlow; runs the commands.

    Args:
      bin_dir: of a virtual environment with TensorFlow.
      folder: for the files.

    Returns:
      A text for each command that ended with another exit code than it should.
    """
    python, made = bin_dir / "python", folder / "made"
    lines: list[str] = []

    def check(name: str, *command: object, code: int = 0, says: str = "") -> None:
        done = subprocess.run(
            [*map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        say(f"  {name}: {done.returncode}")
        if done.returncode != code or says not in done.stdout:
            lines.append(f"{name} ended with {done.returncode}: {done.stdout.strip()[-1500:]}")

    check("quickstart", python, "-c", _MAKE, made)
    check(
        "uninstall",
        *("uv", "pip", "uninstall", "--python", python),
        "tensorflow",
        "tensorflow-text",
    )
    run, data = f"--run={folder / 'run'}", f"--data_dir={made / 'data'}"
    face = next((made / "fec" / "faces").rglob("*.png"), "")
    verb = (python, "-m", "imagefec")
    smoke = "--config_file=smoke.gin"
    check("doctor", *verb, "doctor", code=0, says="without TensorFlow")
    check("train", *verb, "train", smoke, f"--output_dir={folder / 'run'}", data)
    check("evaluate", *verb, "evaluate", run, data)
    check("embed", *verb, "embed", run, face, f"--out={folder / 'one.npz'}")
    for name, code in (("onnx", 0), ("stablehlo", 0), ("savedmodel", 2), ("tflite", 2)):
        says = "requires TensorFlow" if code else ""
        out = f"--out={folder / f'out.{name}'}"
        check(f"export {name}", *verb, "export", run, f"--format={name}", out, code=code, says=says)
    lines += _served(list(map(str, (*verb, "serve", run, "--port=0"))))
    shutil.rmtree(made / "data" / "face_stores")
    check("no face store", *verb, "evaluate", run, data, code=2, says="requires TensorFlow")
    return lines


def failures(suite: ET.Element) -> list[str]:
    """The failed tests of a JUnit report, each as "test: message"."""
    return [
        f"{case.get('classname', '').rpartition('.')[2]}::{case.get('name')}: "
        f"{problem.get('message', '')[:300]}"
        for case in suite.iter("testcase")
        for problem in (*case.findall("failure"), *case.findall("error"))
    ]


def say(text: str) -> None:
    """Progress, on stderr."""
    print(text, file=sys.stderr, flush=True)


def _served(command: list[str]) -> list[str]:
    """Starts the server, waits for its address, and stops it."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    address = process.stdout.readline().strip()
    process.terminate()  # a job in the background may ignore ctrl-C
    told = process.communicate(timeout=300)[1]
    say(f"  serve: {address} {process.returncode}")
    return [] if address.startswith("http") else [f"serve: {told.strip()[-1500:]}"]
