"""config/kubernetes.yaml against the schemas of Kubernetes and the settings of the program."""

import re
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from monitor import settings
from monitor.cli import build_parser

TEXT = (Path(__file__).parents[2] / "config" / "kubernetes.yaml").read_text()
OBJECTS: list[dict[str, Any]] = list(yaml.safe_load_all(TEXT))
(CONFIG,) = (each for each in OBJECTS if each["kind"] == "ConfigMap")
(SERVICE,) = (each for each in OBJECTS if each["kind"] == "Service")
PODS: dict[str, dict[str, Any]] = {
    each["metadata"]["name"]: each["spec"]["template"]
    for each in OBJECTS
    if each["kind"] in ("StatefulSet", "Deployment")
}
CONTAINERS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    f"{name} {container['name']}": (pod, container)
    for name, pod in PODS.items()
    for container in pod["spec"]["initContainers"] + pod["spec"]["containers"]
}
"""Name -> the pod and its container."""

CREATED = set(re.findall(r"--from-file=([a-z-]+)", TEXT))
"""The keys of the secret that the comment creates."""


def environment_of(name: str, secrets: Path) -> dict[str, str]:
    """The environment of a container whose secrets are in this directory."""
    _, container = CONTAINERS[name]
    environment: dict[str, str] = dict(CONFIG["data"])
    for variable in container["env"]:
        (mount,) = (each for each in container["volumeMounts"] if each["name"] == "secrets")
        environment[variable["name"]] = variable["value"].replace(mount["mountPath"], str(secrets))
    return environment


@pytest.mark.parametrize("number", range(len(OBJECTS)))
def test_each_object_is_valid(number: int) -> None:
    newest = kubernetes_validate.latest_version()
    kubernetes_validate.validate(OBJECTS[number], newest, strict=True)


def test_each_process_runs_after_the_migration() -> None:
    assert {name.split()[1] for name in CONTAINERS} == {"migrate", "web", "scheduler", "notifier"}
    for pod in PODS.values():
        (first,) = pod["spec"]["initContainers"]
        assert first["args"] == ["migrate"]


@pytest.mark.parametrize("name", CONTAINERS)
def test_each_container_starts_with_valid_settings(name: str, tmp_path: Path) -> None:
    _, container = CONTAINERS[name]
    build_parser().parse_args(container["args"])
    for each in CREATED:
        (tmp_path / each).write_text(f"{each}-0123456789abcdef0123456789abcdef\n")
    given = settings.load(None, environment_of(name, tmp_path))
    assert given.state.url.startswith("state-url")
    assert given.influxdb is not None
    needs_key, listens = ("web" in name or "notifier" in name), container["args"] == ["web"]
    if container["args"] != ["migrate"]:
        assert bool(given.server.secret_key) == needs_key
    assert bool(given.ingest.token) == listens
    assert given.server.on_loopback != listens


def test_each_secret_that_is_used_is_created() -> None:
    used = {
        Path(variable["value"]).name
        for _, container in CONTAINERS.values()
        for variable in container["env"]
        if variable["name"].endswith("_FILE")
    }
    assert used == CREATED
    assert f"secret generic {CONFIG['metadata']['name']} " in TEXT


@pytest.mark.parametrize("name", CONTAINERS)
def test_each_volume_and_configuration_that_is_used_exists(name: str) -> None:
    pod, container = CONTAINERS[name]
    (given,) = container["envFrom"]
    assert given["configMapRef"]["name"] == CONFIG["metadata"]["name"]
    claims = [each for each in OBJECTS if each["kind"] == "StatefulSet"]
    volumes = {each["name"] for each in pod["spec"]["volumes"]} | {
        claim["metadata"]["name"]
        for each in claims
        for claim in each["spec"]["volumeClaimTemplates"]
    }
    assert {mount["name"] for mount in container["volumeMounts"]} <= volumes


def test_service_selects_the_web_process() -> None:
    pod = PODS["heartbeat-monitor-web"]
    assert SERVICE["spec"]["selector"] == pod["metadata"]["labels"]
    (container,) = pod["spec"]["containers"]
    (port,) = container["ports"]
    assert port["name"] == SERVICE["spec"]["ports"][0]["targetPort"]
    assert port["containerPort"] == settings.Settings().server.port
    directory = {each["name"]: each["value"] for each in container["env"]}
    (data,) = (each for each in container["volumeMounts"] if each["name"] == "data")
    assert Path(data["mountPath"]) in Path(directory["MONITOR_DATA_DIRECTORY"]).parents


def test_kubernetes_adds_no_variables_that_pass_for_settings() -> None:
    for pod in PODS.values():
        assert pod["spec"]["enableServiceLinks"] is False
