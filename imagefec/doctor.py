"""Reports what Image FEC requires, what this machine lacks and how to get it; changes nothing.

TensorFlow and Trax are not imported, and JAX only in a subprocess, so the report also works where
one of them is broken.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import pathlib
import platform
import re
import shutil
import tempfile
from typing import Any

import imagefec
from imagefec import devices as jax_devices
from imagefec.config_dirs import CONFIG_DIRS
from imagefec.errors import UserError
from imagefec.paths import cache_folder
from imagefec.quiet import unnamed_file

DETECTORS = ("yunet", "blazeface", "faced", "haar", "lbp")
DATASETS = ("fec", "vggface2")
LEAST_FREE_GB = 5.0
DEVICES_TIMEOUT_S = 60.0
REINSTALL = "pip install -e . in the checkout"


def examine(
    model_dir: str | os.PathLike | None = None, devices_timeout_s: float = DEVICES_TIMEOUT_S
) -> dict[str, Any]:
    """Examines everything that Image FEC requires of a machine.

    Args:
      model_dir: folder of the detectors' model files; None for the default, as in
        `faces.detectors.make_detector`.
      devices_timeout_s: how long JAX may take to list its devices; a broken driver can hang.

    Returns:
      JSON values: python, platform, imagefec (versions); packages (name -> version, None if
      missing); opencv; devices (platform, n, kinds; or error); detectors (name -> available, file,
      problem); auto (the detector that "auto" selects); disk (folder, free_gb); folders (cache,
      temporary; None if there is none); gin_configs; datasets (name -> folder of its builder);
      apache_beam (version); problems (sentences, each with its fix; empty if there are none).
    """
    problems: list[str] = []
    report: dict[str, Any] = {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "imagefec": imagefec.__version__,
        "packages": _packages(problems),
        "opencv": _opencv(problems),
    }
    report |= _detectors(report["opencv"], model_dir, problems)
    report["devices"] = _devices(devices_timeout_s, problems)
    report["disk"] = _disk(problems)
    report["folders"] = _folders(problems)
    report["gin_configs"] = _gin_configs(problems)
    report["datasets"] = _datasets(problems)
    report["apache_beam"] = _version("apache-beam")
    report["problems"] = problems
    return report


def describe(report: dict[str, Any]) -> str:
    """Formats the result of `examine` as lines of text; problems come last."""
    devices, disk, opencv = report["devices"], report["disk"], report["opencv"]
    folders = report["folders"]
    features = [name for name in ("FaceDetectorYN", "CascadeClassifier") if opencv.get(name)]
    packages = ", ".join(
        f"{name} {version or 'MISSING'}" for name, version in report["packages"].items()
    )
    lines = [
        f"imagefec     {report['imagefec']}, Python {report['python']}, {report['platform']}",
        f"packages     {packages or 'unknown: imagefec is not installed'}",
        f"opencv       {opencv['version'] or 'cannot be imported'}"
        + (f" with {' and '.join(features)}" if features else ""),
        f"devices      {devices['n']} x {devices['platform']} ({', '.join(devices['kinds'])})"
        if devices["n"]
        else f"devices      unknown ({devices['error']})",
        *(
            f"detector     {name}: {_detector_line(name, found)}"
            for name, found in report["detectors"].items()
        ),
        f"detector     auto selects {report['auto'] or 'none'}",
        f"disk         {disk['free_gb']} GB free in {disk['folder']}"
        if disk["folder"]
        else "disk         unknown",
        f"folders      cache {folders['cache'] or 'none'}, temporary files "
        f"{folders['temporary'] or 'none'}",
        f"gin configs  {report['gin_configs'] or 'not found'}",
        *(
            f"dataset      {name}: {folder or 'builder not found'}"
            for name, folder in report["datasets"].items()
        ),
        f"beam         {report['apache_beam'] or 'not installed'}",
    ]
    problems = report["problems"]
    lines.append("" if problems else "\nNothing is missing.")
    return "\n".join(
        [*lines, *(f"problem {n}: {text}" for n, text in enumerate(problems, start=1))]
    ).rstrip()


def _detector_line(name: str, found: dict[str, Any]) -> str:
    if not found["available"]:
        return "not available: " + found["problem"].removeprefix(f"detector {name}: ")
    return "available" + (f", {found['file']}" if found["file"] else "")


def _packages(problems: list[str]) -> dict[str, str | None]:
    try:
        requirements = importlib.metadata.requires("imagefec") or []
    except importlib.metadata.PackageNotFoundError:
        problems.append(f"imagefec is not installed, only found in a folder. Run {REINSTALL}.")
        return {}
    versions: dict[str, str | None] = {}
    for requirement in (each for each in requirements if "extra ==" not in each):
        name = re.split(r"[^\w.-]", requirement, maxsplit=1)[0]
        versions[name] = version = _version(name)
        if version is None:
            problems.append(
                f"package {name} is missing. Run pip install '{requirement}', or {REINSTALL}."
            )
        elif not _satisfied(requirement, version):
            problems.append(
                f"package {name} is {version}; {requirement} is required. Run "
                f"pip install '{requirement}'."
            )
    return versions


def _satisfied(requirement: str, version: str) -> bool:
    try:
        # A dependency of matplotlib; without it versions are not checked.
        from packaging.requirements import Requirement
    except Exception:
        return True
    return Requirement(requirement).specifier.contains(version, prereleases=True)


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _opencv(problems: list[str]) -> dict[str, Any]:
    names = [
        f"opencv-{kind}python{suffix}" for kind in ("", "contrib-") for suffix in ("", "-headless")
    ]
    installed = [name for name in names if _version(name)]
    if len(installed) > 1:
        problems.append(
            f"{' and '.join(installed)} are installed and overwrite each other's cv2. Run pip "
            f"uninstall {' '.join(installed)}, then pip install 'opencv-python-headless>=4.10,<5'."
        )
    try:
        import cv2
    except Exception as error:  # a broken package may raise anything
        problems.append(
            f"OpenCV cannot be imported ({_one_line(error)}). Run pip install "
            "'opencv-python-headless>=4.10,<5', which needs no desktop libraries."
        )
        return {"version": None, "packages": installed}
    return {
        "version": cv2.__version__,
        "packages": installed,
        "FaceDetectorYN": hasattr(cv2, "FaceDetectorYN"),
        "CascadeClassifier": hasattr(cv2, "CascadeClassifier"),
    }


def _detectors(
    opencv: dict[str, Any], model_dir: str | os.PathLike | None, problems: list[str]
) -> dict[str, Any]:
    if opencv["version"] is None:
        lacking = {"available": False, "file": None, "problem": "OpenCV cannot be imported."}
        return {
            "detectors": dict.fromkeys(DETECTORS, lacking),
            "auto": None,
        }
    try:
        from imagefec.faces import detectors
        from imagefec.faces.detectors import blazeface, faced, yunet
    except Exception as error:
        problems.append(f"the detectors cannot be imported ({_one_line(error)}). Run {REINSTALL}.")
        lacking = {"available": False, "file": None, "problem": problems[-1]}
        return {"detectors": dict.fromkeys(DETECTORS, lacking), "auto": None}

    files = {
        "yunet": yunet.find_file(model_dir),
        "blazeface": blazeface.package_folder(),
        "haar": detectors.haar_file(),
        "faced": None,
        "lbp": None,
    }
    if graphs := faced.find_files(model_dir):
        files["faced"] = graphs[0].parent
    found = {}
    for name in detectors.AUTO_ORDER:
        problem = _why_not(name, model_dir)
        found[name] = {
            "available": problem is None,
            "file": str(files[name]) if files[name] else None,
            "problem": problem,
        }
        # A file that is absent is the user's choice, except those that Image FEC's packages bring.
        if problem is not None and (files[name] or name in ("blazeface", "lbp")):
            problems.append(problem)
    return {"detectors": found, "auto": detectors.auto_choice(model_dir)}


def _why_not(name: str, model_dir: str | os.PathLike | None) -> str | None:
    """Why a detector cannot be made; None if it can."""
    from imagefec.faces import detectors
    from imagefec.faces.detectors import faced

    if name == "faced":  # making one imports TensorFlow
        if faced.find_files(model_dir) is not None:
            return None
        return f"detector faced: {faced.missing_files(model_dir)}. {faced.how_to_get(model_dir)}"
    try:
        detectors.make_detector(name, None, model_dir)
    except UserError as error:
        return str(error)
    except Exception as error:  # a broken package may raise anything
        return (
            f"detector {name}: a package is broken ({_one_line(error)}). Reinstall it with pip "
            "install --force-reinstall."
        )
    return None


def _one_line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


def _devices(timeout_s: float, problems: list[str]) -> dict[str, Any]:
    unknown: dict[str, Any] = {"platform": None, "n": 0, "kinds": []}
    try:
        # Files instead of pipes, which a process that hangs in a driver keeps open.
        with unnamed_file() as out, unnamed_file() as err:
            ended = jax_devices.list_in_process(timeout_s, out, err)
            out.seek(0)
            err.seek(0)
            said, told = (each.read().decode(errors="replace").strip() for each in (out, err))
    except OSError as error:  # no process can be started, or there is no temporary folder
        problems.append(f"JAX's devices cannot be listed: {error}. Set TMPDIR to a folder.")
        return unknown | {"error": str(error)}
    if not ended:
        problems.append(
            f"JAX did not list its devices within {timeout_s:g} s: the accelerator's driver "
            "hangs, or another process holds the device. Restart the machine, end that "
            "process, or set JAX_PLATFORMS=cpu."
        )
        return unknown | {"error": "timeout"}
    try:
        found = json.loads(said.splitlines()[-1])
    except (ValueError, IndexError):
        last = told.splitlines()[-1][:300] if told else "its process ended without a word"
        problems.append(
            f"JAX cannot be used: {last}. Run {REINSTALL}, then install JAX for your "
            f"accelerator: {jax_devices.INSTALLATION}"
        )
        return unknown | {"error": last}
    if "error" in found:
        problem = jax_devices.explain(found["error"], found["platforms"])
        problems.append(problem)
        return unknown | {"error": problem}
    return found


def _disk(problems: list[str]) -> dict[str, Any]:
    try:
        folder = str(pathlib.Path.cwd())
        free_gb = shutil.disk_usage(folder).free / 1e9
    except OSError as error:
        problems.append(
            f"the free space of the current folder is unknown ({error.strerror}). Change to a "
            "folder that exists."
        )
        return {"folder": None, "free_gb": None}
    if free_gb < LEAST_FREE_GB:
        problems.append(
            f"{folder}: {free_gb:.1f} GB are free; {LEAST_FREE_GB:g} GB or more are recommended. "
            "Work on a larger disk, or free space."
        )
    return {"folder": folder, "free_gb": round(free_gb, 1)}


def _folders(problems: list[str]) -> dict[str, str | None]:
    cache = cache_folder("")
    if cache is None:
        problems.append(
            "this user has no home directory, so compiled programs are not cached and model files "
            "are not found. Set HOME, or IMAGEFEC_COMPILATION_CACHE and IMAGEFEC_MODELS."
        )
    temporary = None
    try:
        temporary = tempfile.gettempdir()
    except OSError as error:
        problems.append(
            f"{error.strerror}. Set the environment variable TMPDIR to a folder that can be "
            "written to."
        )
    return {"cache": None if cache is None else str(cache), "temporary": temporary}


def _gin_configs(problems: list[str]) -> str | None:
    folder = next((folder for folder in CONFIG_DIRS if any(folder.glob("*.gin"))), None)
    if folder is None:
        problems.append(
            f"no gin files in {' or '.join(map(str, CONFIG_DIRS))}. Run {REINSTALL}, or give "
            "--config_file as a path."
        )
    return None if folder is None else str(folder)


def _datasets(problems: list[str]) -> dict[str, str | None]:
    folders: dict[str, str | None] = {}
    for name in DATASETS:
        try:
            spec = importlib.util.find_spec(f"tfds_builders.{name}")
        except Exception:
            spec = None
        folders[name] = str(pathlib.Path(spec.origin).parent) if spec and spec.origin else None
        if folders[name] is None:
            problems.append(f"the TFDS builder of {name} is not found. Run {REINSTALL}.")
    return folders
