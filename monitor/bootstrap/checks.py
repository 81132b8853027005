"""What commands check and prepare before a process starts."""

from sqlalchemy import Engine
from sqlalchemy.exc import ArgumentError

from monitor.bootstrap.channels import email_channel, webhook_channel
from monitor.bootstrap.stores import check_key, open_store
from monitor.settings import Settings, SettingsError
from monitor.state import migrating, tokens
from monitor.state.database import open_state, reading


def check(settings: Settings) -> None:
    """What only the parts themselves can tell of the settings. Raises SettingsError."""
    problems = []
    checks = (
        ("state.url", _open_state),
        ("email", email_channel),
        ("webhook", webhook_channel),
    )
    for section, make in checks:
        try:
            make(settings)
        except (ArgumentError, ValueError, OSError) as error:
            problems.append(f"{section}: {error}")
        except ModuleNotFoundError as error:
            problems.append(
                f"{section}: {error.name} is missing; pip install 'heartbeat-monitor[postgresql]'"
            )
    try:
        check_key(settings)
    except SettingsError as error:
        problems += error.problems
    if problems:
        raise SettingsError(problems)


def _open_state(settings: Settings) -> Engine:
    return open_state(settings.state_url)


def migrate(settings: Settings) -> None:
    """Bring state and store up to date; harmless to repeat."""
    migrating.migrate(open_state(settings.state_url))
    store = open_store(settings, writable=True)
    store.migrate()
    store.close()


def has_ingest_token(settings: Settings) -> bool:
    """Sensors need a token. Raises StateUnavailable."""
    if settings.ingest.token:
        return True
    with reading(open_state(settings.state_url)) as connection:
        return bool(tokens.active(connection)[1])
