"""Versions of the packages that Image FEC requires, and the extras that are installed."""

import importlib.metadata
import platform
import re
from typing import Any

REINSTALL = "pip install -e . in the checkout"
EXTRAS = {  # name -> what requires it; others are developers' tools, or builds of JAX
    "export": "imagefec export --format=onnx",
    "serve": "imagefec serve",
    "pretrained": "weights in .safetensors files",
}
WORKS_WITHOUT = {  # name -> what still works
    "tensorflow": " Meanwhile train, evaluate, embed and serve work without TensorFlow, with face "
    "stores that were built elsewhere (docs/supported_versions.md).",
}


def required_packages(problems: list[str]) -> dict[str, str | None]:
    """Versions of the required packages, None where one is missing; says what is wrong."""
    try:
        requirements = importlib.metadata.requires("imagefec") or []
    except importlib.metadata.PackageNotFoundError:
        problems.append(f"imagefec is not installed, only found in a folder. Run {REINSTALL}.")
        return {}
    python = importlib.metadata.metadata("imagefec")["Requires-Python"]
    if python and not _satisfied(f"python{python}", platform.python_version()):
        problems.append(
            f"Python is {platform.python_version()}; {python} is required. Make a virtual "
            f"environment of such a Python, and there run {REINSTALL}."
        )
    versions: dict[str, str | None] = {}
    for requirement in (each for each in requirements if "extra ==" not in each):
        name = _name(requirement)
        versions[name] = version = version_of(name)
        if version is None:
            problems.append(
                f"package {name} is missing. Run pip install '{requirement}', or {REINSTALL}."
                + WORKS_WITHOUT.get(name, "")
            )
        elif not _satisfied(requirement, version):
            problems.append(
                f"package {name} is {version}; {requirement} is required. Run "
                f"pip install '{requirement}'."
            )
    return versions


def installed_extras() -> dict[str, list[str]]:
    """The packages that each extra lacks: empty where it can be used."""
    try:
        requirements = importlib.metadata.requires("imagefec") or []
    except importlib.metadata.PackageNotFoundError:
        requirements = []
    lacking: dict[str, list[str]] = {name: [] for name in EXTRAS}
    for requirement in requirements:
        extra = re.search(r"extra == ['\"]([\w-]+)['\"]", requirement)
        if extra and extra[1] in lacking:
            name = _name(requirement)
            version = version_of(name)
            if version is None or not _satisfied(requirement.partition(";")[0], version):
                lacking[extra[1]].append(name)
    return lacking


def opencv(problems: list[str]) -> dict[str, Any]:
    """OpenCV's version, installed packages and optional parts; says what is wrong."""
    names = [
        f"opencv-{kind}python{suffix}" for kind in ("", "contrib-") for suffix in ("", "-headless")
    ]
    installed = [name for name in names if version_of(name)]
    if len(installed) > 1:
        problems.append(
            f"{' and '.join(installed)} are installed and overwrite each other's cv2. Run pip "
            f"uninstall {' '.join(installed)}, then pip install 'opencv-python-headless>=4.10,<5'."
        )
    try:
        import cv2
    except Exception as error:  # a broken package may raise anything
        problems.append(
            f"OpenCV cannot be imported ({one_line(error)}). Run pip install "
            "'opencv-python-headless>=4.10,<5', which needs no desktop libraries."
        )
        return {"version": None, "packages": installed}
    return {
        "version": cv2.__version__,
        "packages": installed,
        "FaceDetectorYN": hasattr(cv2, "FaceDetectorYN"),
        "CascadeClassifier": hasattr(cv2, "CascadeClassifier"),
    }


def version_of(package: str) -> str | None:
    """The installed version of a package, None if it is missing."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def one_line(error: Exception) -> str:
    """Type and text of an error, in one line of bounded length."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


def _name(requirement: str) -> str:
    return re.split(r"[^\w.-]", requirement, maxsplit=1)[0]


def _satisfied(requirement: str, version: str) -> bool:
    try:
        # A dependency of matplotlib; without it versions are not checked.
        from packaging.requirements import Requirement
    except Exception:
        return True
    return Requirement(requirement).specifier.contains(version, prereleases=True)
