"""Valid requests for each rule, as the basis for mutations."""

import html
import json
import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

import requests
from werkzeug.routing import Rule

from monitor.model import HOUR
from tests.fuzz.request import Request
from tests.fuzz.target import CHOOSER, KEPT, LEAVER, REMOVABLE, VICTIM, Target
from tests.web.complete_app import INGEST_TOKEN
from tests.web.visitors import PASSWORD

_PARAMETER = re.compile(r"<(?:any\(([^)]*)\):|\w+:)?(\w+)>")
_MAC = "02:00:00:00:00:0a"
_JSON, _LINES = "application/json", "application/x-ndjson"
_FORM = "application/x-www-form-urlencoded"
_OPEN = ("/acknowledge/", "/badge/", "/public/", "/healthz", "/readyz", "/icon/", "/worker.js")
ENDING = ("/logout", "/account/logout", "/account/password")
"""Rules that end logins; requests to them use a separate user."""
_INGEST_SHARE = 12
"""The weight of the ingest paths among the rules."""

Form = Mapping[str, str | Sequence[str]]


@dataclass(frozen=True)
class Entry:
    """A method of a rule, and the function that makes a request for it."""

    method: str
    rule: str
    make: Callable[[Target, random.Random], Request]

    def __str__(self) -> str:
        return f"{self.method} {self.rule}"


def entries(target: Target) -> Iterator[Entry]:
    """All rules of the URL map, and the ingest paths with their weight."""
    for rule in target.rules:
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            yield Entry(method, rule.rule, _maker(method, rule))
    yield Entry("GET", "/static", _static)
    for _ in range(_INGEST_SHARE):
        yield Entry("POST", "/heartbeat", _heartbeat)
        yield Entry("GET", "/heartbeat", _query_heartbeat)
        yield Entry("POST", "/heartbeats", _batch)


def _static(target: Target, _chance: random.Random) -> Request:
    headers = [("Host", f"127.0.0.1:{target.service.port}")]
    return _request("GET", target.static, "", headers)


def _maker(method: str, rule: Rule) -> Callable[[Target, random.Random], Request]:
    def make(target: Target, chance: random.Random) -> Request:
        path = _path(method, rule.rule, target, chance)
        if rule.rule.startswith("/api/") or rule.rule in ("/sensors", "/metrics"):
            return _of_program(method, rule.rule, path, target, chance)
        return _of_browser(method, rule.rule, path, target, chance)

    return make


def _path(method: str, rule: str, target: Target, chance: random.Random) -> str:
    numbers = {
        "silences": "silence",
        "maintenance": "maintenance",
        "public": "public",
        "users": VICTIM,
        "incidents": "incident",
    }
    kind = next((word for word in rule.split("/") if word in numbers), "")
    removes = method == "DELETE" or rule.endswith("/remove")
    known: dict[str, str] = {
        "mac": _MAC,
        "name": REMOVABLE if "channels" in rule and removes else KEPT,
        "down": str(chance.randrange(20)),
        "token": target.texts["password" if rule.startswith("/password") else "acknowledge"],
        "key": target.texts["public"],
        "signed": target.texts["badge"],
        "number": str(target.numbers.get(numbers.get(kind, ""), 1)),
    }

    def value(found: re.Match[str]) -> str:
        if found[1]:
            options: list[str] = found[1].split(",")
            return chance.choice(options).strip()
        return known[found[2]]

    return _PARAMETER.sub(value, rule)


def _of_browser(
    method: str, rule: str, path: str, target: Target, chance: random.Random
) -> Request:
    name = "administrator"
    if rule in ("/login", "/password/<token>") or rule.startswith(_OPEN):
        name = ""
    elif rule in ENDING:
        name = LEAVER
    session = target.sessions[name]
    headers = [("Host", f"127.0.0.1:{target.service.port}"), ("Accept", "text/html,*/*;q=0.8")]
    headers.append(("Cookie", session.cookie))
    if method == "GET":
        query = chance.choice(_QUERIES.get(rule, ("",)))
        return _request(method, path, query, headers)
    form = dict(_form(rule, target, chance))
    form["csrf_token"] = session.csrf
    headers += [("Content-Type", _FORM), ("Origin", target.service.url)]
    return _request(method, path, "", headers, urlencode(form, doseq=True).encode())


def _of_program(
    method: str, rule: str, path: str, target: Target, chance: random.Random
) -> Request:
    headers = [
        ("Host", f"127.0.0.1:{target.service.port}"),
        ("Authorization", f"Bearer {target.bearers['administrator']}"),
    ]
    if method == "GET":
        return _request(method, path, chance.choice(_QUERIES.get(rule, ("",))), headers)
    content = _content(method, rule, target, chance)
    if content is None:
        return _request(method, path, "", headers)
    headers.append(("Content-Type", _JSON))
    return _request(method, path, "", headers, json.dumps(content).encode())


def _request(
    method: str, path: str, query: str, headers: Sequence[tuple[str, str]], body: bytes = b""
) -> Request:
    given = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    return Request(
        method.encode(), quote(path, safe="/:.-_~=").encode(), query.encode(), given, body
    )


_QUERIES: Mapping[str, Sequence[str]] = {
    "/": ("", "q=Boiler", "state=down", "at=2026-01-01T00:00:00Z"),
    "/sensors": ("", "since=1.1.1"),
    "/login": ("", "next=/incidents"),
    "/incidents": ("", "state=open", "state=closed&site=Cellar"),
    "/admin/audit": ("", "before=10"),
    "/admin/channels": ("", "kind=webhook", "kind=email", "shown=x"),
    "/admin/maintenance": ("", "state=past"),
    "/admin/silences": ("", "state=upcoming"),
    "/admin/sensors": ("", "q=a&page=1"),
    "/admin/routes": ("", f"mac={_MAC}"),
    "/api/v1/incidents": ("", "state=open&limit=5", f"mac={_MAC}", "before=99"),
    "/api/v1/ledger": ("", f"mac={_MAC}&limit=5", "since=2026-01-01T00:00:00Z"),
    "/api/v1/silences": ("", "state=current"),
    "/api/v1/maintenance": ("", "state=past"),
    "/api/v1/sparklines": (f"macs={_MAC}&hours=24",),
    "/api/v1/sensors/<mac>/history": ("", "points=50&metrics=battery"),
    "/api/v1/sensors/<mac>/heartbeats": ("", "limit=10"),
}


def _form(rule: str, target: Target, chance: random.Random) -> Form:
    some = f"f{chance.randrange(10**6)}"
    if rule == "/admin/sensors/import/confirm":
        return _previewed(target, some)
    number = str(target.numbers["incident"])
    channel = {"kind": "webhook", "settings.url": "http://127.0.0.1:9/x", "enabled": "yes"}
    forms: Mapping[str, Form] = {
        "/login": {"name": "viewer", "password": PASSWORD, "next": "/"},
        "/account/password": {"old": PASSWORD, "new": PASSWORD + some, "again": PASSWORD + some},
        "/password/<token>": {"new": f"{CHOOSER[:3]} {some} horse", "again": f"cho {some} horse"},
        "/acknowledge/<token>": {"answer": chance.choice(("acknowledge", "silence"))},
        "/admin/channels": {**channel, "name": some, "budget": ""},
        "/admin/channels/<name>": {**channel, "budget": "9"},
        "/admin/maintenance": {
            "zone": "UTC",
            "name": some,
            "matchers": "site=Cellar",
            "repeats": "WEEKLY",
            "start": "2027-01-01T01:00",
            "stop": "2027-01-01T02:00",
            "day": ["FR", "SU"],
        },
        "/admin/public": {"title": some, "all": "yes", "names": "yes"},
        "/admin/public/<int:number>": {"title": some, "all": "yes"},
        "/admin/routes": {"name": some, "matchers": "site=Cellar", "channel": "x"},
        "/admin/routes/<name>": {
            "name": "x",
            "matchers": "site=Cellar",
            "channel": "x",
        },
        "/admin/sensors": {"action": "label", "value": f"{some}=1", "mac": [_MAC]},
        "/admin/sensors/import": {"text": f"mac_address,name\n{_MAC},{some}\n"},
        "/admin/silences": {"matchers": "site=Cellar", "comment": some, "lasts": str(2 * HOUR)},
        "/admin/tokens": {"name": some, "role": "viewer"},
        "/admin/tokens/revoke": {"name": "x", "sure": "yes"},
        "/admin/users": {"name": some, "email": f"{some}@example.org", "role": "viewer"},
        "/admin/users/<int:number>": {"role": "viewer", "email": f"{some}@example.org"},
        "/incidents/acknowledge": {"id": [number], "page": number},
        "/incidents/silence": {"id": [number], "lasts": str(HOUR), "comment": some},
        "/sensors/<mac>/edit": {
            "name": some,
            "site": "Cellar",
            "threshold": "1200",
            "labels": "floor=1",
        },
    }
    return forms.get(rule, {"sure": "yes"})


def _previewed(target: Target, some: str) -> Form:
    """The form that confirms an import."""
    session = target.sessions["administrator"]
    page = requests.post(
        f"{target.service.url}/admin/sensors/import",
        {"csrf_token": session.csrf, "text": f"mac_address,name\n{_MAC},{some}\n"},
        headers={"Cookie": session.cookie, "Accept": "text/html"},
        timeout=30,
    ).text
    found = re.findall(r'name="(packed|mark)" value="([^"]*)"', page)
    return {name: html.unescape(value) for name, value in found}


def _content(method: str, rule: str, target: Target, chance: random.Random) -> Any:
    some = f"f{chance.randrange(10**6)}"
    settings = {"url": "http://127.0.0.1:9/x"}
    route = {"matchers": ["site=Cellar"], "channels": ["x"]}
    contents: Mapping[tuple[str, str], Any] = {
        ("POST", "/channels"): {"name": some, "kind": "webhook", "settings": settings},
        ("PATCH", "/channels/<name>"): {"settings": settings, "enabled": True, "budget": 5},
        ("POST", "/incidents/acknowledge"): {"ids": [target.numbers["incident"]]},
        ("POST", "/maintenance"): {
            "name": some,
            "matchers": ["site=Cellar"],
            "zone": "UTC",
            "start": "2027-01-01T01:00",
            "stop": "2027-01-01T02:00",
            "recurrence": "FREQ=DAILY",
        },
        ("POST", "/routes"): {**route, "name": some},
        ("PUT", "/routes"): {"order": _order(target)}
        if (method, rule[7:]) == ("PUT", "/routes")
        else None,
        ("PUT", "/routes/<name>"): {**route, "escalate_to": ["x"], "escalate_after_seconds": 60},
        ("POST", "/silences"): {
            "matchers": ["site=Cellar"],
            "comment": some,
            "duration_seconds": 600,
        },
        ("POST", "/webpush/subscriptions"): target.browser,
        ("DELETE", "/webpush/subscriptions"): {"endpoint": target.browser["endpoint"]},
    }
    return contents.get((method, rule.removeprefix("/api/v1")))


def _order(target: Target) -> list[str]:
    answer = requests.get(
        f"{target.service.url}/api/v1/routes",
        headers={"Authorization": f"Bearer {target.bearers['administrator']}"},
        timeout=30,
    )
    return [route["name"] for route in answer.json()["routes"]]


def _ingest_headers(target: Target) -> list[tuple[str, str]]:
    return [
        ("Host", f"127.0.0.1:{target.service.port}"),
        ("Authorization", f"Bearer {INGEST_TOKEN}"),
    ]


def _beat(chance: random.Random) -> dict[str, Any]:
    """A heartbeat, never of the sensor that is down."""
    return {"mac_address": f"02:00:00:00:01:{chance.randrange(200):02x}", "battery": 3.1}


def _heartbeat(target: Target, chance: random.Random) -> Request:
    headers = [*_ingest_headers(target), ("Content-Type", _JSON)]
    return _request("POST", "/heartbeat", "", headers, json.dumps(_beat(chance)).encode())


def _query_heartbeat(target: Target, chance: random.Random) -> Request:
    return _request("GET", "/heartbeat", urlencode(_beat(chance)), _ingest_headers(target))


def _batch(target: Target, chance: random.Random) -> Request:
    rows = [json.dumps(_beat(chance)) for _ in range(chance.randrange(1, 9))]
    kind = chance.choice((_JSON, _LINES))
    body = "\n".join(rows) if kind == _LINES else f"[{','.join(rows)}]"
    headers = [*_ingest_headers(target), ("Content-Type", kind)]
    return _request("POST", "/heartbeats", "", headers, body.encode())
