"""The report on this machine, as JSON values and as text."""

import os
import platform
from typing import Any

import imagefec
from imagefec.doctor import detectors, folders, hardware, packages


def examine(
    model_dir: str | os.PathLike | None = None,
    devices_timeout_s: float = hardware.DEVICES_TIMEOUT_S,
) -> dict[str, Any]:
    """Examines everything that Image FEC requires of a machine.

    Args:
      model_dir: folder of the detectors' model files; None for the default, as in
        `faces.detectors.make_detector`.
      devices_timeout_s: how long JAX may take to list its devices; a broken driver can hang.

    Returns:
      JSON values: python, platform, imagefec (versions); packages (name -> version, None if
      missing); extras (name -> missing packages); opencv; devices (platform, n, kinds; or error;
      and accelerators, which the machine has); memory (free_gb, total_gb; None if unknown);
      detectors (name -> available, file, problem); auto (the detector that "auto" selects); disk
      (folder, free_gb); folders (cache, temporary; None if there is none); gin_configs; datasets
      (name -> folder of its builder); apache_beam (version); problems (sentences, each with its
      fix; empty if there are none).
    """
    problems: list[str] = []
    report: dict[str, Any] = {
        "python": platform.python_version(),
        "platform": _platform(),
        "imagefec": imagefec.__version__,
        "packages": packages.required_packages(problems),
        "extras": packages.installed_extras(),
        "opencv": packages.opencv(problems),
    }
    report |= detectors.usable_detectors(report["opencv"], model_dir, problems)
    report["devices"] = hardware.devices(devices_timeout_s, problems)
    report["memory"] = hardware.memory()
    report["disk"] = folders.disk_space(problems)
    report["folders"] = folders.caches(problems)
    report["gin_configs"] = folders.gin_configs(problems)
    report["datasets"] = folders.builders(problems)
    report["apache_beam"] = packages.version_of("apache-beam")
    report["problems"] = problems
    return report


def describe(report: dict[str, Any]) -> str:
    """Formats the result of `examine` as lines of text; problems come last."""
    devices, disk, opencv = report["devices"], report["disk"], report["opencv"]
    memory, used = report["memory"], report["folders"]
    features = [name for name in ("FaceDetectorYN", "CascadeClassifier") if opencv.get(name)]
    versions = ", ".join(
        f"{name} {version or 'MISSING'}" for name, version in report["packages"].items()
    )
    lines = [
        f"imagefec     {report['imagefec']}, Python {report['python']}, {report['platform']}",
        f"packages     {versions or 'unknown: imagefec is not installed'}",
        *(
            f"extra        {name}, for {packages.EXTRAS[name]}: {_extra_line(name, lacking)}"
            for name, lacking in report["extras"].items()
        ),
        f"opencv       {opencv['version'] or 'cannot be imported'}"
        + (f" with {' and '.join(features)}" if features else ""),
        f"devices      {devices['n']} x {devices['platform']} ({', '.join(devices['kinds'])})"
        if devices["n"]
        else f"devices      unknown ({devices['error']})",
        f"memory       {memory['free_gb']} of {memory['total_gb']} GB free"
        if memory
        else "memory       unknown",
        *(
            f"detector     {name}: {_detector_line(name, found)}"
            for name, found in report["detectors"].items()
        ),
        f"detector     auto selects {report['auto'] or 'none'}",
        f"disk         {disk['free_gb']} GB free in {disk['folder']}"
        if disk["folder"]
        else "disk         unknown",
        f"folders      cache {used['cache'] or 'none'}, temporary files "
        f"{used['temporary'] or 'none'}",
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


def _platform() -> str:
    try:
        return platform.platform()
    except SystemError:  # of Python 3.13.0, where the current folder is gone
        return platform.system()


def _extra_line(name: str, lacking: list[str]) -> str:
    if not lacking:
        return "installed"
    return f"lacks {', '.join(lacking)}; pip install -e '.[{name}]' in the checkout"


def _detector_line(name: str, found: dict[str, Any]) -> str:
    if not found["available"]:
        return "not available: " + found["problem"].removeprefix(f"detector {name}: ")
    return "available" + (f", {found['file']}" if found["file"] else "")
