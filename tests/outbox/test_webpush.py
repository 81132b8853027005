"""From an outage to a browser: enqueued, encrypted, accepted by a push service, decrypted."""

import pytest
from sqlalchemy import Engine

from monitor.channels.webpush import Identity, own_key
from monitor.outbox.catalogue import make_channel
from monitor.outbox.delivery import Delivery
from monitor.state import channels
from monitor.state.channels import BROWSER, Stored
from monitor.state.database import reading, writing
from monitor.vault import Vault
from tests.delivering import delivery
from tests.outages import INTERVAL, NOW, WAIT, Outages
from tests.push import Browser, signed_claims
from tests.receiver import Receiver

CONTACT = "mailto:ops@example.org"
VAULT = Vault("a key of at least thirty-two characters")


@pytest.fixture
def identity(state: Engine) -> Identity:
    return Identity(own_key(state, VAULT), CONTACT)


@pytest.fixture
def browser(state: Engine, hook: Receiver) -> Browser:
    """A browser that subscribed at the push service `hook`."""
    browser = Browser(hook.url)
    secrets = {**browser.subscription._asdict(), "key": own_key(state, VAULT)}
    with writing(state) as connection:
        new = Stored(browser.subscription.channel, BROWSER, {"contact": CONTACT}, secrets)
        channels.add(connection, VAULT, new)
    return browser


def notifier(state: Engine) -> Delivery:
    """A notifier with the channels in the state."""
    with reading(state) as connection:
        found = channels.load(connection, VAULT)
    return delivery(state, [make_channel(each, allow_internal=True) for each in found])


def test_subscribed_browser_receives_down_and_recovered(
    state: Engine, hook: Receiver, browser: Browser, identity: Identity
) -> None:
    hook.status = 201
    outages = Outages(state, [browser.subscription.channel])
    outages.sensors(1, name="Boiler")
    outages.down(1)
    notifier(state).deliver_once(NOW + WAIT)
    outages.up(1, now=NOW + INTERVAL)
    notifier(state).deliver_once(NOW + INTERVAL + WAIT)
    down, recovered = (browser.read(request) for request in hook.requests)
    assert down["title"] == "Boiler at Site X silent since 2026-11-23 00:52:00 UTC"
    assert recovered["title"].startswith("Recovered: Boiler at Site X")
    assert down["tag"] == recovered["tag"]
    for request in hook.requests:
        assert signed_claims(request, identity.public_key)["sub"] == CONTACT
    assert [row[:2] for row in outages.ledger()] == [("down", "sent"), ("recovered", "sent")]


@pytest.mark.parametrize("status", [404, 410])
def test_subscription_unknown_to_its_push_service_is_removed(
    state: Engine, hook: Receiver, browser: Browser, status: int
) -> None:
    hook.status = status
    outages = Outages(state, [browser.subscription.channel])
    outages.sensors(1)
    outages.down(1)
    notifier(state).deliver_once(NOW + WAIT)
    with reading(state) as connection:
        assert channels.load(connection, VAULT) == []
    assert outages.ledger() == [("down", "failed", "the browser has unsubscribed")]
    assert len(hook.requests) == 1


def test_subscription_is_kept_if_the_push_service_is_unavailable(
    state: Engine, hook: Receiver, browser: Browser
) -> None:
    hook.status = 503
    outages = Outages(state, [browser.subscription.channel])
    outages.sensors(1)
    outages.down(1)
    notifier(state).deliver_once(NOW + WAIT)
    with reading(state) as connection:
        assert [each.name for each in channels.load(connection, VAULT)] == [
            browser.subscription.channel
        ]
    assert outages.ledger() == [("down", "pending", "answer 503")]
