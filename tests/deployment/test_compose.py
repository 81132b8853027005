import os
import re
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import yaml

from monitor import settings
from monitor.cli import build_parser
from tests.certificates import Authority
from tests.service import Service
from tests.waiting import eventually

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
PROGRAM = {name: service for name, service in SERVICES.items() if "build" in service}
DOCKERFILE = (ROOT / "config" / "Dockerfile").read_text()
EXAMPLE = (ROOT / "config" / "compose.env.example").read_text()

_REFERENCE = re.compile(r"\$\{(?P<name>\w+)(?::(?P<kind>[?-])(?P<rest>[^}]*))?\}")
OWN = {
    "MONITOR_SERVER_HOST",
    "MONITOR_SERVER_PORT",
    "MONITOR_DATA_DIRECTORY",
    "MONITOR_STATE_URL",
}
"""Settings that docker-compose.yml sets itself: it publishes the port, and has the volumes and the
database."""
FOR_COMPOSE = {"PUBLISH_ON", "FILES_FROM", "GRAFANA_PASSWORD"}
"""Variables that only docker-compose reads."""

REQUIRED = {
    match["name"]
    for match in _REFERENCE.finditer((ROOT / "docker-compose.yml").read_text())
    if match["kind"] == "?"
}
FILLED = {name: f"{name.lower().replace('_', '')}0123456789abcdef0123456789" for name in REQUIRED}


def environment_of(service: dict[str, Any], given: dict[str, str]) -> dict[str, str]:
    """The environment of the container, with `given` in .env."""
    resolved = {}
    for name, value in service["environment"].items():
        if value is not None:
            resolved[name] = _REFERENCE.sub(
                lambda match: given.get(match["name"], match["rest"]), str(value)
            )
        elif name in given:
            resolved[name] = given[name]
    return resolved


def filled_in(directory: Path, given: dict[str, str]) -> Path:
    """The example file with the empty variables filled in."""
    path = directory / "filled.env"
    path.write_text(
        re.sub(r"^(\w+)=$", lambda line: f"{line[0]}{given[line[1]]}", EXAMPLE, flags=re.M)
    )
    return path


def checked_by_docker_compose(env_file: Path, *more: str) -> subprocess.CompletedProcess[str]:
    if shutil.which("docker-compose") is None:
        if os.environ.get("CI") == "true":
            pytest.fail("docker-compose is not installed")
        pytest.skip("docker-compose is not installed")
    return subprocess.run(
        ["docker-compose", *more, "--env-file", env_file, "config"],
        cwd=ROOT,
        env={name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
        capture_output=True,
        text=True,
        check=False,
    )


def test_all_processes_and_the_migrations_are_services() -> None:
    assert PROGRAM.keys() == {"migrations", "web", "scheduler", "notifier"}


@pytest.mark.parametrize("name", PROGRAM)
def test_each_command_exists_in_the_program(name: str) -> None:
    build_parser().parse_args(PROGRAM[name]["command"])
    assert 'ENTRYPOINT ["monitor"]' in DOCKERFILE


@pytest.mark.parametrize("name", PROGRAM)
def test_each_variable_is_read_by_the_program(name: str) -> None:
    known = settings.variables() | set(settings.INFLUXDB_VARIABLES)
    known |= {f"{secret}_FILE" for secret in settings.secret_variables()}
    assert PROGRAM[name]["environment"].keys() <= known


@pytest.mark.parametrize("name", PROGRAM)
def test_each_process_gets_every_setting_that_is_no_secret(name: str) -> None:
    handed_on = {each for each, value in PROGRAM[name]["environment"].items() if value is None}
    assert settings.variables() - settings.secret_variables() - OWN <= handed_on


def test_each_secret_reaches_the_processes_that_read_it() -> None:
    channels = {"MONITOR_EMAIL_PASSWORD", "MONITOR_WEBHOOK_URL", "MONITOR_WEBHOOK_SECRET"}
    state = {"MONITOR_STATE_URL", "MONITOR_OUTGOING_PROXY"}  # every process gets these
    store = {"INFLUXDB_V2_TOKEN"}
    own = {
        "migrations": state | store,
        "web": state
        | store
        | channels
        | {"MONITOR_SERVER_SECRET_KEY", "MONITOR_INGEST_TOKEN", "MONITOR_OIDC_CLIENT_SECRET"},
        "scheduler": state | store | channels | {"MONITOR_WATCHDOG_URL"},
        "notifier": state | channels | {"MONITOR_SERVER_SECRET_KEY"},
    }
    assert set().union(*own.values()) == settings.secret_variables()
    for name, secrets in own.items():
        given = PROGRAM[name]["environment"]
        assert given.keys() & settings.secret_variables() == secrets
        for secret in secrets:
            assert (f"{secret}_FILE" in given) == (given[secret] is None)


@pytest.mark.parametrize("name", PROGRAM)
def test_each_process_accepts_the_settings_it_gets(name: str) -> None:
    given = settings.load(None, environment_of(PROGRAM[name], FILLED))
    assert given.state.url.startswith("postgresql+psycopg://monitor:postgrespassword0")
    assert (given.influxdb is None) == (name == "notifier")
    if name == "web":
        assert given.server.host == "0.0.0.0"
        assert given.server.secret_key
        assert given.ingest.token


def test_services_use_the_influxdb_that_is_set_up() -> None:
    made = environment_of(SERVICES["influxdb"], FILLED)
    used = environment_of(SERVICES["web"], FILLED)
    assert made["DOCKER_INFLUXDB_INIT_ORG"] == used["INFLUXDB_V2_ORG"]
    assert made["DOCKER_INFLUXDB_INIT_ADMIN_TOKEN"] == used["INFLUXDB_V2_TOKEN"]
    assert made["DOCKER_INFLUXDB_INIT_BUCKET"] == settings.StoreSettings().heartbeats_bucket
    database = environment_of(SERVICES["db"], FILLED)
    user, password, name = (database[f"POSTGRES_{part}"] for part in ("USER", "PASSWORD", "DB"))
    assert used["MONITOR_STATE_URL"] == f"postgresql+psycopg://{user}:{password}@db/{name}"


def test_services_wait_for_their_dependencies() -> None:
    for name in ("web", "scheduler", "notifier"):
        assert SERVICES[name]["depends_on"] == {
            "migrations": {"condition": "service_completed_successfully"}
        }
    assert SERVICES["migrations"]["restart"] == "no"
    for name, wait in SERVICES["migrations"]["depends_on"].items():
        assert wait == {"condition": "service_healthy"}
        assert "healthcheck" in SERVICES[name]


def test_each_path_exists_and_each_volume_is_named() -> None:
    for service in PROGRAM.values():
        assert (ROOT / service["build"]["context"] / service["build"]["dockerfile"]).is_file()
    for service in SERVICES.values():
        for mount in service.get("volumes", []):
            source = _REFERENCE.sub(lambda match: match["rest"], mount).split(":")[0]
            assert source in COMPOSE["volumes"] or (ROOT / source).is_dir()
    ignored = (ROOT / ".dockerignore").read_text()
    for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE):
        for source in line.split()[:-1]:
            assert (ROOT / source).exists()
            assert f"!{source}\n" in ignored


def test_data_directory_is_on_a_volume_owned_by_the_program_user() -> None:
    directory = PROGRAM["web"]["environment"]["MONITOR_DATA_DIRECTORY"]
    assert f"web-data:{directory}" in PROGRAM["web"]["volumes"]
    assert f"--owner monitor {directory}\n" in DOCKERFILE
    assert "\nUSER monitor\n" in DOCKERFILE


def test_each_image_is_pinned() -> None:
    images = [service["image"] for service in SERVICES.values() if "build" not in service]
    images += re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    assert all(re.search(r":\d", image) for image in images)


def test_each_process_sees_the_directory_of_files() -> None:
    for service in PROGRAM.values():
        assert "${FILES_FROM:-./config}:/etc/monitor:ro" in service["volumes"]


def test_example_names_exactly_the_variables_used() -> None:
    named = re.findall(r"^#?([A-Z0-9_]+)=", EXAMPLE, re.MULTILINE)
    asked = set(re.findall(r"^([A-Z0-9_]+)=$", EXAMPLE, re.MULTILINE))
    assert asked == REQUIRED
    handed_on = {
        name
        for service in PROGRAM.values()
        for name, value in service["environment"].items()
        if value is None
    }
    assert sorted(named) == sorted(REQUIRED | handed_on | FOR_COMPOSE)


def test_example_shows_each_default_and_otherwise_a_valid_value(tmp_path: Path) -> None:
    shown = dict(re.findall(r"^#(MONITOR_\w+)=(.+)$", EXAMPLE, re.MULTILINE))
    for name in [name for name in shown if name.endswith("_FILE")]:
        (tmp_path / name).write_text("secret\n")
        shown[name] = str(tmp_path / name)
    shown["MONITOR_SERVER_PROXIES"] = "1"  # to trust addresses of proxies without one is an error
    given = settings.load(None, shown)
    for section, defaults in asdict(settings.Settings()).items():
        for name, default in (defaults or {}).items():
            if default and f"MONITOR_{section}_{name}".upper() in shown:
                assert getattr(getattr(given, section), name) == default


@pytest.mark.parametrize("tls", [False, True])
def test_health_check_reaches_the_service(tmp_path: Path, authority: Authority, tls: bool) -> None:
    _, program, *arguments = PROGRAM["web"]["healthcheck"]["test"]
    assert program == "python"
    given: dict[str, object] = {}
    if tls:
        key = authority.issue(tmp_path / "server.crt")
        given = {
            "MONITOR_SERVER_CERTIFICATE": tmp_path / "server.crt",
            "MONITOR_SERVER_KEY": key,
            "MONITOR_SERVER_BASE_URL": "https://localhost",
        }
    with Service(tmp_path, **given) as service:
        here = [sys.executable, *(each.replace(":8000", f":{service.port}") for each in arguments)]

        def is_healthy() -> bool:
            done = subprocess.run(here, env=service.environment, capture_output=True, check=False)
            return done.returncode == 0

        eventually(is_healthy)


def test_docker_compose_accepts_the_file_with_the_example_filled_in(tmp_path: Path) -> None:
    env_file = filled_in(tmp_path, FILLED)
    env_file.write_text(
        env_file.read_text().replace("#MONITOR_EMAIL_SERVER", "MONITOR_EMAIL_SERVER")
    )
    done = checked_by_docker_compose(env_file)
    assert done.returncode == 0, done.stderr
    services = yaml.safe_load(done.stdout)["services"]
    assert services.keys() == SERVICES.keys()
    assert services["notifier"]["environment"]["MONITOR_EMAIL_SERVER"] == "mail.example.org"
    (port,) = services["web"]["ports"]
    assert port == "127.0.0.1:8000:8000/tcp" or port["host_ip"] == "127.0.0.1"


@pytest.mark.parametrize("name", sorted(REQUIRED))
def test_docker_compose_names_the_missing_secret(tmp_path: Path, name: str) -> None:
    done = checked_by_docker_compose(filled_in(tmp_path, {**FILLED, name: ""}))
    assert done.returncode != 0
    assert name in done.stderr
    assert "set it in .env" in done.stderr


def test_grafana_has_the_dashboards_and_its_own_password(
    tmp_path: Path,
) -> None:
    files = ("-f", "docker-compose.yml", "-f", "dashboards/docker-compose.yml")
    without = checked_by_docker_compose(filled_in(tmp_path, FILLED), *files)
    assert without.returncode != 0
    assert "GRAFANA_PASSWORD" in without.stderr
    env_file = filled_in(tmp_path, FILLED)
    env_file.write_text(env_file.read_text() + "\nGRAFANA_PASSWORD=correcthorse\n")
    done = checked_by_docker_compose(env_file, *files)
    assert done.returncode == 0, done.stderr
    grafana = yaml.safe_load(done.stdout)["services"]["grafana"]
    assert grafana["environment"]["GF_SECURITY_ADMIN_PASSWORD"] == "correcthorse"
    for folder in ("dashboards", "dashboards/provisioning"):
        assert any(str(ROOT / folder) in str(mount) for mount in grafana["volumes"])
