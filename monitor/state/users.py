"""Users: rows of `user`."""

import re
import unicodedata
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, exists, insert, select, update
from sqlalchemy.exc import IntegrityError

from monitor.errors import Conflict, Invalid
from monitor.state import logins, throttle
from monitor.state.access_tables import user

ROLES = ("viewer", "operator", "administrator")
"""Each role has the permissions of the one before it."""

COMMAND_LINE = "command line"
"""The actor if no user is logged in."""

_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]{1,189}")

# PostgreSQL names the constraint, SQLite the column.
_TAKEN = re.compile(r"(?:uq_user_|user\.)(email|subject)")


class LastAdministrator(Conflict):
    """The change would leave no administrator."""

    def __init__(self) -> None:
        super().__init__("this is the last administrator; make another user an administrator first")


@dataclass(frozen=True)
class User:
    """One user; times in ms."""

    id: int
    name: str
    email: str | None
    role: str
    active: bool
    created_at: int
    last_login_at: int | None
    subject: str | None
    """"issuer subject" of OpenID Connect, if the user logs in with it."""
    password: str | None = field(repr=False)
    """The hash; None if it is not set yet, or not needed."""


_COLUMNS = tuple(user.c[name] for name in User.__dataclass_fields__)


def exist(connection: Connection) -> bool:
    """Whether there are any users."""
    return bool(connection.execute(select(exists().select_from(user))).scalar())


def add(connection: Connection, name: str, role: str, now: int, **values: Any) -> int:
    """Adds a user. Returns the id. `values`: email, password (its hash), subject.

    Raises Invalid, also for a name or email that is taken; then the transaction must be rolled
    back.
    """
    given = {"name": name, "role": role, **values}
    return _written(
        connection,
        insert(user).values(**_checked(given), active=True, created_at=now).returning(user.c.id),
    )


def find(connection: Connection, login: str) -> User | None:
    """The user with this name or email, in upper or lower case."""
    if not login.isprintable():
        return None
    column = user.c.email if "@" in login else user.c.key
    return _one(connection, column == key_of(login.strip()))


def get(connection: Connection, number: int, to_change: bool = False) -> User | None:
    """The user with this id. `to_change`: locks it until the transaction ends."""
    return _one(connection, user.c.id == number, to_change)


def vouched_for(connection: Connection, subject: str) -> User | None:
    """The user with this "issuer subject" of OpenID Connect."""
    return _one(connection, user.c.subject == subject)


def listed(connection: Connection) -> list[User]:
    """All users, by name; inactive ones are last."""
    rows = connection.execute(select(*_COLUMNS).order_by(user.c.active.desc(), user.c.key))
    return [User(*row) for row in rows]


def change(connection: Connection, number: int, **values: Any) -> None:
    """Changes a user. `values`: name, email, role, active, password (its hash), subject.

    Ends all logins of a user who becomes inactive. Raises LastAdministrator, and Invalid as `add`
    does.
    """
    checked = _checked(values)
    if values.get("role", ROLES[-1]) != ROLES[-1] or not values.get("active", True):
        administrators = select(user.c.id).where(user.c.role == ROLES[-1], user.c.active)
        # Two administrators who remove each other at the same time wait for one another here.
        if list(connection.scalars(administrators.order_by(user.c.id).with_for_update())) == [
            number
        ]:
            raise LastAdministrator
    changed = update(user).where(user.c.id == number).values(**checked)
    _written(connection, changed.returning(user.c.id))
    if not values.get("active", True):
        logins.end_all(connection, number)


def set_password(connection: Connection, number: int, hashed: str) -> None:
    """Sets the password (its hash), ends all logins, and forgets failures with the old one."""
    change(connection, number, password=hashed)
    logins.end_all(connection, number)
    throttle.succeeded(connection, throttle.user(number))


def logged_in(connection: Connection, number: int, now: int) -> None:
    """Records the time of a login."""
    connection.execute(update(user).where(user.c.id == number).values(last_login_at=now))


def _one(connection: Connection, condition: Any, to_change: bool = False) -> User | None:
    query = select(*_COLUMNS).where(condition)
    row = connection.execute(query.with_for_update() if to_change else query).first()
    return None if row is None else User(*row)


def key_of(text: str) -> str:
    """The normalized form of a name or email, for comparison."""
    return unicodedata.normalize("NFKC", text).casefold()


def _checked(values: dict[str, Any]) -> dict[str, Any]:
    """The columns of these values. Raises Invalid."""
    columns = dict(values)
    if "name" in values:
        columns["key"] = _checked_name(values["name"])
    if values.get("email"):
        columns["email"] = key_of(values["email"])
        if not (values["email"].isprintable() and _EMAIL.fullmatch(columns["email"])):
            raise Invalid("email", "must look like name@example.org")
    elif "email" in values:
        columns["email"] = None
    if "role" in values and values["role"] not in ROLES:
        raise Invalid("role", f"must be one of {', '.join(ROLES)}")
    return columns


def _checked_name(name: str) -> str:
    fits = 0 < len(name) <= 80 and name == name.strip() and name.isprintable() and "@" not in name
    if not fits:
        raise Invalid("name", "must be 1 to 80 printable characters without @")
    key = key_of(name)
    if key == COMMAND_LINE:
        raise Invalid("name", f"must not be {name!r}, which is reserved")
    return key[:240]


def _written(connection: Connection, statement: Any) -> int:
    """Executes the statement. Returns the user's id. Raises Invalid if another user has the name or
    email."""
    try:
        return int(connection.execute(statement).scalar_one())
    except IntegrityError as error:
        found = _TAKEN.search(str(error.orig))
        taken = found[1] if found else "name"
        raise Invalid(taken, "must not be that of another user") from error
