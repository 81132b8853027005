"""Reads the settings file and the environment, and checks both."""

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import fields, replace
from difflib import get_close_matches
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from monitor.model import SECOND, fits_in_header, parse_duration
from monitor.server import hosts
from monitor.settings import secret_files, service_links
from monitor.settings.sections import InfluxDBSettings, ServerSettings, Settings

SHORTEST_KEY = 32
"""The minimum length of a secret key, in characters."""

_SITE_RULE = re.compile(r"(?i:[0-9a-f]{2}(:[0-9a-f]{2}){0,5})=\s*\S.{0,199}")

_OTHER_VARIABLES = {"MONITOR_CONFIG", "MONITOR_TOKEN"}
"""Variables that are not settings: the settings file, and the simulator's token."""

INFLUXDB_VARIABLES = ("INFLUXDB_V2_URL", "INFLUXDB_V2_ORG", "INFLUXDB_V2_TOKEN")
_INFLUXDB_TOKEN = INFLUXDB_VARIABLES[-1]


class SettingsError(Exception):
    """The settings are invalid; `problems` has one sentence for each error."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


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


def secret_variables() -> set[str]:
    """The names of all environment variables that are secrets. Each can be read from a file, which
    the variable with `_FILE` at the end names."""
    return {
        _variable(section, part.name)
        for section, kind in _SECTIONS.items()
        for part in fields(kind)
        if not part.repr
    } | {_INFLUXDB_TOKEN}


def linked_variables(environment: Mapping[str, str]) -> set[str]:
    """The names of variables that Kubernetes has set for a Service; they are no settings."""
    return service_links.links(environment, variables())


def milliseconds(seconds: float) -> int:
    """Converts a setting in seconds to milliseconds."""
    return round(seconds * SECOND)


def load(path: Path | None, environment: Mapping[str, str]) -> Settings:
    """Loads settings from the file at `path` (None: defaults), overridden by `environment`.

    Raises SettingsError, which names every invalid setting.
    """
    problems: list[str] = []
    tables = _read(path, problems)
    environment = secret_files.filled_in(environment, sorted(secret_variables()), problems)
    for unknown in tables.keys() - _SECTIONS.keys():
        problems.append(_unknown_table(unknown, tables[unknown]))
    linked = linked_variables(environment)
    for variable in environment.keys() - variables() - _OTHER_VARIABLES - linked:
        if variable.startswith("MONITOR_") and not variable.startswith("MONITOR_TEST_"):
            hint = _did_you_mean(get_close_matches(variable, sorted(variables()), 1, 0.85))
            problems.append(f"{variable}: unknown setting{hint}")
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
    except OSError as error:
        problems.append(f"{path}: can't read the settings file: {error.strerror}")
    except UnicodeDecodeError:
        problems.append(f"{path}: the settings file must be UTF-8 text")
    except tomllib.TOMLDecodeError as error:
        problems.append(f"{path}: invalid TOML: {error}")
    return {}


def _unknown_table(name: str, value: object) -> str:
    if name == "influxdb":
        return (
            f"[influxdb]: unknown section; set {', '.join(INFLUXDB_VARIABLES)} in the environment"
        )
    if isinstance(value, dict):
        return f"[{name}]: unknown section" + _did_you_mean(
            [f"[{each}]" for each in get_close_matches(name, _SECTIONS, 1)]
        )
    return f"{name}: settings must be in a section such as [server]" + _did_you_mean(
        _same_name(name)
    )


def _did_you_mean(names: list[str]) -> str:
    return f"; did you mean {' or '.join(names)}?" if names else ""


def _same_name(name: str) -> list[str]:
    return [
        f"{section}.{name}"
        for section, kind in _SECTIONS.items()
        if name in (part.name for part in fields(kind))
    ]


def _section(
    section: str,
    kind: type[Any],
    table: object,
    environment: Mapping[str, str],
    problems: list[str],
) -> Any:
    if not isinstance(table, dict):
        problems.append(f"{section}: must be a section: write [{section}] on a line of its own")
        table = {}
    hints = get_type_hints(kind, include_extras=True)
    for unknown in table.keys() - hints.keys():
        close = [f"{section}.{each}" for each in get_close_matches(unknown, hints, 1)]
        problems.append(
            f"{section}.{unknown}: unknown setting{_did_you_mean(close or _same_name(unknown))}"
        )
    values: dict[str, Any] = {}
    for part in fields(kind):
        variable, hint = _variable(section, part.name), hints[part.name]
        given = environment.get(variable, table.get(part.name))
        if given is None:  # TOML has no null
            continue
        try:
            value = _seconds(given) if _is_duration(hint) and isinstance(given, str) else given
            values[part.name] = (
                _from_text(value, hint) if variable in environment else msgspec.convert(value, hint)
            )
        except msgspec.ValidationError:
            if variable in environment and service_links.is_link(given):
                problems.append(service_links.explained(variable, given))
                continue
            where = variable if variable in environment else f"{section}.{part.name}"
            shown = f", not {_shown(given)}" if part.repr else ""
            problems.append(f"{where}: must be {_expected(hint)}{shown}")
    return kind(**values)


def _is_duration(hint: Any) -> bool:
    return any(getattr(part, "description", None) == "seconds" for part in get_args(hint))


def _seconds(text: str) -> float | str:
    """The duration in seconds; unchanged if it is none, for the error about its type."""
    try:
        return parse_duration(text) / SECOND
    except ValueError:
        return text


def _from_text(given: object, hint: Any) -> Any:
    value = (
        [part.strip() for part in given.split(",") if part.strip()]
        if isinstance(given, str) and hint == tuple[str, ...]
        else given
    )
    return msgspec.convert(value, hint, strict=False)


def _shown(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)[:80]


def _expected(hint: Any) -> str:
    """A description of the values that a setting of this type accepts."""
    if hint == tuple[str, ...]:
        return 'a list of strings such as ["a", "b"]'
    if get_origin(hint) is Literal:
        return " or ".join(f'"{choice}"' for choice in get_args(hint))
    if hint is bool:
        return "true or false"
    if hint is str:
        return "a string in quotes"
    kind, limits = get_args(hint)
    if _is_duration(hint):
        return (
            f"a number of seconds from {limits.ge} to {limits.le}, or a duration such as "
            '"90s" or "5m"'
        )
    what = "a whole number" if kind is int else "a number"
    return (
        f"{what}, at least {limits.ge}"
        if limits.le is None
        else (f"{what} from {limits.ge} to {limits.le}")
    )


def _influxdb(environment: Mapping[str, str], problems: list[str]) -> InfluxDBSettings | None:
    url, org, token = (environment.get(name, "") for name in INFLUXDB_VARIABLES)
    if not url:
        return None
    if not _is_web_address(url):
        problems.append("INFLUXDB_V2_URL: must look like https://host/path")
    for name, value in zip(INFLUXDB_VARIABLES[1:], (org, token), strict=True):
        if not value:
            problems.append(f"{name}: must be set if INFLUXDB_V2_URL is set")
    if not fits_in_header(token):
        problems.append(
            "INFLUXDB_V2_TOKEN: has a line break, a space or a character that is not ASCII; set it "
            "to the token alone"
        )
    return InfluxDBSettings(url.rstrip("/"), org, token)


def _is_web_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:  # such as an unfinished IPv6 address
        return False


def _contradictions(settings: Settings) -> list[str]:
    problems = _server_contradictions(settings.server)
    if settings.email.server:
        for name in ("sender", "recipients"):
            if not getattr(settings.email, name):
                problems.append(f"email.{name}: must be set if email.server is set")
    if settings.webhook.url and not _is_web_address(settings.webhook.url):
        problems.append("webhook.url: must look like https://host/path")
    if settings.watchdog.url and not _is_web_address(settings.watchdog.url):
        problems.append("watchdog.url: must look like https://host/path")
    if settings.oidc.issuer and not _is_web_address(settings.oidc.issuer):
        problems.append("oidc.issuer: must look like https://host/path")
    if settings.oidc.issuer and not settings.oidc.client_id:
        problems.append("oidc.client_id: must be set if oidc.issuer is set")
    if settings.outgoing.proxy and not _is_web_address(settings.outgoing.proxy):
        problems.append("outgoing.proxy: must look like http://proxy.example.org:3128")
    try:
        ZoneInfo(settings.alerts.time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        problems.append("alerts.time_zone: must be the name of a time zone such as Europe/Berlin")
    for rule in settings.alerts.sites:
        if not _SITE_RULE.fullmatch(rule):
            problems.append(f"alerts.sites: {rule!r} must look like 02:00:01=Site A")
    if settings.ingest.token and len(settings.ingest.token) < 16:
        problems.append("ingest.token: must have at least 16 characters")
    return problems


def _server_contradictions(server: ServerSettings) -> list[str]:
    problems = []
    key, advice = server.secret_key, "create one with: openssl rand -hex 32"
    if not server.on_loopback and not key:
        problems.append(
            f"server.secret_key: listening on {server.host} needs a secret key of at "
            f"least {SHORTEST_KEY} characters; set MONITOR_SERVER_SECRET_KEY ({advice})"
        )
    if key and len(key.strip()) < SHORTEST_KEY:
        problems.append(
            f"server.secret_key: must have at least {SHORTEST_KEY} characters ({advice})"
        )
    if not server.host or server.host.startswith(("[", "tcp:", "http:", "https:")):
        problems.append(
            'server.host: must be a host name or an address such as "::1", without brackets and '
            'port, or a UNIX socket such as "unix:/run/monitor.sock"'
        )
    elif server.host == "unix:":
        problems.append('server.host: must look like "unix:/run/monitor.sock"')
    elif not server.base_url:  # it has no default for a UNIX socket
        problems.append(
            "server.base_url: must be set to the URL that browsers use if server.host is a UNIX "
            "socket"
        )
    elif not _is_web_address(server.base_url):
        problems.append("server.base_url: must look like https://host/path")
    elif server.certificate and not server.base_url.startswith("https://"):
        problems.append("server.base_url: must start with https:// if server.certificate is set")
    if server.key and not server.certificate:
        problems.append("server.certificate: must be set if server.key is set")
    for each in server.hosts:
        if not hosts.is_name(each):
            problems.append(
                f"server.hosts: {_shown(each)} must be a host name or an address such as "
                '"monitor.example.org", or an ending such as ".example.org"'
            )
    for each in server.proxy_addresses:
        try:
            ip_network(each)
        except ValueError:
            problems.append(
                f"server.proxy_addresses: {_shown(each)} must be an address or a network such as "
                "10.0.0.0/8"
            )
    if server.proxy_addresses and not server.proxies:
        problems.append("server.proxies: must be set if server.proxy_addresses is set")
    return problems
