"""The grid in a real browser: notices, enabled with the bell, one for each incident."""

import json
from collections.abc import Iterator
from functools import partial

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, expect

from monitor.channels.webpush import topic
from monitor.state.incidents import thread
from tests.waiting import eventually
from tests.web.browser import chromium, errors_of
from tests.web.fleet_rig import Rig, Server
from tests.web.grid_page import poll_now, show
from tests.web.notices import RECORD, notices, shown, was_shown
from tests.web.test_grid_silences import silence


@pytest.fixture(scope="module")
def browser(playwright: Playwright) -> Iterator[Browser]:
    with chromium(playwright, with_notices=True) as launched:
        yield launched


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    made = browser.new_context(viewport={"width": 1280, "height": 720})
    made.add_init_script(RECORD)
    yield made
    made.close()


@pytest.fixture
def pages(context: BrowserContext, server: Server) -> Iterator[list[Page]]:
    """Two tabs of one browser in which notices are allowed and enabled."""
    context.grant_permissions(["notifications"])
    opened = [context.new_page() for _ in range(2)]
    page_errors = [errors_of(page) for page in opened]
    # The browser can reach no push service here.
    context.route("**/api/v1/webpush/**", lambda route: route.fulfill(json={}))
    for page in opened:
        show(page, server)
    opened[0].get_by_role("button", name="Notifications").click()
    opened[0].evaluate("navigator.serviceWorker.ready.then(() => null)")
    for page in opened:
        expect(page.get_by_role("button", name="Notifications", pressed=True)).to_be_visible()
    yield opened
    assert page_errors == [[], []]


def poll(rig: Rig, pages: list[Page]) -> None:
    """Let all pages poll now."""
    for page in pages:
        with page.expect_response("**/sensors*"):
            poll_now(rig, page)


def test_permission_is_requested_only_by_a_click_on_the_bell(
    rig: Rig, server: Server, context: BrowserContext
) -> None:
    page = context.new_page()
    page.add_init_script(
        "window.asked = 0;"
        "Notification.requestPermission = async () => { window.asked += 1; return 'denied'; };"
    )
    rig.beat(1)
    show(page, server)
    bell = page.get_by_role("button", name="Notifications")
    expect(bell).to_have_attribute("aria-pressed", "false")
    assert page.evaluate("window.asked") == 0
    assert (
        page.evaluate("navigator.serviceWorker.getRegistrations().then((all) => all.length)") == 0
    )
    bell.click()
    expect(page.get_by_text("Your browser blocks notifications from this page.")).to_be_visible()
    assert page.evaluate("window.asked") == 1
    expect(bell).to_have_attribute("aria-pressed", "false")


def test_two_tabs_show_one_notice_for_an_incident_and_one_for_its_end(
    rig: Rig, pages: list[Page], server: Server
) -> None:
    rig.configure(1, name="Boiler", site="Harbour")
    rig.configure(2, name="Attic")
    rig.beat(1, 2)
    poll(rig, pages)
    opened_at = rig.open_incidents([1])
    poll(rig, pages)
    eventually(lambda: shown(*pages) == ["Boiler is down at Harbour"])
    rig.beat(1)
    rig.close_incident(1)
    poll(rig, pages)
    eventually(
        lambda: shown(*pages) == ["Boiler is down at Harbour", "Boiler is up again at Harbour"]
    )
    (notice,) = notices(pages[0])
    assert notice["title"] == "Boiler is up again at Harbour"
    assert notice["url"] == "/sensors/00:00:00:00:00:01"
    assert notice["tag"] == topic(thread(1, opened_at)), "a push message must replace it"


def test_sensors_already_down_or_silenced_cause_no_notice(
    rig: Rig, server: Server, pages: list[Page]
) -> None:
    rig.configure(1, name="Old trouble")
    rig.configure(2, name="Repaired")
    rig.configure(3, name="Boiler")
    rig.open_incidents([1])
    silence(rig, "name=Repaired")
    for page in pages:
        show(page, server)
    rig.open_incidents([2, 3])
    poll(rig, pages)
    eventually(lambda: shown(*pages) == ["Boiler is down"])
    assert [notice["title"] for notice in notices(pages[1])] == ["Boiler is down"]


def test_many_simultaneous_incidents_cause_one_notice(
    rig: Rig, server: Server, pages: list[Page]
) -> None:
    for mac in range(1, 13):
        rig.configure(mac, name=f"Meter {mac}", site="Harbour")
    poll(rig, pages)
    rig.open_incidents(range(1, 13))
    poll(rig, pages)
    eventually(lambda: shown(*pages) == ["12 sensors are down at Harbour"])
    (notice,) = notices(pages[0])
    assert notice["body"].endswith("and 4 more")
    assert notice["url"] == "/?status=down"


def test_bell_disables_notices_in_every_tab(rig: Rig, server: Server, pages: list[Page]) -> None:
    rig.configure(1, name="Boiler")
    poll(rig, pages)
    pages[1].get_by_role("button", name="Notifications").click()
    for page in pages:
        expect(page.get_by_role("button", name="Notifications", pressed=False)).to_be_visible()
    rig.open_incidents([1])
    poll(rig, pages)
    expect(pages[0].locator("#announcement")).to_have_text("1 down")
    assert notices(pages[0]) == []


def test_push_is_shown_and_replaces_the_notice_with_the_same_tag(
    pages: list[Page], server: Server
) -> None:
    developer = pages[0].context.new_cdp_session(pages[0])
    # A push is lost until the browser, not only the page, regards the worker as activated.
    activated: list[str] = []
    developer.on(
        "ServiceWorker.workerVersionUpdated",
        lambda event: activated.extend(
            one["registrationId"] for one in event["versions"] if one["status"] == "activated"
        ),
    )
    developer.send("ServiceWorker.enable")
    eventually(lambda: bool(pages[0].evaluate("1")) and bool(activated))
    (worker,) = pages[0].context.service_workers
    worker.evaluate(RECORD)
    for title in ("Boiler is silent", "Boiler is still silent"):
        pushed = {"title": title, "body": "since 14:03", "tag": "a", "url": "/sensors/1"}
        developer.send(
            "ServiceWorker.deliverPushMessage",
            {"origin": server.url, "registrationId": activated[0], "data": json.dumps(pushed)},
        )
        eventually(partial(was_shown, worker, title))
        assert notices(pages[0]) == [pushed]


def test_icon_and_title_show_the_number_of_down_sensors(
    rig: Rig, server: Server, page: Page
) -> None:
    rig.configure(1)
    show(page, server)
    icon = page.locator("#icon")
    expect(icon).to_have_attribute("href", "/icon/0.svg")
    rig.open_incidents([1])
    poll_now(rig, page)
    expect(icon).to_have_attribute("href", "/icon/1.svg")
    expect(page).to_have_title("1 down · heartbeat-monitor")
    assert ">1</text>" in page.request.get(server.url + "/icon/1.svg").text()
    assert ">99+</text>" in page.request.get(server.url + "/icon/212.svg").text()
