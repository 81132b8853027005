"""Logging in with an OpenID Connect provider (code flow with PKCE)."""

import logging
from collections.abc import Mapping
from typing import Any, NamedTuple

from authlib.common.errors import AuthlibBaseError
from authlib.integrations.flask_client import FlaskOAuth2App, OAuth
from authlib.integrations.requests_client import OAuth2Session
from flask import Flask, current_app, redirect, request, session
from joserfc.errors import JoseError
from requests import RequestException
from werkzeug.wrappers import Response as AnyResponse

from monitor.errors import Conflict, Invalid
from monitor.outgoing.http import Session
from monitor.services import users
from monitor.state.users import User
from monitor.web.auth.access import public
from monitor.web.auth.login import log_in, login_page, same_site
from monitor.web.auth.provider import NotWelcome, Provider, email_of
from monitor.web.context import context
from monitor.web.forms import mistake

logger = logging.getLogger(__name__)

_EXTENSION = "monitor.oidc"
_NEXT = "next"
_PATIENCE = 5  # seconds
_SIGNATURES = {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"}
_NO_ANSWER = (RequestException, ValueError, RecursionError)
_UNAVAILABLE = "The login provider can't be reached right now, or sent an invalid answer."


class _Session(Session, OAuth2Session):  # type: ignore[misc]
    """Authlib's session, with the authorities and the proxy of all outgoing requests."""


class _Client(FlaskOAuth2App):  # type: ignore[misc]
    """Authlib's client, with that session."""

    client_cls = _Session


class _Login(NamedTuple):
    """A provider, and Authlib's client for it."""

    provider: Provider
    client: Any


def add_to(app: Flask, provider: Provider) -> None:
    """Add the views, and the client of the provider that they use."""
    client = OAuth(app).register(
        "provider",
        client_cls=_Client,
        client_id=provider.client_id,
        client_secret=provider.client_secret,
        server_metadata_url=f"{provider.issuer.rstrip('/')}/.well-known/openid-configuration",
        client_kwargs={
            "scope": "openid profile email",
            "code_challenge_method": "S256",
            "default_timeout": _PATIENCE,
        },
    )
    app.extensions[_EXTENSION] = _Login(provider, client)
    # Not on the blueprint: other applications in this process may have no provider.
    app.add_url_rule("/login/provider", "people.to_provider", to_provider)
    app.add_url_rule("/login/provider/answer", "people.answered", answered)


@public
def to_provider() -> AnyResponse:
    """Redirects to the provider."""
    session[_NEXT] = same_site(request.args.get("next"))
    try:
        client = _checked_client()
        back = f"{context().base_url.rstrip('/')}/login/provider/answer"
        response: AnyResponse = client.authorize_redirect(back)
    except (AuthlibBaseError, *_NO_ANSWER) as error:
        return _unavailable(error)
    return response


@public
def answered() -> AnyResponse:
    """The provider redirects back to this view."""
    try:
        claims = _claims(_checked_client())
    except (AuthlibBaseError, JoseError, *_NO_ANSWER) as error:
        return _unavailable(error)
    try:
        user = _user(claims)
    except NotWelcome as error:
        return login_page(str(error), 403)
    wanted = session.get(_NEXT)
    log_in(user)
    return redirect(same_site(wanted), 303)


def _login() -> _Login:
    found: _Login = current_app.extensions[_EXTENSION]
    return found


def _checked_client() -> Any:
    """The client, with the provider's metadata. Raises ValueError if the metadata is not valid."""
    provider, client = _login()
    found = client.load_server_metadata()
    if found.get("issuer") != provider.issuer:
        raise ValueError(f"{provider.issuer} calls itself {found.get('issuer')}")
    algorithms = found.get("id_token_signing_alg_values_supported", ["RS256"])
    found["id_token_signing_alg_values_supported"] = sorted(_SIGNATURES.intersection(algorithms))
    return client


def _claims(client: Any) -> Mapping[str, Any]:
    """What the provider says about the user: in the identity token, and at its userinfo endpoint if
    it has one. Many hand out groups and the email address only there.

    Raises ValueError, and the errors of Authlib, joserfc and Requests.
    """
    token = client.authorize_access_token()
    identity: Mapping[str, Any] | None = token.get("userinfo")
    if not identity:
        raise ValueError("no identity token")
    endpoint = client.server_metadata.get("userinfo_endpoint")
    if not endpoint:
        return identity
    answer = client.get(endpoint, token=token)
    answer.raise_for_status()
    more = answer.json()
    if not isinstance(more, dict):
        raise ValueError("the userinfo endpoint sent no object")
    if more.get("sub") != identity["sub"]:  # OpenID Connect Core 1.0, section 5.3.2
        raise ValueError("the userinfo endpoint answered about another user")
    return {**identity, **more}


def _user(claims: Mapping[str, Any]) -> User:
    """The user who logs in, added if new. Raises NotWelcome."""
    provider = _login().provider
    role, subject = provider.role(claims), f"{provider.issuer} {claims['sub']}"
    name = str(claims.get("name") or claims.get("preferred_username") or "user")
    email, now = email_of(claims) or None, context().clock.now()
    try:
        return users.of_provider(context().engine, subject, role, name, email, now)
    except Invalid as error:
        raise NotWelcome(f"Your {error.field} can't be used here: {error}.") from error
    except Conflict as error:
        raise NotWelcome(mistake(error)["problem"]) from error


def _unavailable(error: Exception) -> AnyResponse:
    issuer, kind = _login().provider.issuer, type(error).__name__
    logger.warning("login with %s failed: %s: %s", issuer, kind, error)
    return login_page(_UNAVAILABLE, 503)
