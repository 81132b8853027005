"""Channels, routes and tokens in a real browser: light, dark, on a phone, without a script."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from monitor.state import channels, tokens
from monitor.state.channels import Stored
from monitor.state.database import reading, writing
from monitor.state.routes import add as add_route
from monitor.state.routing import RouteRow
from monitor.vault import Vault
from tests.receiver import Receiver, receiver
from tests.web.browser import errors_of
from tests.web.browser_pages import check_page, log_in, serving_with_login
from tests.web.fleet_rig import Rig, Server
from tests.web.operator_app import NASTY
from tests.web.visitors import add_user

VAULT = Vault("k" * 32)
LONG = "a-channel-called-as-long-as-can-be-" + "o" * 45
SECRET = "confidential"


@pytest.fixture
def hook() -> Iterator[Receiver]:
    with receiver() as listening:
        yield listening


@pytest.fixture
def served(rig: Rig) -> Iterator[Server]:
    """Some channels and routes, a token, and the administrator Ada."""
    with writing(rig.engine) as connection:
        for name, enabled in (("pager", True), (LONG, False)):
            settings = {"url": f"https://hooks.example.org/{name * 3}"}
            secrets = {"signing_secret": SECRET}
            new = Stored(name, "webhook", settings, secrets, enabled, enabled, 50)
            channels.add(connection, VAULT, new)
        matchers = ["site=Hall A|Hall B", f"name={NASTY}{'o' * 90}"]
        add_route(connection, RouteRow("night", matchers, ["pager", LONG], ["browsers"], 900_000))
        add_route(connection, RouteRow("all", [], ["former"], [], None))
        tokens.create(connection, f"{NASTY} {'o' * 50}", rig.clock.now())
    add_user(rig.engine, "Ada", "administrator")
    with serving_with_login(rig, vault=VAULT) as server:
        yield server


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_pages_are_accessible_and_fit_the_width(
    served: Server, browser: Browser, scheme: str, width: int
) -> None:
    context = browser.new_context(
        color_scheme="dark" if scheme == "dark" else "light",
        viewport={"width": width, "height": 800},
    )
    page = context.new_page()
    page_errors = errors_of(page)
    log_in(page, served.url, "ada", "/admin/channels")
    for name in ("channels?kind=email", "channels?kind=ses", "routes?mac=020000000001", "tokens"):
        page.goto(f"{served.url}/admin/{name}")
        check_page(page, f"{re.sub('[^a-z]+', '-', name)}-{scheme}")
    assert page_errors == []
    page.goto(f"{served.url}/admin/routes")
    adding = page.locator('form[action="/admin/routes"][method="post"]')
    adding.get_by_label("Name").fill("new")
    adding.get_by_label("Sensors").fill(NASTY * 9)
    adding.get_by_role("button", name="Create").click()
    expect(page.get_by_role("alert")).to_contain_text("Sensors:")
    expect(adding.get_by_label("Sensors")).to_have_value(NASTY * 9)
    check_page(page, f"wrong-{scheme}")
    context.close()


def test_channel_is_added_tested_and_routed_without_scripts(
    rig: Rig, served: Server, browser: Browser, hook: Receiver
) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    log_in(page, served.url, "ada", "/admin/channels")
    page.get_by_label("Kind").select_option("webhook")
    page.get_by_role("button", name="Next").click()
    page.get_by_label("Name of the webhook channel").fill("hook")
    adding = page.locator('form[action="/admin/channels"][method="post"]')
    adding.get_by_label("URL").fill(hook.url)
    adding.get_by_label("Signing secret").fill(SECRET)
    adding.get_by_role("button", name="Create").click()
    expect(page.get_by_role("status")).to_contain_text("hook created.")
    assert SECRET not in page.content() + page.url
    page.get_by_role("button", name="Send a test message to hook").click()
    expect(page.get_by_role("status")).to_have_text("hook accepted the test message.")
    assert len(hook.requests) == 1
    hook.status = 410
    page.get_by_role("button", name="Send a test message to hook").click()
    expect(page.get_by_role("alert")).to_contain_text("The test message to hook was not sent:")
    page.goto(f"{served.url}/admin/routes")
    adding = page.locator('form[action="/admin/routes"][method="post"]')
    adding.get_by_label("Name").fill("cellar")
    adding.get_by_label("Sensors").fill("site=Cellar")
    adding.get_by_role("checkbox", name="hook").check()
    adding.get_by_role("button", name="Create").click()
    page.locator("summary", has_text="cellar").click()
    page.get_by_role("button", name="Move up: cellar").click()
    expect(page.get_by_role("status")).to_have_text("Route cellar is number 2 now.")
    expect(page.locator("ol.people > li").nth(1)).to_contain_text("notifies hook")
    context.close()


def test_token_is_shown_once_and_works(rig: Rig, served: Server, page: Page) -> None:
    log_in(page, served.url, "ada", "/admin/tokens")
    page.get_by_label("Name").fill("Roof")
    page.get_by_label("Role").select_option("viewer")
    page.get_by_role("button", name="Create").click()
    secret = page.locator("code.whole").inner_text()
    check_page(page, "made")
    with reading(rig.engine) as connection:
        found = tokens.find(connection, secret)
    assert found is not None
    assert (found.name, found.role) == ("Roof", "viewer")
    page.goto(f"{served.url}/admin/tokens")
    assert secret not in page.content()
    page.locator("summary", has_text="Roof").click()
    page.get_by_label("Refuse requests with Roof").check()
    page.get_by_role("button", name="Revoke").locator("visible=true").click()
    expect(page.get_by_role("status")).to_contain_text("revoked")
    expect(page.locator("summary", has_text="Roof")).to_contain_text("revoked")
