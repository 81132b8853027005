"""What holds for each address of the whole application, those of the future too."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from werkzeug.routing import Rule

from monitor.state import audit
from monitor.state.database import reading
from tests.moments import ZONES, other_moments
from tests.web.contexts import BASE
from tests.web.visitors import BROWSER, PASSWORD, Visitor, logged_in
from tests.web.whole import NASTY, ROLES, Whole, path_of

FOR_EVERYBODY = {
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
FOR_EVERY_PERSON = {"/account/password", "/account/logout", "/logout"}
ADMINISTRATORS_ALONE = re.compile(r"/admin/(audit|users|channels|routes|tokens|public)")
"""What an operator may not even open."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whole]:
    """Of one module: its tests change nothing in it, which is what they are about."""
    site = Whole(Path(tmp_path_factory.mktemp("whole")), BASE)
    yield site
    site.close()


@pytest.fixture
def unchanged(whole: Whole) -> Iterator[None]:
    """Nothing was written that the audit trail tells of."""
    before = trail(whole)
    yield
    assert trail(whole) == before


def trail(whole: Whole) -> int:
    with reading(whole.engine) as connection:
        return audit.listed(connection, 1)[0].id


def writes(rule: Rule) -> set[str]:
    return (rule.methods or set()) & {"POST", "PUT", "PATCH", "DELETE"}


def refused(
    whole: Whole, visitor: Visitor, rule: Rule, **headers: str
) -> Iterator[tuple[str, int]]:
    for method in writes(rule):
        answer = visitor.client.open(
            path_of(rule), method=method, base_url=BASE, headers={**BROWSER, **headers}
        )
        yield f"{method} {rule.rule}", answer.status_code


def test_who_is_not_logged_in_gets_nothing_but_what_is_for_everybody(
    whole: Whole, unchanged: None
) -> None:
    visitor = Visitor(whole.app)
    let_in = set()
    for rule in whole.rules():
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
            answer = visitor.client.open(path_of(rule), method=method, base_url=BASE)
            if answer.status_code not in (401, 403):
                let_in.add(rule.rule)
    assert let_in <= FOR_EVERYBODY


def test_a_viewer_changes_nothing_but_what_is_their_own(whole: Whole, unchanged: None) -> None:
    visitor = logged_in(whole.app, "viewer")
    token = visitor.token("/account")
    for rule in whole.rules():
        if rule.rule in FOR_EVERYBODY | FOR_EVERY_PERSON or "webpush" in rule.rule:
            continue
        for what, status in refused(whole, visitor, rule, **{"X-CSRF-Token": token}):
            assert status == 403, what


def test_an_operator_does_not_open_what_is_the_administrators(
    whole: Whole, unchanged: None
) -> None:
    visitor = logged_in(whole.app, "operator")
    token = visitor.token("/account")
    found = [rule for rule in whole.rules() if ADMINISTRATORS_ALONE.match(rule.rule)]
    assert found
    for rule in found:
        for what, status in refused(whole, visitor, rule, **{"X-CSRF-Token": token}):
            assert status == 403, what
        if "GET" in (rule.methods or set()):
            assert visitor.get(path_of(rule)).status_code == 403, rule.rule


@pytest.mark.parametrize(
    "elsewhere", [{"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}]
)
def test_nothing_is_changed_by_a_page_from_elsewhere(
    whole: Whole, unchanged: None, elsewhere: dict[str, str]
) -> None:
    visitor = logged_in(whole.app, "administrator")
    token = visitor.token("/account")
    for rule in whole.rules():
        if rule.rule.startswith(("/acknowledge/", "/password/")):
            continue  # their secret is in the address itself
        for what, status in refused(whole, visitor, rule, **{"X-CSRF-Token": token}, **elsewhere):
            assert status == 403, what
    assert visitor.get("/account").status_code == 200


def test_nothing_is_changed_without_the_page_s_own_token(whole: Whole, unchanged: None) -> None:
    visitor = logged_in(whole.app, "administrator")
    for rule in whole.rules():
        if rule.rule.startswith(("/acknowledge/", "/password/", "/login")):
            continue
        for what, status in refused(whole, visitor, rule):
            assert status == 403, what


def test_every_page_is_whole_and_says_names_as_text(whole: Whole, unchanged: None) -> None:
    visitor = logged_in(whole.app, "administrator")
    seen = []
    for rule in whole.rules():
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


def test_every_page_shows_moments_in_one_format_and_one_zone(tmp_path: Path) -> None:
    whole = Whole(tmp_path, BASE, MONITOR_ALERTS_TIME_ZONE="Asia/Tokyo")
    visitor = logged_in(whole.app, "administrator")
    zones: dict[str, set[str]] = {}
    paths = [path_of(rule) for rule in whole.rules() if "GET" in (rule.methods or set())]
    for path in [*paths, "/admin/silences?state=past", "/admin/maintenance?state=current"]:
        answer = visitor.get(path)
        if answer.mimetype == "text/html":
            text = visible(answer.text)
            assert not other_moments(text), path
            zones[path] = set(ZONES.findall(text))
    assert all(len(each) <= 1 for each in zones.values()), zones
    assert zones["/incidents/1"] == zones["/admin/maintenance?state=current"] == {"JST"}
    whole.close()


_HIDDEN = re.compile(r"<(head|code|pre|option|textarea)\b.*?</\1>", re.DOTALL)


def visible(page: str) -> str:
    """The text of a page without examples and what is typed."""
    return re.sub("<[^>]*>", " ", _HIDDEN.sub(" ", page))


def html_of(text: str) -> str:
    return text.replace("<", "&lt;").replace(">", "&gt;")


def test_every_role_logs_in(whole: Whole) -> None:
    for role in ROLES:
        assert Visitor(whole.app).login(role, PASSWORD).status_code == 303
