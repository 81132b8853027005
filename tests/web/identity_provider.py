"""A small OpenID Connect provider on loopback: code flow with PKCE, identity tokens by RS256."""

import base64
import hashlib
import secrets
import time
from typing import Any
from urllib.parse import urlencode

from flask import Flask, Response, jsonify, redirect, request
from joserfc import jwt
from joserfc.jwk import RSAKey

from tests.ports import free_port
from tests.web.fleet_rig import Server

CLIENT = ("monitor", "the client's secret")


class IdentityProvider:
    """Logs in the user that `claims` describes, without a login page."""

    def __init__(self) -> None:
        self.claims: dict[str, Any] = {}
        self.key = self.published = RSAKey.generate_key(2048, {"kid": "1"})
        self.answers: dict[str, Any] = {}
        """Overrides of the metadata."""
        self.more: Any = None
        """The answer of the userinfo endpoint; None: there is no endpoint."""
        port = free_port()
        self.issuer = f"http://127.0.0.1:{port}"
        self._codes: dict[str, dict[str, str]] = {}
        self.server = Server(self._app())
        self.server.port = port

    def _app(self) -> Flask:
        app = Flask(__name__)

        @app.get("/.well-known/openid-configuration")
        def metadata() -> Response:
            return jsonify(
                {
                    "issuer": self.issuer,
                    "authorization_endpoint": f"{self.issuer}/authorize",
                    "token_endpoint": f"{self.issuer}/token",
                    "jwks_uri": f"{self.issuer}/keys",
                    "id_token_signing_alg_values_supported": ["RS256", "none"],
                    **({"userinfo_endpoint": f"{self.issuer}/me"} if self.more else {}),
                    **self.answers,
                }
            )

        @app.get("/authorize")
        def authorize() -> Any:
            asked = request.args.to_dict()
            code = secrets.token_urlsafe()
            self._codes[code] = asked
            given = urlencode({"code": code, "state": asked["state"]})
            return redirect(f"{asked['redirect_uri']}?{given}")

        @app.post("/token")
        def token() -> Any:
            form, given = request.form, request.authorization
            asked = self._codes.pop(form["code"], None)
            digest = hashlib.sha256(form["code_verifier"].encode()).digest()
            challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
            if (
                asked is None
                or given is None
                or (given.username, given.password) != CLIENT
                or asked["code_challenge"] != challenge
                or asked["redirect_uri"] != form["redirect_uri"]
            ):
                return jsonify({"error": "invalid_grant"}), 400
            now = int(time.time())
            claims = {
                "iss": self.issuer,
                "aud": CLIENT[0],
                "iat": now,
                "exp": now + 60,
                "nonce": asked["nonce"],
                **self.claims,
            }
            signed = jwt.encode({"alg": "RS256", "kid": "1"}, claims, self.key)
            return jsonify({"access_token": "x", "token_type": "Bearer", "id_token": signed})

        @app.get("/me")
        def userinfo() -> Any:
            assert request.headers["Authorization"] == "Bearer x"
            return jsonify(self.more)

        @app.get("/keys")
        def keys() -> Response:
            return jsonify({"keys": [self.published.as_dict(private=False)]})

        return app
