"""Rules for every page of the complete application, including new pages."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from werkzeug.routing import Rule

from monitor.state import audit
from monitor.state.database import reading
from tests.time_formats import ZONES, other_formats
from tests.web.complete_app import NASTY, ROLES, CompleteApp, path_of
from tests.web.contexts import BASE
from tests.web.visitors import BROWSER, PASSWORD, Visitor, logged_in

PUBLIC = {
    "/acknowledge/<token>",
    "/badge/<signed>.svg",
    "/healthz",
    "/icon/<int:down>.svg",
    "/login",
    "/logout",
    "/password/<token>",
    "/public/<key>",
    "/public/<key>/now",
    "/readyz",
    "/worker.js",
}
FOR_EVERY_USER = {"/account/password", "/account/logout", "/logout"}
FOR_ADMINISTRATORS = re.compile(r"/admin/(audit|users|channels|routes|tokens|public)")
"""Pages that an operator can't open."""


@pytest.fixture(scope="module")
def complete_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CompleteApp]:
    """Shared by the module, because its tests check that nothing changes."""
    site = CompleteApp(Path(tmp_path_factory.mktemp("whole")), BASE)
    yield site
    site.close()


@pytest.fixture
def unchanged(complete_app: CompleteApp) -> Iterator[None]:
    """Assert that the test writes no audit entry."""
    before = newest_entry(complete_app)
    yield
    assert newest_entry(complete_app) == before


def newest_entry(complete_app: CompleteApp) -> int:
    with reading(complete_app.engine) as connection:
        return audit.listed(connection, 1)[0].id


def writes(rule: Rule) -> set[str]:
    return (rule.methods or set()) & {"POST", "PUT", "PATCH", "DELETE"}


def refused(
    complete_app: CompleteApp, visitor: Visitor, rule: Rule, **headers: str
) -> Iterator[tuple[str, int]]:
    for method in writes(rule):
        answer = visitor.client.open(
            path_of(rule), method=method, base_url=BASE, headers={**BROWSER, **headers}
        )
        yield f"{method} {rule.rule}", answer.status_code


def test_only_public_pages_open_without_a_login(complete_app: CompleteApp, unchanged: None) -> None:
    visitor = Visitor(complete_app.app)
    opened = set()
    for rule in complete_app.rules():
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
            answer = visitor.client.open(path_of(rule), method=method, base_url=BASE)
            if answer.status_code not in (401, 403):
                opened.add(rule.rule)
    assert opened <= PUBLIC


def test_viewer_can_change_only_the_own_account(complete_app: CompleteApp, unchanged: None) -> None:
    visitor = logged_in(complete_app.app, "viewer")
    token = visitor.token("/account")
    for rule in complete_app.rules():
        if rule.rule in PUBLIC | FOR_EVERY_USER or "webpush" in rule.rule:
            continue
        for what, status in refused(complete_app, visitor, rule, **{"X-CSRF-Token": token}):
            assert status == 403, what


def test_operator_cannot_open_administrator_pages(
    complete_app: CompleteApp, unchanged: None
) -> None:
    visitor = logged_in(complete_app.app, "operator")
    token = visitor.token("/account")
    found = [rule for rule in complete_app.rules() if FOR_ADMINISTRATORS.match(rule.rule)]
    assert found
    for rule in found:
        for what, status in refused(complete_app, visitor, rule, **{"X-CSRF-Token": token}):
            assert status == 403, what
        if "GET" in (rule.methods or set()):
            assert visitor.get(path_of(rule)).status_code == 403, rule.rule


@pytest.mark.parametrize(
    "elsewhere", [{"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}]
)
def test_cross_site_requests_are_refused(
    complete_app: CompleteApp, unchanged: None, elsewhere: dict[str, str]
) -> None:
    visitor = logged_in(complete_app.app, "administrator")
    token = visitor.token("/account")
    for rule in complete_app.rules():
        if rule.rule.startswith(("/acknowledge/", "/password/")):
            continue  # the secret is in the path
        for what, status in refused(
            complete_app, visitor, rule, **{"X-CSRF-Token": token}, **elsewhere
        ):
            assert status == 403, what
    assert visitor.get("/account").status_code == 200


def test_requests_without_a_csrf_token_are_refused(
    complete_app: CompleteApp, unchanged: None
) -> None:
    visitor = logged_in(complete_app.app, "administrator")
    for rule in complete_app.rules():
        if rule.rule.startswith(("/acknowledge/", "/password/", "/login")):
            continue
        for what, status in refused(complete_app, visitor, rule):
            assert status == 403, what


def test_every_page_is_complete_and_escapes_names(
    complete_app: CompleteApp, unchanged: None
) -> None:
    visitor = logged_in(complete_app.app, "administrator")
    seen = []
    for rule in complete_app.rules():
        if "GET" not in (rule.methods or set()):
            continue
        answer = visitor.get(path_of(rule))
        assert answer.status_code in (200, 303, 400, 404, 410) or rule.rule == "/readyz", rule.rule
        assert answer.headers["Content-Security-Policy"].startswith("default-src '")
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        if answer.mimetype not in ("text/html", "image/svg+xml"):
            continue
        text = answer.text
        assert "<script>alert" not in text, rule.rule
        if answer.mimetype == "text/html" and answer.status_code == 200:
            seen.append(rule.rule)
            assert re.search(
                r"<title>[^<]+ · heartbeat-monitor</title>|<title>heartbeat-monitor", text
            ), rule.rule
            assert len(re.findall("<h1[ >]", text)) == 1, rule.rule
            assert text.count("<main") == 1, rule.rule
            assert not re.search(r"<script(?![^>]* src=)|<style|\sstyle=|\son[a-z]+=", text), (
                rule.rule
            )
            for form in re.findall(r'<form[^>]*method="post".*?</form>', text, re.DOTALL):
                assert 'name="csrf_token"' in form, rule.rule
    assert len(seen) >= 5
    assert any(html_of(NASTY) in visitor.get(path).text for path in ("/", "/admin/users"))


def test_every_page_shows_times_in_one_format_and_one_zone(tmp_path: Path) -> None:
    complete_app = CompleteApp(tmp_path, BASE, MONITOR_ALERTS_TIME_ZONE="Asia/Tokyo")
    visitor = logged_in(complete_app.app, "administrator")
    zones: dict[str, set[str]] = {}
    paths = [path_of(rule) for rule in complete_app.rules() if "GET" in (rule.methods or set())]
    for path in [*paths, "/admin/silences?state=past", "/admin/maintenance?state=current"]:
        answer = visitor.get(path)
        if answer.mimetype == "text/html":
            text = visible(answer.text)
            assert not other_formats(text), path
            zones[path] = set(ZONES.findall(text))
    assert all(len(each) <= 1 for each in zones.values()), zones
    assert zones["/incidents/1"] == zones["/admin/maintenance?state=current"] == {"JST"}
    complete_app.close()


_HIDDEN = re.compile(r"<(head|code|pre|option|textarea)\b.*?</\1>", re.DOTALL)


def visible(page: str) -> str:
    """The visible text of a page, without examples and form values."""
    return re.sub("<[^>]*>", " ", _HIDDEN.sub(" ", page))


def html_of(text: str) -> str:
    return text.replace("<", "&lt;").replace(">", "&gt;")


def test_every_role_can_log_in(complete_app: CompleteApp) -> None:
    for role in ROLES:
        assert Visitor(complete_app.app).login(role, PASSWORD).status_code == 303
