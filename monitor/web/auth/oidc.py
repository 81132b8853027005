"""Logging in where an OpenID Connect provider vouches for people (code flow with PKCE)."""

import logging
from collections.abc import Mapping
from typing import Any

from authlib.common.errors import AuthlibBaseError
from authlib.integrations.flask_client import OAuth
from flask import Blueprint, Flask, redirect, request, session
from joserfc.errors import JoseError
from requests import RequestException
from sqlalchemy import Connection
from werkzeug.wrappers import Response as AnyResponse

from monitor.state import audit, horizon, users
from monitor.state.database import writing
from monitor.state.users import InvalidUser, LastAdministrator, User
from monitor.web.auth.access import public
from monitor.web.auth.login import asked, enter, same_site
from monitor.web.auth.people import People
from monitor.web.auth.provider import NotWelcome, Provider, email_of

logger = logging.getLogger(__name__)

_NEXT = "next"
_PATIENCE = 5  # seconds
_SIGNATURES = {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"}
_NO_ANSWER = (RequestException, ValueError, RecursionError)
_AWAY = "The login provider can't be reached right now, or sent an invalid answer."


def add_to(pages: Blueprint, app: Flask, people: People, provider: Provider) -> None:
    """`/login/provider`, and `/login/provider/answer` where it sends people back to."""
    client = OAuth(app).register(
        "provider",
        client_id=provider.client_id,
        client_secret=provider.client_secret,
        server_metadata_url=f"{provider.issuer.rstrip('/')}/.well-known/openid-configuration",
        client_kwargs={
            "scope": "openid profile email",
            "code_challenge_method": "S256",
            "default_timeout": _PATIENCE,
        },
    )

    def check_metadata() -> None:
        """Raises ValueError."""
        found = client.load_server_metadata()
        if found.get("issuer") != provider.issuer:
            raise ValueError(f"{provider.issuer} calls itself {found.get('issuer')}")
        algorithms = found.get("id_token_signing_alg_values_supported", ["RS256"])
        found["id_token_signing_alg_values_supported"] = sorted(
            _SIGNATURES.intersection(algorithms)
        )

    @pages.get("/login/provider")
    @public
    def to_provider() -> AnyResponse:
        session[_NEXT] = same_site(request.args.get("next"))
        try:
            check_metadata()
            back = f"{people.base_url.rstrip('/')}/login/provider/answer"
            response: AnyResponse = client.authorize_redirect(back)
        except (AuthlibBaseError, *_NO_ANSWER) as error:
            return away(error)
        return response

    @pages.get("/login/provider/answer")
    @public
    def answered() -> AnyResponse:
        try:
            check_metadata()
            claims = client.authorize_access_token().get("userinfo")
            if not claims:
                raise ValueError("no identity token")
        except (AuthlibBaseError, JoseError, *_NO_ANSWER) as error:
            return away(error)
        try:
            with writing(people.engine) as connection:
                person = _welcomed(connection, provider, claims, people.clock.now())
        except NotWelcome as error:
            return asked(people, str(error), 403)
        wanted = session.get(_NEXT)
        enter(people, person)
        return redirect(same_site(wanted), 303)

    def away(error: Exception) -> AnyResponse:
        logger.warning("login by %s failed: %s: %s", provider.issuer, type(error).__name__, error)
        return asked(people, _AWAY, 503)


def _welcomed(
    connection: Connection, provider: Provider, claims: Mapping[str, Any], now: int
) -> User:
    """The person, with the role of their groups. Raises NotWelcome."""
    role, subject = provider.role(claims), f"{provider.issuer} {claims['sub']}"
    known = users.vouched_for(connection, subject)
    if known is None:
        horizon.lock(connection)  # the same person may log in twice at the same moment
        known = users.vouched_for(connection, subject)
    if known is None:
        number = _added(connection, role, subject, claims, now)
    elif not known.active:
        raise NotWelcome("Your account is deactivated. Ask an administrator.")
    else:
        number = known.id
        if known.role != role:
            _change_role(connection, known, role)
    person = users.get(connection, number)
    if person is None:
        raise LookupError(number)
    return person


def _change_role(connection: Connection, known: User, role: str) -> None:
    try:
        users.change(connection, known.id, role=role)
    except LastAdministrator:
        return  # an administrator must remain
    detail = {"role": {"from": known.role, "to": role}}
    audit.record(connection, known.subject or known.name, "user changed", known.name, detail)


def _added(
    connection: Connection, role: str, subject: str, claims: Mapping[str, Any], now: int
) -> int:
    """Always a new user: the same name or address does not prove that an existing user is meant."""
    email = email_of(claims) or None
    if email and users.find(connection, email):
        email = None
    wanted = claims.get("name") or claims.get("preferred_username") or "user"
    name = "".join(letter for letter in str(wanted) if letter.isprintable() and letter != "@")
    for number in range(1, 100):
        free = f"{name[:70].strip() or 'user'}{f' {number}' if number > 1 else ''}"
        if users.find(connection, free) is None:
            break
    try:
        made = users.add(connection, free, role, now, email=email, subject=subject)
    except InvalidUser as error:
        raise NotWelcome(f"Your {error.field} can't be used here: {error}.") from error
    audit.record(connection, subject, "user added", free, {"role": role, "email": email})
    return made
