"""Tokens: creates and revokes them, for sensors and programs."""

from sqlalchemy import Engine

from monitor.errors import Invalid, NotFound
from monitor.state import audit, tokens
from monitor.state.database import reading, writing
from monitor.state.tokens import Token


def create(engine: Engine, actor: str, name: str, role: str, now: int) -> str:
    """Creates a token and returns its secret, which can't be read again later."""
    tokens.check_name(name)
    if role not in tokens.ROLES:
        raise Invalid("role", f"must be one of {', '.join(tokens.ROLES)}")
    with writing(engine) as connection:
        secret = tokens.create(connection, name, now, role)
        audit.record(connection, actor, "token created", name, {"role": role})
    return secret


def revoke(engine: Engine, actor: str, name: str, now: int) -> None:
    """Revokes a token: it is no longer accepted."""
    with writing(engine) as connection:
        if not tokens.revoke(connection, name, now):
            raise NotFound(f"there is no active token {name!r}")
        audit.record(connection, actor, "token revoked", name)


def listed(engine: Engine) -> list[Token]:
    """Returns all tokens in the order of creation, revoked ones too."""
    with reading(engine) as connection:
        return tokens.listed(connection)
