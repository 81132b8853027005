"""Logging in where an OpenID Connect provider vouches for people (code flow with PKCE)."""

import logging
from collections.abc import Mapping
from typing import Any

from authlib.common.errors import AuthlibBaseError
from authlib.integrations.flask_client import OAuth
from flask import Blueprint, Flask, redirect, request, session
from joserfc.errors import JoseError
from requests import RequestException
from werkzeug.wrappers import Response as AnyResponse

from monitor.errors import Conflict, Invalid
from monitor.services import users
from monitor.state.users import User
from monitor.web.auth.access import public
from monitor.web.auth.login import asked, enter, same_site
from monitor.web.auth.people import People
from monitor.web.auth.provider import NotWelcome, Provider, email_of
from monitor.web.forms import mistake

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
            person = _person(people, provider, claims)
        except NotWelcome as error:
            return asked(people, str(error), 403)
        wanted = session.get(_NEXT)
        enter(people, person)
        return redirect(same_site(wanted), 303)

    def away(error: Exception) -> AnyResponse:
        logger.warning("login by %s failed: %s: %s", provider.issuer, type(error).__name__, error)
        return asked(people, _AWAY, 503)


def _person(people: People, provider: Provider, claims: Mapping[str, Any]) -> User:
    """Who logs in. Raises NotWelcome."""
    role, subject = provider.role(claims), f"{provider.issuer} {claims['sub']}"
    name = str(claims.get("name") or claims.get("preferred_username") or "user")
    email, now = email_of(claims) or None, people.clock.now()
    try:
        return users.of_provider(people.engine, subject, role, name, email, now)
    except Invalid as error:
        raise NotWelcome(f"Your {error.field} can't be used here: {error}.") from error
    except Conflict as error:
        raise NotWelcome(mistake(error)["problem"]) from error
