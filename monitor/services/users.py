"""Users: people who can log in, with their roles and passwords."""

from typing import Any

from sqlalchemy import Connection, Engine

from monitor.errors import Conflict, Invalid, NotFound
from monitor.services import passwords
from monitor.state import audit, horizon, logins, users
from monitor.state.database import reading, writing
from monitor.state.users import LastAdministrator, User

ADMINISTRATOR = users.ROLES[-1]

_SWITCHED = {True: "user activated", False: "user deactivated"}


def add(
    engine: Engine,
    actor: str,
    name: str,
    role: str,
    email: str | None,
    now: int,
    password: str | None = None,
) -> User:
    """Adds a user. Without a password, the user needs a password link. Raises Invalid."""
    hashed = None if password is None else _hashed(password, name, email)
    with writing(engine) as connection:
        number = users.add(connection, name, role, now, email=email, password=hashed)
        person = _found(connection, number)
        detail = {"role": person.role, "email": person.email}
        audit.record(connection, actor, "user created", person.name, detail)
    return person


def change(engine: Engine, actor: str, number: int, **values: Any) -> User:
    """Sets role, email or active. Deactivating a user also ends all their logins.

    Raises Invalid, NotFound, and LastAdministrator (a Conflict).
    """
    with writing(engine) as connection:
        old = _found(connection, number, to_change=True)
        users.change(connection, number, **values)
        new = _found(connection, number)
        what = "user changed" if new.active == old.active else _SWITCHED[new.active]
        detail = audit.differences(_shown(old), _shown(new))
        audit.record(connection, actor, what, new.name, detail)
    return new


def reset(engine: Engine, actor: str, person: User, password: str) -> None:
    """Makes a user an active administrator with a new password. Raises Invalid."""
    hashed = _hashed(password, person.name, person.email)
    with writing(engine) as connection:
        users.change(connection, person.id, role=ADMINISTRATOR, active=True)
        users.set_password(connection, person.id, hashed)
        audit.record(
            connection,
            actor,
            "user's password and role reset",
            person.name,
            {"role": ADMINISTRATOR},
        )


def set_password(engine: Engine, actor: str, person: User, password: str) -> None:
    """Sets a new password, and ends all logins of the user. Raises Invalid."""
    hashed = _hashed(password, person.name, person.email)
    with writing(engine) as connection:
        users.set_password(connection, person.id, hashed)
        audit.record(connection, actor, "password changed", person.name)


def choose_password(engine: Engine, person: User, password: str) -> bool:
    """Sets the password that a user chose with a password link. Raises Invalid.

    False: the password is no longer that of `person`, because the link was used before.
    """
    hashed = _hashed(password, person.name, person.email)
    with writing(engine) as connection:
        found = users.get(connection, person.id, to_change=True)
        if found is None or found.password != person.password:
            return False
        users.set_password(connection, person.id, hashed)
        audit.record(connection, person.name, "password set", person.name)
    return True


def record_password_link(engine: Engine, actor: str, number: int) -> User:
    """Records that a password link was created; returns the user. Raises NotFound."""
    with writing(engine) as connection:
        person = _found(connection, number)
        audit.record(connection, actor, "password link created", person.name)
    return person


def log_out_everywhere(engine: Engine, actor: str, person: User) -> None:
    """Ends all logins of a user."""
    with writing(engine) as connection:
        logins.end_all(connection, person.id)
        audit.record(connection, actor, "logged out everywhere", person.name)


def get(engine: Engine, number: int) -> User:
    """Returns the user with this number. Raises NotFound."""
    with reading(engine) as connection:
        return _found(connection, number)


def find(engine: Engine, name: str) -> User:
    """Returns the user with this name or email; case does not matter. Raises NotFound."""
    with reading(engine) as connection:
        person = users.find(connection, name)
    if person is None:
        raise NotFound(f"there is no user {name!r}")
    return person


def listed(engine: Engine) -> list[User]:
    """Returns all users by name; deactivated users last."""
    with reading(engine) as connection:
        return users.listed(connection)


def of_provider(
    engine: Engine, subject: str, role: str, name: str, email: str | None, now: int
) -> User:
    """Returns the user with this OpenID Connect subject, and sets the role.

    At the first login, it adds a user, with a name that is free. It never uses an existing user
    with the same name or email address: these don't prove identity. Raises Invalid; Conflict for a
    deactivated user.
    """
    with writing(engine) as connection:
        known = users.vouched_for(connection, subject)
        if known is None:
            horizon.lock(connection)  # the same user may log in twice at the same moment
            known = users.vouched_for(connection, subject)
        if known is None:
            return _add_of_provider(connection, subject, role, name, email, now)
        if not known.active:
            raise Conflict("your account is deactivated; ask an administrator")
        if known.role != role:
            _follow_role(connection, known, role)
        return _found(connection, known.id)


def _add_of_provider(
    connection: Connection, subject: str, role: str, name: str, email: str | None, now: int
) -> User:
    if email and users.find(connection, email):
        email = None
    free = _free_name(connection, name)
    number = users.add(connection, free, role, now, email=email, subject=subject)
    audit.record(connection, subject, "user created", free, {"role": role, "email": email})
    return _found(connection, number)


def _free_name(connection: Connection, wanted: str) -> str:
    letters = "".join(letter for letter in wanted if letter.isprintable() and letter != "@")
    name = letters[:70].strip() or "user"
    for number in range(1, 100):
        free = name if number == 1 else f"{name} {number}"
        if users.find(connection, free) is None:
            break
    return free


def _follow_role(connection: Connection, known: User, role: str) -> None:
    try:
        users.change(connection, known.id, role=role)
    except LastAdministrator:
        return  # at least one administrator must remain
    detail = {"role": {"from": known.role, "to": role}}
    audit.record(connection, known.subject or known.name, "user changed", known.name, detail)


def _found(connection: Connection, number: int, to_change: bool = False) -> User:
    person = users.get(connection, number, to_change)
    if person is None:
        raise NotFound(f"there is no user {number}")
    return person


def _hashed(password: str, *about: str | None) -> str:
    """Takes about 0.1 s, so it is called before the transaction. Raises Invalid."""
    if weak := passwords.weakness(password, *about):
        raise Invalid("password", weak)
    return passwords.hashed(password)


def _shown(person: User) -> dict[str, Any]:
    return {name: getattr(person, name) for name in ("name", "email", "role", "active")}


class UsersExist:
    """Whether there are users. Once there are, it needs no query: users are never deleted."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._exist = False

    def __call__(self) -> bool:
        """Raises StateUnavailable."""
        if not self._exist:
            with reading(self._engine) as connection:
                self._exist = users.exist(connection)
        return self._exist
