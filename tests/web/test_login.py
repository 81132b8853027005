"""Login, logout and refused requests."""

import time

import pytest
from flask import Flask
from sqlalchemy import Engine, update

from monitor.clock import Clock
from monitor.model import SECOND
from monitor.state import logins, throttle, tokens, users
from monitor.state.access_tables import user
from monitor.state.database import open_state, reading, writing
from monitor.web.auth.login import same_site
from monitor.web.auth.password_links import LIFETIME
from tests.states import state, state_url
from tests.web.contexts import BASE
from tests.web.visitors import BROWSER, PASSWORD, Visitor, add_user, build_app, logged_in

__all__ = ["state", "state_url"]


ANNA = {"name": "Anna", "password": PASSWORD}


class SettableClock(Clock):
    """A clock that a test sets."""

    def __init__(self) -> None:
        super().__init__()
        self.time = 1_800_000_000_000

    def now(self) -> int:
        return self.time


@pytest.fixture
def clock() -> SettableClock:
    return SettableClock()


@pytest.fixture
def app(state: Engine, clock: SettableClock) -> Flask:
    add_user(state, "Anna", "operator", email="anna@example.org")
    return build_app(state, clock)


def test_login_by_name_or_email_returns_to_the_requested_page(app: Flask) -> None:
    visitor = Visitor(app)
    asked = visitor.get("/unmarked?site=Hall&x=1")
    assert asked.status_code == 303
    assert asked.location == "/login?next=/unmarked?site%3DHall%26x%3D1"
    form = visitor.get(asked.location)
    assert 'name="next" value="/unmarked?site=Hall&amp;x=1"' in form.text
    answer = visitor.login("ANNA@example.org", next="/unmarked?site=Hall&x=1")
    assert (answer.status_code, answer.location) == (303, "/unmarked?site=Hall&x=1")
    assert visitor.is_logged_in()
    again = visitor.get("/login?next=/unmarked")
    assert (again.status_code, again.location) == (303, "/unmarked")
    assert visitor.get("/account").headers["Cache-Control"] == "no-store"


def test_wrong_password_and_unknown_user_give_the_same_error(app: Flask, state: Engine) -> None:
    inactive = add_user(state, "Gone")
    with writing(state) as connection:
        users.change(connection, inactive, active=False)
    add_user(state, "Fresh", password=None)
    errors = set()
    for name in ("Anna", "Nobody", "Gone", "Fresh", ""):
        answer = Visitor(app).login(name, PASSWORD + ("!" if name == "Anna" else ""))
        assert answer.status_code == 403
        errors.add(answer.text[answer.text.index("problem") :].partition("</p>")[0])
    assert len(errors) == 1


def test_wrong_password_takes_as_long_as_an_unknown_name(app: Flask) -> None:
    def spent(name: str) -> float:
        times = []
        for number in range(3):
            visitor = Visitor(app, f"192.0.2.{number + 1}")
            token = visitor.token()
            began = time.process_time()
            form = {"name": name, "password": "wrong", "csrf_token": token}
            visitor.client.post("/login", data=form, base_url=BASE)
            times.append(time.process_time() - began)
        return min(times)

    spent("warm up")
    assert spent("Nobody") > 0.5 * spent("Anna")


def test_cookies_are_not_accessible_to_scripts_and_other_sites(state: Engine) -> None:
    add_user(state, "Anna")

    plain = Visitor(build_app(state))
    cookies = plain.login("Anna").headers.getlist("Set-Cookie")
    assert {cookie.partition("=")[0] for cookie in cookies} == {"monitor", "monitor-device"}
    for cookie in cookies:
        for part in ("HttpOnly", "SameSite=Lax", "Path=/", "Expires="):
            assert part in cookie
        assert "Secure" not in cookie
        assert "Domain" not in cookie
    base = "https://monitor.example"
    secure = Visitor(build_app(state, base_url=base), base=base)
    for cookie in secure.login("Anna").headers.getlist("Set-Cookie"):
        assert cookie.startswith(("__Host-monitor=", "__Host-monitor-device="))
        assert "Secure" in cookie
        assert "Path=/" in cookie


def test_login_replaces_the_session_and_the_csrf_token(app: Flask) -> None:
    visitor, other = Visitor(app), Visitor(app)
    token = visitor.token()
    before = visitor.client.get_cookie("monitor")
    assert before is not None
    visitor.login("Anna")
    after = visitor.client.get_cookie("monitor")
    assert after is not None
    assert after.value != before.value
    other.client.set_cookie("monitor", before.value)
    assert not other.is_logged_in()
    form = {"csrf_token": token}
    refused = visitor.client.post("/account/logout", data=form, headers=BROWSER, base_url=BASE)
    assert refused.status_code == 403
    assert visitor.is_logged_in()


def test_new_login_in_the_same_browser_ends_the_old_one(app: Flask) -> None:
    visitor, attacker = logged_in(app, "Anna"), Visitor(app)
    old = visitor.client.get_cookie("monitor")
    assert old is not None
    with visitor.client.session_transaction(base_url=BASE) as session:
        secret = session["login"]
    form = {"name": "Anna", "password": PASSWORD, "csrf_token": visitor.token("/account")}
    visitor.client.post("/login", data=form, base_url=BASE)
    with visitor.client.session_transaction(base_url=BASE) as session:
        assert session["login"] != secret
    attacker.client.set_cookie("monitor", old.value)
    assert not attacker.is_logged_in()


def test_logout_invalidates_copies_of_the_cookie(app: Flask) -> None:
    visitor, attacker = logged_in(app, "Anna"), Visitor(app)
    cookie = visitor.client.get_cookie("monitor")
    assert cookie is not None
    attacker.client.set_cookie("monitor", cookie.value)
    assert attacker.is_logged_in()
    assert visitor.get("/logout").status_code == 405
    assert visitor.client.post("/logout", headers=BROWSER, base_url=BASE).status_code == 403
    assert visitor.post("/logout").location == "/login"
    assert not visitor.is_logged_in()
    assert not attacker.is_logged_in()


def test_login_expires_when_idle_and_after_two_weeks(app: Flask, clock: SettableClock) -> None:
    idle, busy = logged_in(app, "Anna"), logged_in(app, "Anna")
    ends = clock.time + logins.LONGEST
    clock.time += logins.IDLE - 1
    assert busy.is_logged_in()
    clock.time += 1
    assert not idle.is_logged_in()
    while clock.time + logins.IDLE // 2 < ends:
        assert busy.is_logged_in()
        clock.time += logins.IDLE // 2
    clock.time = ends
    assert not busy.is_logged_in()


def test_deactivation_and_new_role_apply_at_once(app: Flask, state: Engine) -> None:
    visitor = logged_in(app, "Anna")
    assert visitor.post("/api/v1/thing/change").text == "Anna"
    with writing(state) as connection:
        person = users.find(connection, "Anna")
        assert person
        users.change(connection, person.id, role="viewer")
    assert visitor.post("/api/v1/thing/change").status_code == 403
    with writing(state) as connection:
        users.change(connection, person.id, active=False)
    assert not visitor.is_logged_in()
    with writing(state) as connection:
        users.change(connection, person.id, active=True)
    assert not visitor.is_logged_in()


def test_failed_logins_are_throttled_across_workers(state: Engine, clock: SettableClock) -> None:
    add_user(state, "Anna")
    second = open_state(state.url.render_as_string(hide_password=False))
    workers = [build_app(state, clock), build_app(second, clock)]
    visitors = [Visitor(worker) for worker in workers]
    for number in range(3):
        assert visitors[number % 2].login("Anna", "wrong").status_code == 403
    slowed = visitors[1].login("Anna", PASSWORD)
    assert slowed.status_code == 429
    assert slowed.headers["Retry-After"] == "1"
    assert "Try again in 1 s" in slowed.text
    assert visitors[0].login("anna@nowhere").status_code == 403
    clock.time += SECOND
    assert visitors[0].login("Anna", "wrong").status_code == 403
    clock.time += SECOND
    assert visitors[1].login("Anna", PASSWORD).headers["Retry-After"] == "1"
    clock.time += SECOND
    assert visitors[1].login("Anna", PASSWORD).status_code == 303
    second.dispose()


def test_unknown_user_is_throttled_like_a_known_one(app: Flask) -> None:
    for name in ("Anna", "Nobody"):
        answers = [Visitor(app).login(name, "wrong").status_code for _ in range(4)]
        assert answers == [403, 403, 403, 429]


def test_failed_logins_of_one_address_are_throttled_for_all_names(
    state: Engine, clock: SettableClock
) -> None:
    app = build_app(state, clock, proxies=1)
    add_user(state, "Anna")

    def tried(address: str, name: str) -> int:
        visitor = Visitor(app, "127.0.0.1")
        form = {"name": name, "password": PASSWORD, "csrf_token": visitor.token()}
        forwarded = {"X-Forwarded-For": f"6.6.6.6, {address}", **BROWSER}
        answer = visitor.client.post("/login", data=form, headers=forwarded, base_url=BASE)
        return answer.status_code

    for number in range(throttle.address("").free):
        assert tried(f"2001:db8::{number}", f"nobody {number}") == 403
    assert tried("2001:db8::ffff", "Anna") == 429
    assert tried("2001:db8:0:1::", "Anna") == 303
    assert tried("198.51.100.7", "Anna") == 303


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:81"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_cross_site_form_is_refused_even_with_the_csrf_token(
    app: Flask, headers: dict[str, str]
) -> None:
    visitor = logged_in(app, "Anna")
    for path in ("/account/logout", "/api/v1/thing/change", "/logout", "/login"):
        assert visitor.post(path, headers={**BROWSER, **headers}).status_code == 403
    assert visitor.is_logged_in()
    ours = {**BROWSER, "Origin": BASE, "Sec-Fetch-Site": "same-origin"}
    assert visitor.post("/api/v1/thing/change", headers=ours).status_code == 200


def test_form_without_the_csrf_token_is_refused(app: Flask) -> None:
    visitor, other = logged_in(app, "Anna"), logged_in(app, "Anna")
    token = visitor.token("/account")
    for form in (
        {},
        {"csrf_token": ""},
        {"csrf_token": "x"},
        {"csrf_token": other.token("/account")},
    ):
        answer = visitor.client.post("/api/v1/thing/change", data=form, base_url=BASE)
        assert answer.status_code == 403
    in_address = f"/api/v1/thing/change?csrf_token={token}"
    assert visitor.client.post(in_address, base_url=BASE).status_code == 403
    headers = {"X-CSRF-Token": token}
    sent = visitor.client.post("/api/v1/thing/change", json={}, headers=headers, base_url=BASE)
    assert (sent.status_code, sent.text) == (200, "Anna")


def test_login_form_without_the_csrf_token_is_shown_again(app: Flask) -> None:
    form = {"name": "Anna", "password": PASSWORD}
    answer = Visitor(app).client.post("/login", data=form, headers=BROWSER, base_url=BASE)
    assert answer.status_code == 403
    assert 'name="csrf_token"' in answer.text
    assert 'value="Anna"' in answer.text
    assert PASSWORD not in answer.text


@pytest.mark.parametrize(
    "path",
    [
        "//evil.example",
        "https://evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "/\t/evil.example",
        "/\n/evil.example",
        "///evil.example",
        "javascript:alert(1)",
        "evil.example",
        "http:evil.example",
        "http:///evil.example",
        "",
        None,
    ],
)
def test_login_does_not_redirect_to_another_site(app: Flask, path: str | None) -> None:
    assert same_site(path) == "/"
    visitor = Visitor(app)
    assert visitor.login("Anna", next=path or "").location == "/"


def test_viewer_gets_403_with_the_reason(app: Flask, state: Engine) -> None:
    add_user(state, "Bert")
    visitor = logged_in(app, "Bert")
    assert visitor.get("/api/v1/thing").text == "Bert"
    refused = visitor.post("/api/v1/thing/change")
    assert refused.status_code == 403
    assert (
        "has the role viewer, but this requires the role operator"
        in refused.get_json(force=True)["detail"]
    )
    page = visitor.get("/admin/users")
    assert page.status_code == 403
    assert page.content_type.startswith("text/html")
    assert "Administration" not in page.text


def test_program_without_a_login_gets_401_instead_of_a_redirect(app: Flask, state: Engine) -> None:
    client = app.test_client()
    for path in ("/sensors", "/unmarked", "/api/v1/thing"):
        answer = client.get(path, headers={} if path == "/unmarked" else BROWSER)
        assert answer.status_code == 401, path
        assert answer.content_type == "application/problem+json"
    with writing(state) as connection:
        viewer = tokens.create(connection, "scraper", 0, "viewer")
        ingest = tokens.create(connection, "roof", 0)
    assert client.get("/unmarked", headers={"Authorization": f"Bearer {viewer}"}).status_code == 200
    assert client.get("/unmarked", headers={"Authorization": f"Bearer {ingest}"}).status_code == 403
    assert client.get("/unmarked", headers={"Authorization": "Bearer hbm_x"}).status_code == 401


def test_bearer_token_needs_no_csrf_token_and_basic_credentials_are_ignored(
    app: Flask, state: Engine
) -> None:
    with writing(state) as connection:
        secret = tokens.create(connection, "night", 0, "operator")
    headers = {"Authorization": f"Bearer {secret}", "Origin": "https://evil.example"}
    assert app.test_client().post("/api/v1/thing/change", headers=headers).text == "night"
    visitor = logged_in(app, "Anna")
    assert visitor.get("/api/v1/thing", headers={"Authorization": "Basic aGI6aGI="}).text == "Anna"


def test_health_endpoints_need_no_login(app: Flask) -> None:
    client = app.test_client()
    for path in ("/healthz", "/readyz", "/icon/0.svg", "/worker.js"):
        assert client.get(path).status_code == 200, path
    assert client.get("/nowhere").status_code == 404


def test_without_users_local_requests_can_read_but_not_change(state: Engine) -> None:
    local, public = build_app(state, local=True), build_app(state)
    assert Visitor(local).is_logged_in()
    assert Visitor(local).get("/api/v1/thing").status_code == 200
    assert "monitor createsuperuser" in Visitor(local).get("/nowhere").text
    assert "Incidents" not in Visitor(public).get("/nowhere").text
    for app in (local, public):
        assert app.test_client().post("/api/v1/thing").status_code == 401
    asked = Visitor(public).get("/unmarked")
    assert asked.status_code == 303
    assert "monitor createsuperuser" in Visitor(public).get(asked.location).text
    add_user(state, "Anna")
    assert not Visitor(local).is_logged_in()
    with writing(state) as connection:
        connection.execute(update(user).values(active=False))
    assert not Visitor(local).is_logged_in()


def test_unavailable_state_returns_503(tmp_path: object) -> None:
    app = build_app(open_state(f"sqlite:///{tmp_path}/never-migrated.db"), local=True)
    page = Visitor(app).get("/unmarked")
    assert page.status_code == 503
    assert "state database" in page.text
    assert page.headers["Retry-After"]


def test_password_link_works_once(app: Flask, state: Engine) -> None:
    add_user(state, "Root", "administrator")
    root = logged_in(app, "Root")
    page = root.post("/admin/users", {"name": "Zoë", "role": "operator"})
    assert page.status_code == 200
    path = page.text.partition(BASE)[2].partition("<")[0]
    assert path.startswith("/password/")
    visitor = Visitor(app)
    form = visitor.get(path)
    assert "For Zoë" in form.text
    assert form.headers["Cache-Control"] == "no-store"

    def chosen(new: str, again: str | None = None) -> int:
        given = {"new": new, "again": new if again is None else again}
        return visitor.post(path, given, path).status_code

    assert chosen("short") == 400
    assert chosen(PASSWORD, PASSWORD + "!") == 400
    assert chosen("aaaaaaaaaaaaaaaaaaa") == 400
    assert chosen(PASSWORD) == 303
    assert visitor.get(path).status_code == 410
    assert visitor.login("zoë").status_code == 303


def test_password_link_expires_and_cannot_be_forged(
    app: Flask, state: Engine, clock: SettableClock
) -> None:
    add_user(state, "Root", "administrator")
    root = logged_in(app, "Root")
    with reading(state) as connection:
        anna = users.find(connection, "Anna")
    assert anna
    page = root.post(f"/admin/users/{anna.id}/link").text
    path = page.partition(BASE)[2].partition("<")[0]
    assert Visitor(app).get(path).status_code == 200
    assert Visitor(app).get(path[:-1] + ("A" if path[-1] != "A" else "B")).status_code == 410
    clock.time += LIFETIME
    assert Visitor(app).get(path).status_code == 410


@pytest.mark.parametrize("origin", ["http://heartbeats.example", "http://localhost", None])
def test_login_over_http_names_the_address_that_works(state: Engine, origin: str | None) -> None:
    app = build_app(state, base_url="https://heartbeats.example")
    visitor = without_cookies(app)
    headers = {**BROWSER, "Origin": origin} if origin else BROWSER
    answer = visitor.post("/login", ANNA, "/login", headers=headers)
    assert answer.status_code == 403
    error = "You opened this page over http, but logins work over https only. "
    assert f"{error}Open https://heartbeats.example instead." in answer.text
    assert "expired" not in answer.text


def test_login_through_a_proxy_without_https_headers_does_not_blame_http(state: Engine) -> None:
    app = build_app(state, base_url="https://heartbeats.example")
    headers = {**BROWSER, "Origin": "https://heartbeats.example"}
    answer = without_cookies(app).post("/login", ANNA, "/login", headers=headers)
    assert answer.status_code == 403
    assert "This page has expired" in answer.text


def without_cookies(app: Flask) -> Visitor:
    """A visitor by http, where a browser keeps no cookie that is for https only."""
    visitor = Visitor(app)
    visitor.client = app.test_client(use_cookies=False)
    return visitor
