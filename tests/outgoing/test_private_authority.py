"""Servers whose certificate is from a private authority, made by the test."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from monitor.channels.email import Email
from monitor.state.database import open_state, reading
from monitor.store.influxdb import InfluxStore
from monitor.store.interface import StoreUnavailable
from monitor.web.auth.provider import Provider
from tests.certificates import Authority, server_context
from tests.channels.messages import message_about, sensor
from tests.conftest import RETENTION
from tests.influxd.server import InfluxdServer, require_influxd
from tests.postgres import server_with_tls
from tests.receiver import receiver
from tests.service import Service
from tests.smtp import mailbox
from tests.states import state, state_url
from tests.waiting import eventually
from tests.web.visitors import Visitor, build_app

__all__ = ["state", "state_url"]

MAC = "02:00:00:00:00:01"
VARIABLES = ["MONITOR_TLS_CA_FILE", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"]


@pytest.fixture(autouse=True)
def _no_usual_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def influxd_with_tls(
    authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[InfluxdServer]:
    directory = tmp_path_factory.mktemp("influxd-tls")
    authority.issue(directory / "server.crt")
    tls = (directory / "server.crt", authority.certificate)
    with InfluxdServer(require_influxd(), directory, *tls) as server:
        yield server


def variables(server: InfluxdServer) -> dict[str, object]:
    return {
        "INFLUXDB_V2_URL": server.url,
        "INFLUXDB_V2_ORG": server.org,
        "INFLUXDB_V2_TOKEN": server.token,
    }


@pytest.mark.parametrize("variable", VARIABLES)
def test_store_channels_and_watchdog_are_reached(
    tmp_path: Path, authority: Authority, influxd_with_tls: InfluxdServer, variable: str
) -> None:
    authority.issue(tmp_path / "hook.crt")
    with receiver(server_context(tmp_path / "hook.crt")) as hook:
        given = variables(influxd_with_tls) | {
            variable: authority.certificate,
            "MONITOR_WATCHDOG_URL": hook.url.replace("/hook", "/watchdog"),
            "MONITOR_WATCHDOG_ALLOW_INTERNAL": "true",
            "MONITOR_WEBHOOK_URL": hook.url,
            "MONITOR_WEBHOOK_ALLOW_INTERNAL": "true",
            # The watchdog calls after a sweep if coverage is recent, so many sweeps must be tried.
            "MONITOR_STALENESS_SWEEP_INTERVAL": "1",
        }
        with Service(tmp_path, **given) as service:
            service.ready()
            service.beat(MAC, battery=3.1)
            eventually(lambda: MAC in service.sensors())
            eventually(lambda: "/watchdog" in [request.path for request in hook.requests])
            exported = run(service, "export", "--sensor", MAC)
            assert "3.1" in exported
            run(service, "send", "webhook")
            eventually(lambda: "/hook" in [request.path for request in hook.requests])


def run(service: Service, *command: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "monitor", *command],
        env=service.environment,
        cwd=service.working_directory,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_settings_file_names_the_authority_for_all_processes(
    tmp_path: Path, authority: Authority, influxd_with_tls: InfluxdServer
) -> None:
    settings = tmp_path / "monitor.toml"
    settings.write_text(f'[tls]\nca_file = "{authority.certificate}"\n')
    given = variables(influxd_with_tls) | {"MONITOR_CONFIG": settings}
    with Service(tmp_path, **given) as service:
        service.ready()


def test_store_that_is_not_trusted_is_not_used(
    tmp_path: Path, influxd_with_tls: InfluxdServer
) -> None:
    service = Service(tmp_path, "migrate", **variables(influxd_with_tls))
    command = [sys.executable, "-m", "monitor", "migrate"]
    done = subprocess.run(
        command, env=service.environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "set tls.ca_file" in done.stderr
    store = InfluxStore(*influxd_with_tls.access, "beats", "arrivals", RETENTION)
    for ask in (store.ping, store.metric_names):
        with pytest.raises(StoreUnavailable, match=r"set tls\.ca_file"):
            ask()
    store.close()


def test_email_is_sent(
    tmp_path: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority.issue(tmp_path / "server.crt")
    monkeypatch.setenv("MONITOR_TLS_CA_FILE", str(authority.certificate))
    with mailbox(tls=server_context(tmp_path / "server.crt")) as box:
        sender, recipients = "monitor@example.org", ["operator@example.org"]
        channel = Email("127.0.0.1", box.port, "tls", "", "", sender, recipients)
        channel.send(message_about("down", sensor(1)))
        assert len(box.accepted) == 1


def test_login_provider_is_reached(
    tmp_path: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch, state: Engine
) -> None:
    authority.issue(tmp_path / "server.crt")
    monkeypatch.setenv("MONITOR_TLS_CA_FILE", str(authority.certificate))
    with receiver(server_context(tmp_path / "server.crt")) as hook:
        issuer = hook.url.removesuffix("/hook")
        hook.status = 200
        hook.body = json.dumps(
            {"issuer": issuer, "authorization_endpoint": f"{issuer}/authorize"}
        ).encode()
        provider = Provider(issuer, "client", "secret", "groups", {"viewer": ["*"]})
        there = Visitor(build_app(state, provider=provider)).get("/login/provider")
        assert there.status_code == 302
        assert there.location.startswith(f"{issuer}/authorize?")


def test_postgresql_is_verified(
    tmp_path: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority.issue(tmp_path / "server.crt")
    with server_with_tls(tmp_path / "server.crt") as url:
        monkeypatch.setenv("MONITOR_TLS_CA_FILE", str(authority.certificate))
        engine = open_state(f"{url}?sslmode=verify-full")
        with reading(engine) as connection:
            assert connection.exec_driver_sql("SHOW ssl").scalar_one() == "on"
            used = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
            assert connection.exec_driver_sql(used).scalar_one() is True
        engine.dispose()


def test_file_without_certificates_is_an_error_that_names_the_setting(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("")
    for name in ("empty.pem", "nowhere.pem"):
        service = Service(tmp_path, MONITOR_TLS_CA_FILE=tmp_path / name)
        done = subprocess.run(
            [sys.executable, "-m", "monitor", "check-config"],
            env=service.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 1
        assert f"tls.ca_file: can't use {tmp_path / name}: " in done.stderr
