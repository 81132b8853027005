"""Builds the distributions of the project, and installs one into an environment of its own."""

import shutil
import subprocess
import sys
import tarfile
import venv
from importlib.metadata import PathDistribution, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]

_NOT_SOURCE = (
    ".git",
    ".venv",
    "*_cache",
    ".hypothesis",
    "__pycache__",
    "*.egg-info",
    "build",
    "data",
)


def copy_of_source(directory: Path) -> Path:
    """A copy of the repository without what was made in it."""
    return Path(shutil.copytree(ROOT, directory, ignore=shutil.ignore_patterns(*_NOT_SOURCE)))


def build(kind: str, source: Path, into: Path) -> Path:
    """Builds the "sdist" or the "wheel" of a source directory; returns its path."""
    into.mkdir()
    script = f"from setuptools import build_meta; build_meta.build_{kind}({str(into)!r})"
    subprocess.run([sys.executable, "-c", script], cwd=source, check=True, capture_output=True)
    (built,) = into.iterdir()
    return built


def unpacked(sdist: Path, into: Path) -> Path:
    """The source directory in a source distribution."""
    with tarfile.open(sdist) as archive:
        archive.extractall(into, filter="data")
    (source,) = into.iterdir()
    return source


def install(wheel: Path, directory: Path) -> Path:
    """A new environment with this wheel and the packages that it requires, and no others; returns
    the path of its Python."""
    venv.create(directory, with_pip=False, symlinks=True)
    python = directory / "bin" / "python"
    pip: list[str | Path] = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet"]
    subprocess.run([*pip, "--no-deps", "--no-index", wheel], check=True, capture_output=True)
    (packages,) = directory.glob("lib/python*/site-packages")
    (metadata,) = packages.glob("heartbeat_monitor-*.dist-info")
    for name in sorted(_required(PathDistribution(metadata).requires or [], frozenset(), set())):
        _link(name, packages)
    return python


def _required(requirements: list[str], extras: frozenset[str], found: set[str]) -> set[str]:
    """The names of the packages that these requirements name, and all that those require."""
    for requirement in map(Requirement, requirements):
        marker = requirement.marker
        if marker and not any(marker.evaluate({"extra": extra}) for extra in extras | {""}):
            continue
        name = canonicalize_name(requirement.name)
        if name not in found:
            found.add(name)
            needed = distribution(name).requires or []
            _required(needed, frozenset(requirement.extras), found)
    return found


def _link(name: str, packages: Path) -> None:
    """Makes an installed package importable in another environment, by links to its files."""
    installed = distribution(name)
    for top in {file.parts[0] for file in installed.files or []} - {"..", "__pycache__"}:
        if not (packages / top).exists():
            (packages / top).symlink_to(Path(str(installed.locate_file(top))).resolve())
