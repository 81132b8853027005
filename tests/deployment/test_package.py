"""The source distribution and the wheel: what they hold, and the service that is installed."""

import re
import subprocess
import sys
import tomllib
import zipfile
from email import message_from_string
from email.message import Message
from pathlib import Path

import pytest
import requests

from tests.deployment.installing import ROOT, build, copy_of_source, install, unpacked
from tests.service import Service
from tests.waiting import eventually

SHARE = "share/heartbeat-monitor"

IMPORT_ALL = """
import importlib, pkgutil, monitor
from monitor import cli
for module in pkgutil.walk_packages(monitor.__path__, "monitor."):
    if not module.name.endswith(("__main__", ".env")) and ".versions." not in module.name:
        importlib.import_module(module.name)
for command in cli.COMMANDS:
    cli.build_parser(command)
print(monitor.__file__)
"""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source directory of the source distribution."""
    directory = tmp_path_factory.mktemp("sdist")
    sdist = build("sdist", copy_of_source(directory / "source"), directory / "built")
    return unpacked(sdist, directory / "unpacked")


@pytest.fixture(scope="module")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the source distribution."""
    return build("wheel", source, tmp_path_factory.mktemp("wheel") / "built")


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment in which the wheel is installed."""
    return install(wheel, tmp_path_factory.mktemp("installed") / "environment")


def files_in(directory: Path) -> set[str]:
    return {str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()}


def metadata_of(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (each for each in archive.namelist() if each.endswith(".dist-info/METADATA"))
        return message_from_string(archive.read(name).decode())


def shared(python: Path) -> Path:
    """The directory of the installed files that are no code."""
    return python.parents[1] / SHARE


def test_source_distribution_holds_the_whole_repository(source: Path, tmp_path: Path) -> None:
    made = {name for name in files_in(source) if ".egg-info/" in name} | {"PKG-INFO"}
    assert files_in(source) - made == files_in(copy_of_source(tmp_path / "source"))


def test_wheel_holds_every_file_of_the_program_and_the_licence(wheel: Path, source: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert {name for name in names if name.startswith("monitor/")} == {
        f"monitor/{name}" for name in files_in(source / "monitor")
    }
    assert any(re.fullmatch(r"[^/]+\.dist-info/(licenses/)?LICENSE", name) for name in names)


def test_every_page_and_every_file_that_it_names_is_installed(python: Path) -> None:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
    for page in pages:
        installed = shared(python) / page.relative_to(ROOT)
        assert installed.is_file()
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (installed.parent / target).exists(), f"{page.name}: {target}"
    for directory in ("config", "dashboards", "docs"):
        assert files_in(shared(python) / directory) == files_in(ROOT / directory)


def test_image_builds_the_same_wheel_from_the_files_that_it_copies(
    wheel: Path, tmp_path: Path
) -> None:
    whole, part = copy_of_source(tmp_path / "whole"), tmp_path / "part"
    part.mkdir()
    dockerfile = (ROOT / "config" / "Dockerfile").read_text()
    for line in re.findall(r"^COPY (?!--from)(.+)$", dockerfile, re.MULTILINE):
        *sources, target = line.split()
        for each in sources:
            copied = part / (each if target.endswith("/") else target)
            copied.parent.mkdir(exist_ok=True)
            (whole / each).rename(copied)
    with (
        zipfile.ZipFile(wheel) as expected,
        zipfile.ZipFile(build("wheel", part, tmp_path / "built")) as built,
    ):
        assert sorted(built.namelist()) == sorted(expected.namelist())


def test_declared_versions_of_python_are_those_that_the_tests_run(wheel: Path) -> None:
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    declared = re.findall(r":: Python :: (\d\.\d+)", "\n".join(metadata_of(wheel).values()))
    assert here in declared
    image = re.findall(
        r"^FROM python:(\d\.\d+)-", (ROOT / "config" / "Dockerfile").read_text(), re.M
    )
    assert set(image) <= set(declared)
    with (ROOT / "pyproject.toml").open("rb") as file:
        tools = tomllib.load(file)["tool"]
    assert metadata_of(wheel)["Requires-Python"] == f">={tools['mypy']['python_version']}"


def test_every_module_needs_only_what_the_wheel_requires(python: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [python, "-c", IMPORT_ALL], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).is_relative_to(python.parents[1])


def test_service_runs_from_the_installed_wheel(python: Path, tmp_path: Path) -> None:
    service = Service(tmp_path, MONITOR_CONFIG=shared(python) / "config" / "monitor.example.toml")
    service.python, service.working_directory = str(python), tmp_path
    with service:
        service.ready()
        service.beat("02:00:00:00:00:01")
        eventually(lambda: "02:00:00:00:00:01" in service.sensors())
        page = requests.get(service.url, timeout=10)
        assert page.status_code == 200
        linked = re.findall(r'(?:href|src)="(/static/[^"]+)"', page.text)
        assert linked
        for path in linked:
            assert requests.get(f"{service.url}{path}", timeout=10).status_code == 200
        for process in service.family():
            if "monitor" in process.cmdline():
                assert Path(process.cmdline()[0]).is_relative_to(python.parents[1])
        program = python.with_name("monitor")
        listed = subprocess.run(
            [program, "sensor", "set", "02:00:00:00:00:01", "--name", "Cellar"],
            cwd=tmp_path,
            env=service.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert listed.returncode == 0, listed.stderr
