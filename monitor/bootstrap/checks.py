"""Checks and preparations before a process starts."""

from pathlib import Path

from sqlalchemy.exc import ArgumentError

from monitor.bootstrap.channels import email_channel, webhook_channel
from monitor.bootstrap.stores import open_store
from monitor.bootstrap.vaults import check_key
from monitor.outgoing import trust
from monitor.server.tls import CertificateError, server_context
from monitor.settings import Settings, SettingsError
from monitor.state import migrating, tokens
from monitor.state.database import open_state, reading

_NAMES = {"signing_secret": "secret"}
"""A channel's name of a setting -> its name in the settings file, if it differs."""


def check(settings: Settings, listens: bool) -> None:
    """Checks the settings that need the components themselves. `listens`: whether the process needs
    the certificate. Raises SettingsError."""
    problems = []
    try:
        open_state(settings.state_url)
    except (ArgumentError, ValueError):  # ValueError: the port is not a number
        problems.append("state.url: must look like postgresql://user:password@host/name")
    except OSError as error:
        name = "state.url" if settings.state.url else "data.directory"
        problems.append(f"{name}: can't create {error.filename}: {error.strerror}")
    except ModuleNotFoundError as error:
        problems.append(
            f"state.url: {error.name} is missing; pip install 'heartbeat-monitor[postgresql]'"
        )
    for section, make in (("email", email_channel), ("webhook", webhook_channel)):
        try:
            make(settings)
        except ValueError as error:  # starts with the name of the channel's setting
            name, _, reason = str(error).partition(":")
            problems.append(f"{section}.{_NAMES.get(name, name)}:{reason}")
    if settings.tls.ca_file:
        try:
            trust.tls_context()
        except OSError as error:  # also for a file without certificates
            problems.append(f"tls.ca_file: can't use {settings.tls.ca_file}: {error.strerror}")
    server = settings.server
    if server.certificate and listens:
        try:
            server_context(Path(server.certificate), Path(server.key) if server.key else None)
        except CertificateError as error:
            problems.append(f"server.{error}")
    try:
        check_key(settings)
    except SettingsError as error:
        problems += error.problems
    if problems:
        raise SettingsError(problems)


def migrate(settings: Settings) -> None:
    """Creates or updates the state's and the store's schema. Idempotent."""
    migrating.migrate(open_state(settings.state_url))
    store = open_store(settings, writable=True)
    store.migrate()
    store.close()


def has_ingest_token(settings: Settings) -> bool:
    """Whether sensors need a token. Raises StateUnavailable."""
    if settings.ingest.token:
        return True
    with reading(open_state(settings.state_url)) as connection:
        return bool(tokens.active(connection)[1])
