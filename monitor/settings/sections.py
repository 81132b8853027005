"""The settings and their defaults, by section."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from msgspec import Meta

Port = Annotated[int, Meta(ge=1, le=65535)]
Count = Annotated[int, Meta(ge=1)]
DaysShown = Annotated[int, Meta(ge=90, le=36_500)]
"""At least 90, because pages show up to 90 days."""
Rate = Annotated[float, Meta(ge=0.1, le=1_000_000)]
Seconds = Annotated[float, Meta(ge=0.1, le=10 * 365 * 86_400, description="seconds")]

LOOPBACK = ("127.0.0.1", "::1", "localhost")
"""Names of this machine, which other hosts can't reach."""
_UNIX = "unix:"


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


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
    proxy_addresses: tuple[str, ...] = ()
    connections: Count = 10_000
    access_log: bool = False
    certificate: str = ""
    key: str = ""

    @property
    def listens_on(self) -> str:
        """Where the web process listens, as one text."""
        if self.host.startswith(_UNIX):
            return self.host
        return f"{_in_url(self.host)}:{self.port}"

    @property
    def proxy_networks(self) -> Sequence[IPv4Network | IPv6Network]:
        """`proxy_addresses` as networks. Raises ValueError."""
        return [ip_network(each) for each in self.proxy_addresses]

    @property
    def on_loopback(self) -> bool:
        """Whether only this host can connect."""
        return self.host in LOOPBACK or self.host.startswith(_UNIX)

    @property
    def local(self) -> bool:
        """Whether only this host can connect, and there is no proxy for other hosts."""
        return self.on_loopback and urlsplit(self.base_url).hostname in LOOPBACK

    @property
    def address(self) -> str:
        """The URL for browsers if `base_url` is empty. Empty for a UNIX socket."""
        if self.host.startswith(_UNIX):
            return ""
        host = "localhost" if self.host in ("0.0.0.0", "::") else self.host  # noqa: S104
        return f"{'https' if self.certificate else 'http'}://{_in_url(host)}:{self.port}"


@dataclass(frozen=True)
class DataSettings:
    """The data directory: WAL, dead letters, embedded store and state."""

    directory: str = "data"


@dataclass(frozen=True)
class StateSettings:
    """The state database. An empty URL means a SQLite file in the data directory."""

    url: str = field(default="", repr=False)


@dataclass(frozen=True)
class StoreSettings:
    """The heartbeat store. The INFLUXDB_V2_ variables select InfluxDB."""

    heartbeats_bucket: str = "heartbeats"
    arrivals_bucket: str = "arrivals"
    retention_days: Count = 90


@dataclass(frozen=True)
class RetentionSettings:
    """How many days the state keeps closed incidents and audit rows."""

    incidents_days: DaysShown = 400
    audit_days: DaysShown = 400


@dataclass(frozen=True)
class IngestSettings:
    """What the ingest app accepts."""

    token: str = field(default="", repr=False)
    max_sensors: Count = 100_000
    body_limit: Count = 4 * 1024 * 1024
    batch_rows: Count = 20_000
    rate_per_sensor: Rate = 10
    fsync: Literal["interval", "always"] = "always"
    spool_limit: Count = 1024**3


@dataclass(frozen=True)
class StalenessSettings:
    """When a silent sensor is down. Seconds."""

    threshold: Seconds = 600
    sweep_interval: Seconds = 5
    source_lost_after: Seconds = 900


@dataclass(frozen=True)
class AlertsSettings:
    """How incidents are grouped into messages. Seconds."""

    group_wait: Annotated[float, Meta(ge=0, le=86_400, description="seconds")] = 30
    group_interval: Seconds = 300
    repeat_interval: Annotated[float, Meta(ge=60, le=30 * 86_400, description="seconds")] = 14_400
    flapping_outages: Annotated[int, Meta(ge=2, le=1_000)] = 3
    flapping_window: Annotated[float, Meta(ge=1, le=30 * 86_400, description="seconds")] = 3_600
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
    """The URL that the watchdog calls while all is well; off while `url` is empty."""

    url: str = field(default="", repr=False)
    allow_internal: bool = False


@dataclass(frozen=True)
class TlsSettings:
    """Which certificates of other hosts are trusted."""

    ca_file: str = ""


@dataclass(frozen=True)
class OutgoingSettings:
    """How requests to other hosts are sent."""

    proxy: str = field(default="", repr=False)


@dataclass(frozen=True)
class OidcSettings:
    """Login with an OpenID Connect provider; off while `issuer` is empty."""

    issuer: str = ""
    client_id: str = ""
    client_secret: str = field(default="", repr=False)
    claim: str = "groups"
    administrators: tuple[str, ...] = ()
    operators: tuple[str, ...] = ()
    viewers: tuple[str, ...] = ()
    domain: str = ""


@dataclass(frozen=True)
class LogSettings:
    """What the service logs to standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["text", "json"] = "text"


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
    tls: TlsSettings = TlsSettings()
    outgoing: OutgoingSettings = OutgoingSettings()
    log: LogSettings = LogSettings()
    influxdb: InfluxDBSettings | None = None
    """Not a section: set by INFLUXDB_V2_URL, _ORG and _TOKEN."""

    @property
    def for_outgoing(self) -> Mapping[str, str]:
        """The environment variables that `monitor.outgoing` reads, in this process and its
        children."""
        given = {
            "MONITOR_TLS_CA_FILE": self.tls.ca_file,
            "MONITOR_OUTGOING_PROXY": self.outgoing.proxy,
        }
        return {name: value for name, value in given.items() if value}

    @property
    def data_directory(self) -> Path:
        """The data directory as an absolute path."""
        return Path(self.data.directory).absolute()

    @property
    def state_url(self) -> str:
        """The state database's SQLAlchemy URL."""
        return self.state.url or f"sqlite:///{self.data_directory / 'state.sqlite'}"
