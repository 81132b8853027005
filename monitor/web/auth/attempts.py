"""Checks of passwords. Wrong attempts are counted, and delay further ones."""

from flask import session

from monitor.model import SECOND
from monitor.services import passwords
from monitor.state import throttle, users
from monitor.state.database import reading, writing
from monitor.state.throttle import Guarded
from monitor.state.users import User
from monitor.web.auth import devices
from monitor.web.auth.principal import LOGIN, address
from monitor.web.context import context


def check_password(name: str, password: str) -> tuple[User | None, int]:
    """(the user, if the password is correct; ms to wait before the next attempt)."""
    with reading(context().engine) as connection:
        user = users.find(connection, name)
    mark = devices.mark_of(user) if user else None
    if mark is not None:
        return _attempt(user, password, throttle.device(mark))
    here = throttle.address(address())
    account = throttle.user(user.id) if user else throttle.name(users.key_of(name))
    return _attempt(user, password, throttle.at(account, here), account, here)


def confirm_password(user: User, password: str) -> tuple[User | None, int]:
    """As `check_password`, for a user who is logged in; counted apart from attempts to log in."""
    return _attempt(user, password, throttle.login(session[LOGIN]))


def seconds(wait: int) -> int:
    """A wait (ms) in whole seconds, rounded up."""
    return -(-wait // SECOND)


def _attempt(
    user: User | None, password: str, own: Guarded, *others: Guarded
) -> tuple[User | None, int]:
    engine = context().engine
    with writing(engine) as connection:
        wait = throttle.begin(connection, [own, *others], context().clock.now())
    if wait:
        return None, wait
    correct = passwords.matches(user.password if user else None, password)
    if user is None or not correct or not user.active:
        return None, 0
    outdated = user.password is not None and passwords.outdated(user.password)
    hashed = passwords.hashed(password) if outdated else None
    with writing(engine) as connection:
        throttle.succeeded(connection, own, others)
        if hashed is not None:
            users.change(connection, user.id, password=hashed)
    return user, 0
