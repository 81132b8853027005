"""Logging in and out, and the link with which a user chooses a password."""

import hashlib
from urllib.parse import urlsplit

from flask import Blueprint, Response, flash, redirect, render_template, request, session, url_for
from werkzeug.wrappers import Response as AnyResponse

from monitor.errors import Invalid
from monitor.model import DAY, SECOND
from monitor.services import passwords
from monitor.services import users as users_service
from monitor.state import logins, throttle, users
from monitor.state.database import reading, writing
from monitor.state.throttle import Guarded
from monitor.state.users import User
from monitor.web.auth import csrf, devices
from monitor.web.auth.access import public
from monitor.web.auth.people import People
from monitor.web.auth.principal import LOGIN, address, current
from monitor.web.errors import RequestRefused
from monitor.web.forms import mistake
from monitor.web.responses import html

LIFETIME = 2 * DAY
"""How long a link to choose a password works (ms)."""

PASSWORD_FIELDS = {"password": "New password", "again": "Repeat the new password"}
"""Titles of the fields of a form for a new password."""

_PURPOSE = "password"


def add_to(pages: Blueprint, people: People) -> None:
    """`/login`, `/logout` and `/password/<token>`."""

    @pages.get("/login")
    @public
    def login() -> AnyResponse:
        if current().user_id is not None:
            return redirect(same_site(request.args.get("next")), 303)
        return asked(people)

    @pages.post("/login")
    @public
    def answer() -> AnyResponse:
        try:
            csrf.check(people)
        except RequestRefused as error:
            return asked(people, error.description or "", 403)
        name, password = request.form.get("name", ""), request.form.get("password", "")
        person, wait = tried(people, name, password)
        if wait:
            response = asked(people, f"Too many attempts. Try again in {seconds(wait)} s.", 429)
            response.retry_after = seconds(wait)
            return response
        if person is None:
            return asked(people, "Incorrect name or password.", 403)
        enter(people, person)
        return redirect(same_site(request.form.get("next")), 303)

    @pages.post("/logout")
    @public
    def logout() -> AnyResponse:
        if current().user_id is not None:
            csrf.check(people)
            with writing(people.engine) as connection:
                logins.end(connection, session[LOGIN])
        session.clear()
        return redirect(url_for("people.login"), 303)

    @pages.get("/password/<token>")
    @public
    def choose(token: str) -> AnyResponse:
        return html(render_template("auth/choose.html", person=_meant(people, token)))

    @pages.post("/password/<token>")
    @public
    def chosen(token: str) -> AnyResponse:
        csrf.check(people)
        person = _meant(people, token)
        try:
            if not users_service.choose_password(people.engine, person, new_password()):
                raise _invalid()
        except Invalid as error:
            page = render_template(
                "auth/choose.html", person=person, **mistake(error, PASSWORD_FIELDS)
            )
            return html(page, 400)
        devices.remember(people, person)
        session.clear()
        flash("Password set. Log in with your new password.")
        return redirect(url_for("people.login"), 303)


def same_site(path: str | None) -> str:
    """The path, if it leads to a page of ours; else the grid's."""
    # Browsers take \\ for / and leave tabs out.
    if not path or not path.startswith("/") or "\\" in path or not path.isprintable():
        return "/"
    parts = urlsplit(path)
    return "/" if parts.scheme or parts.netloc or path.startswith("//") else path


def tried(people: People, name: str, password: str) -> tuple[User | None, int]:
    """(who they are, if the password is theirs; how long to wait before another try in ms)."""
    with reading(people.engine) as connection:
        person = users.find(connection, name)
    mark = devices.mark_of(people, person) if person else None
    if mark is not None:
        return _tried(people, person, password, throttle.device(mark))
    here = throttle.address(address())
    account = throttle.user(person.id) if person else throttle.name(users.key_of(name))
    return _tried(people, person, password, throttle.at(account, here), account, here)


def confirmed(people: People, person: User, password: str) -> tuple[User | None, int]:
    """As `tried`, of a person who is logged in: neither way to try holds up the other."""
    return _tried(people, person, password, throttle.login(session[LOGIN]))


def _tried(
    people: People, person: User | None, password: str, own: Guarded, *others: Guarded
) -> tuple[User | None, int]:
    with writing(people.engine) as connection:
        wait = throttle.begin(connection, [own, *others], people.clock.now())
    if wait:
        return None, wait
    right = passwords.matches(person.password if person else None, password)
    if person is None or not right or not person.active:
        return None, 0
    outdated = person.password is not None and passwords.outdated(person.password)
    hashed = passwords.hashed(password) if outdated else None
    with writing(people.engine) as connection:
        throttle.succeeded(connection, own, others)
        if hashed is not None:
            users.change(connection, person.id, password=hashed)
    return person, 0


def enter(people: People, person: User) -> None:
    """Log the person in, in this browser, with nothing left of what its session was before."""
    devices.remember(people, person)
    now = people.clock.now()
    with writing(people.engine) as connection:
        if isinstance(old := session.get(LOGIN), str):
            logins.end(connection, old)
        secret = logins.start(connection, person.id, now)
        users.logged_in(connection, person.id, now)
    session.clear()
    session.permanent = True
    session[LOGIN] = secret


def new_password() -> str:
    """The form's new password. Raises Invalid when it was not repeated exactly."""
    password = request.form.get("new", "")
    if password != request.form.get("again"):
        raise Invalid("again", "must be the same as the new password")
    return password


def password_link(people: People, person: User) -> str:
    """Where the person may choose a password, once."""
    payload = {"u": person.id, "e": people.clock.now() + LIFETIME, "p": _mark(person)}
    token = people.vault.sign(_PURPOSE, payload)
    return f"{people.base_url.rstrip('/')}/password/{token}"


def _meant(people: People, token: str) -> User:
    payload = people.vault.verify(_PURPOSE, token)
    if payload is None or payload["e"] <= people.clock.now():
        raise _invalid()
    with reading(people.engine) as connection:
        person = users.get(connection, payload["u"])
    if person is None or not person.active or _mark(person) != payload["p"]:
        raise _invalid()
    return person


def _mark(person: User) -> str:
    """Changes with the password, so that a link is of use once."""
    return hashlib.sha256((person.password or "").encode()).hexdigest()[:16]


def _invalid() -> RequestRefused:
    return RequestRefused(
        410, "This link has expired or was used. Ask an administrator for a new one."
    )


def asked(people: People, problem: str = "", status: int = 200) -> Response:
    """The page to log in with, and what was wrong before."""
    wanted = request.values.get("next")
    page = render_template(
        "auth/login.html",
        problem=problem,
        name=request.form.get("name", ""),
        next=same_site(wanted),
        nobody_yet=not people.exist(),
        vouching=people.provider.name if people.provider else None,
    )
    return html(page, status)


def seconds(wait: int) -> int:
    """A wait (ms) in whole seconds."""
    return -(-wait // SECOND)
