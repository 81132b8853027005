"""Settings from a TOML file and MONITOR_<SECTION>_<NAME> variables; every error at once."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from msgspec import Meta

from monitor.model import SECOND

Port = Annotated[int, Meta(ge=1, le=65535)]
Count = Annotated[int, Meta(ge=1)]
DaysShown = Annotated[int, Meta(ge=90, le=36_500)]
"""Pages offer up to 90 days."""
Seconds = Annotated[float, Meta(ge=0.1, le=10 * 365 * 86_400)]

SHORTEST_KEY = 32
"""Characters of a secret key."""

_SITE_RULE = re.compile(r"(?i:[0-9a-f]{2}(:[0-9a-f]{2}){0,5})=\s*\S.{0,199}")

_LOOPBACK = ("127.0.0.1", "::1", "localhost")

_OTHER_VARIABLES = {"MONITOR_CONFIG", "MONITOR_TOKEN"}
"""Read by the command line itself: the settings file, and the simulator's token."""

INFLUXDB_VARIABLES = ("INFLUXDB_V2_URL", "INFLUXDB_V2_ORG", "INFLUXDB_V2_TOKEN")


class SettingsError(Exception):
    """The settings can't be used; `problems` holds one sentence for each reason."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True)
class ServerSettings:
    """Where the web process listens and how it is reached."""

    host: str = "127.0.0.1"
    port: Port = 8000
    workers: Count = 2
    threads: Count = 8
    secret_key: str = field(default="", repr=False)
    hosts: tuple[str, ...] = ()
    base_url: str = ""
    proxies: Annotated[int, Meta(ge=0, le=10)] = 0

    @property
    def on_loopback(self) -> bool:
        """Only this machine can connect."""
        return self.host in _LOOPBACK

    @property
    def local(self) -> bool:
        """Only this machine can connect, and no proxy serves others."""
        return self.on_loopback and urlsplit(self.base_url).hostname in _LOOPBACK

    @property
    def address(self) -> str:
        """Where browsers find it when `base_url` says nothing else."""
        host = "localhost" if self.host in ("0.0.0.0", "::") else self.host  # noqa: S104
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"


@dataclass(frozen=True)
class DataSettings:
    """The data directory: spool, dead letters, embedded store and state."""

    directory: str = "data"


@dataclass(frozen=True)
class StateSettings:
    """The state database; empty means a SQLite file in the data directory."""

    url: str = field(default="", repr=False)


@dataclass(frozen=True)
class StoreSettings:
    """The heartbeat store. InfluxDB is chosen by its own INFLUXDB_V2_ variables."""

    heartbeats_bucket: str = "heartbeats"
    arrivals_bucket: str = "arrivals"
    retention_days: Count = 90


@dataclass(frozen=True)
class RetentionSettings:
    """For how many days the state keeps what has ended; heartbeats are the store's matter."""

    incidents_days: DaysShown = 400
    audit_days: DaysShown = 400


@dataclass(frozen=True)
class IngestSettings:
    """What the door accepts."""

    token: str = field(default="", repr=False)
    max_sensors: Count = 100_000
    body_limit: Count = 4 * 1024 * 1024
    batch_rows: Count = 20_000
    rate_per_sensor: Seconds = 10
    fsync: Literal["interval", "always"] = "interval"
    spool_limit: Count = 1024**3


@dataclass(frozen=True)
class StalenessSettings:
    """When silence counts. Seconds."""

    threshold: Seconds = 600
    sweep_interval: Seconds = 5
    source_lost_after: Seconds = 900


@dataclass(frozen=True)
class AlertsSettings:
    """How incidents gather into messages. Seconds."""

    group_wait: Annotated[float, Meta(ge=0, le=86_400)] = 30
    group_interval: Seconds = 300
    repeat_interval: Annotated[float, Meta(ge=60, le=30 * 86_400)] = 14_400
    flapping_outages: Annotated[int, Meta(ge=2, le=1_000)] = 3
    flapping_window: Annotated[float, Meta(ge=1, le=30 * 86_400)] = 3_600
    blind_notice_after: Seconds = 15
    time_zone: str = "UTC"
    sites: tuple[str, ...] = ()
    allow_internal: bool = False


@dataclass(frozen=True)
class EmailSettings:
    """The email channel; off while `server` is empty."""

    server: str = ""
    port: Port = 25
    security: Literal["none", "starttls", "tls"] = "none"
    username: str = ""
    password: str = field(default="", repr=False)
    sender: str = ""
    recipients: tuple[str, ...] = ()


@dataclass(frozen=True)
class WebhookSettings:
    """The webhook channel; off while `url` is empty."""

    url: str = field(default="", repr=False)
    secret: str = field(default="", repr=False)
    allow_internal: bool = False


@dataclass(frozen=True)
class WatchdogSettings:
    """A URL that is asked for while all goes well; off while `url` is empty."""

    url: str = field(default="", repr=False)
    allow_internal: bool = False


@dataclass(frozen=True)
class OidcSettings:
    """The OpenID Connect provider that vouches for people; off while `issuer` is empty."""

    issuer: str = ""
    client_id: str = ""
    client_secret: str = field(default="", repr=False)
    claim: str = "groups"
    administrators: tuple[str, ...] = ()
    operators: tuple[str, ...] = ()
    viewers: tuple[str, ...] = ()
    domain: str = ""


@dataclass(frozen=True)
class InfluxDBSettings:
    """The InfluxDB to use, from the variables that its own client reads."""

    url: str
    org: str
    token: str = field(repr=False)


@dataclass(frozen=True)
class Settings:
    """All sections; each is also a table of the TOML file."""

    server: ServerSettings = ServerSettings()
    data: DataSettings = DataSettings()
    state: StateSettings = StateSettings()
    store: StoreSettings = StoreSettings()
    retention: RetentionSettings = RetentionSettings()
    ingest: IngestSettings = IngestSettings()
    staleness: StalenessSettings = StalenessSettings()
    alerts: AlertsSettings = AlertsSettings()
    email: EmailSettings = EmailSettings()
    webhook: WebhookSettings = WebhookSettings()
    watchdog: WatchdogSettings = WatchdogSettings()
    oidc: OidcSettings = OidcSettings()
    influxdb: InfluxDBSettings | None = None
    """Not a section: chosen by INFLUXDB_V2_URL, _ORG and _TOKEN."""

    @property
    def data_directory(self) -> Path:
        """The data directory as an absolute path."""
        return Path(self.data.directory).absolute()

    @property
    def state_url(self) -> str:
        """The state database's SQLAlchemy URL."""
        return self.state.url or f"sqlite:///{self.data_directory / 'state.sqlite'}"


_SECTIONS: dict[str, type[Any]] = {
    name: hint for name, hint in get_type_hints(Settings).items() if name != "influxdb"
}


def variables() -> set[str]:
    """The names of all environment variables that are settings."""
    return {
        _variable(section, part.name)
        for section, kind in _SECTIONS.items()
        for part in fields(kind)
    }


def milliseconds(seconds: float) -> int:
    """Of a setting in seconds."""
    return round(seconds * SECOND)


def load(path: Path | None, environment: Mapping[str, str]) -> Settings:
    """Settings from the file at `path` (None: defaults) overridden by `environment`.

    Raises SettingsError naming every setting that can't be used.
    """
    problems: list[str] = []
    tables = _read(path, problems)
    for unknown in tables.keys() - _SECTIONS.keys():
        problems.append(f"[{unknown}]: unknown section")
    for variable in environment.keys() - variables() - _OTHER_VARIABLES:
        if variable.startswith("MONITOR_") and not variable.startswith("MONITOR_TEST_"):
            problems.append(f"{variable}: unknown setting")
    sections = {
        name: _section(name, kind, tables.get(name, {}), environment, problems)
        for name, kind in _SECTIONS.items()
    }
    influxdb = _influxdb(environment, problems)
    if problems:
        raise SettingsError(sorted(problems))
    server: ServerSettings = sections["server"]
    if not server.base_url:
        sections["server"] = replace(server, base_url=server.address)
    settings = Settings(**sections, influxdb=influxdb)
    if contradictions := _contradictions(settings):
        raise SettingsError(contradictions)
    return settings


def _variable(section: str, name: str) -> str:
    return f"MONITOR_{section}_{name}".upper()


def _read(path: Path | None, problems: list[str]) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        problems.append(f"{path}: {error}")
        return {}


def _section(
    section: str,
    kind: type[Any],
    table: object,
    environment: Mapping[str, str],
    problems: list[str],
) -> Any:
    if not isinstance(table, dict):
        problems.append(f"[{section}] must be a table")
        table = {}
    hints = get_type_hints(kind, include_extras=True)
    for unknown in table.keys() - hints.keys():
        problems.append(f"{section}.{unknown}: unknown setting")
    values: dict[str, Any] = {}
    for part in fields(kind):
        variable, hint = _variable(section, part.name), hints[part.name]
        try:
            if variable in environment:
                values[part.name] = _from_text(environment[variable], hint)
            elif part.name in table:
                values[part.name] = msgspec.convert(table[part.name], hint)
        except msgspec.ValidationError as error:
            where = variable if variable in environment else f"{section}.{part.name}"
            problems.append(f"{where}: {error}")
    return kind(**values)


def _from_text(text: str, hint: Any) -> Any:
    value = (
        [part.strip() for part in text.split(",") if part.strip()]
        if (hint == tuple[str, ...])
        else text
    )
    return msgspec.convert(value, hint, strict=False)


def _influxdb(environment: Mapping[str, str], problems: list[str]) -> InfluxDBSettings | None:
    url, org, token = (environment.get(name, "") for name in INFLUXDB_VARIABLES)
    if not url:
        return None
    if not _is_web_address(url):
        problems.append("INFLUXDB_V2_URL: must look like https://host/path")
    for name, value in zip(INFLUXDB_VARIABLES[1:], (org, token), strict=True):
        if not value:
            problems.append(f"{name}: must be set if INFLUXDB_V2_URL is set")
    return InfluxDBSettings(url.rstrip("/"), org, token)


def _is_web_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:  # such as an unfinished IPv6 address
        return False


def _contradictions(settings: Settings) -> list[str]:
    problems = []
    key, advice = settings.server.secret_key, "create one with: openssl rand -hex 32"
    if not settings.server.on_loopback and not key:
        problems.append(
            f"server.secret_key: listening on {settings.server.host} needs a secret key of at "
            f"least {SHORTEST_KEY} characters; set MONITOR_SERVER_SECRET_KEY ({advice})"
        )
    if key and len(key.strip()) < SHORTEST_KEY:
        problems.append(
            f"server.secret_key: must have at least {SHORTEST_KEY} characters ({advice})"
        )
    if settings.email.server and not (settings.email.sender and settings.email.recipients):
        problems.append("email.server: email.sender and email.recipients must be set too")
    if settings.webhook.url and not _is_web_address(settings.webhook.url):
        problems.append("webhook.url: must look like https://host/path")
    if settings.watchdog.url and not _is_web_address(settings.watchdog.url):
        problems.append("watchdog.url: must look like https://host/path")
    if settings.oidc.issuer and not (
        _is_web_address(settings.oidc.issuer) and settings.oidc.client_id
    ):
        problems.append(
            "oidc.issuer: must look like https://host/path; oidc.client_id must be set too"
        )
    try:
        ZoneInfo(settings.alerts.time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        problems.append("alerts.time_zone: must be a name such as Europe/Berlin")
    for rule in settings.alerts.sites:
        if not _SITE_RULE.fullmatch(rule):
            problems.append(f"alerts.sites: {rule!r} must look like 02:00:01=Site A")
    if not _is_web_address(settings.server.base_url):
        problems.append("server.base_url: must look like https://host/path")
    if settings.ingest.token and len(settings.ingest.token) < 16:
        problems.append("ingest.token: must have at least 16 characters")
    return problems
