"""Two concurrent transactions, the first of which is held just before its commit."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, select, text

from monitor.errors import Conflict, Invalid, StateUnavailable
from monitor.incidents import service
from monitor.incidents.machine import Event
from monitor.model import MINUTE
from monitor.outbox import catalogue, claims, notifications, outcomes, served_channels, trouble
from monitor.outbox.candidates import RecipientConfig
from monitor.outbox.claims import Claim
from monitor.services.routes import check as check_route
from monitor.state import channels, health, metric_names, migrations, routes, sensors, tokens
from monitor.state.channels import Stored
from monitor.state.database import open_state, reading, writing
from monitor.state.migrating import migrate
from monitor.state.routing import RouteRow
from monitor.state.tables import alert_group, incident, notification
from monitor.vault import Vault
from tests import postgres
from tests.concurrency.conftest import Sides, Work, overlap
from tests.delivering import FRAME
from tests.outages import NOW, WAIT, Outages
from tests.staleness.test_sweep import ALERTING, World

VAULT = Vault("k" * 40)


def written(engine: Engine, change: Callable[[Connection], object]) -> Work:
    """A function that runs `change` in a transaction."""

    def run() -> object:
        with writing(engine) as connection:
            return change(connection)

    return run


def misplaced(engine: Engine) -> list[int]:
    """The sensors whose open incident is in a closed group."""
    with reading(engine) as connection:
        query = (
            select(incident.c.mac)
            .join(alert_group)
            .where(incident.c.closed_at.is_(None), alert_group.c.closed_at.is_not(None))
        )
        return list(connection.scalars(query))


class MonitoredFleet(World):
    """A fleet at two sites, judged and notified on PostgreSQL."""

    def __init__(self, directory: Path, sides: Sides) -> None:
        super().__init__(directory)
        self.engine, self.notifier = sides.second, sides.first
        self.lease = self.take_lease("pg")
        self.sweep = self.new_sweep()
        with writing(self.engine) as connection:
            for mac, site in ((1, "North"), (2, "North"), (3, "North"), (8, "South"), (9, "South")):
                version = sensors.next_version(connection)
                sensors.configure(connection, mac, version, site=site)

    def claim(self, channel: str) -> Claim:
        """The next message due on a channel."""
        found = claims.claim(
            self.notifier,
            channel,
            "n",
            self.now,
            MINUTE,
            lambda context: {"kind": context.kind},
            RecipientConfig(lambda *_: {}),
        )
        assert found is not None
        return found

    def send(self, channel: str) -> None:
        """Claim the next message, and record that it was sent."""
        assert outcomes.record_sent(self.notifier, self.claim(channel), self.now)


def test_incident_never_joins_a_group_that_is_being_closed(tmp_path: Path, sides: Sides) -> None:
    night = MonitoredFleet(tmp_path, sides)
    night.store_heartbeats(1, 2, 3, 8, 9)
    night.pass_time(12 * MINUTE, 2, 3, 8, 9)
    for channel in ALERTING.channels:
        night.send(channel)
    night.pass_time(2 * MINUTE, 1, 2, 3, 8, 9)  # the first one recovers
    night.pass_time(5 * MINUTE, 1, 3, 8, 9)  # the second one falls silent
    night.send("email")
    last = night.claim("webhook")
    assert last.kind == "recovered"
    night.pass_time(5 * MINUTE, 1, 3, 8, 9)  # until the last sweep before the second one's deadline
    assert all(row.closed_at for row in night.incidents())
    night.now += MINUTE
    night.store_heartbeats(1, 3, 8, 9)
    night.report_coverage()
    overlap(
        sides,
        lambda: outcomes.record_sent(night.notifier, last, night.now),
        lambda: night.sweep.run(night.lease, night.now),
    )
    assert [row.mac for row in night.incidents() if row.closed_at is None] == [2]
    assert misplaced(night.engine) == []
    later = night.pass_time(12 * MINUTE, 1, 2, 3, 9)  # a sensor of another site falls silent
    assert sum(len(outcome.opened) for outcome in later) == 1
    night.store.close()


def test_two_notifiers_enqueue_one_notice(sides: Sides) -> None:
    def notify(connection: Connection) -> None:
        notifications.enqueue_notice(connection, "failing:x:1", ["email"], {"kind": "notice"}, 1)

    for done in overlap(sides, written(sides.first, notify), written(sides.second, notify)):
        done.result()
    with reading(sides.second) as connection:
        assert len(connection.execute(select(notification)).all()) == 1


def test_two_shippers_note_the_same_new_metric(sides: Sides) -> None:
    def note(connection: Connection) -> None:
        metric_names.note(connection, {"battery": 1}, MINUTE)

    for done in overlap(sides, written(sides.first, note), written(sides.second, note)):
        done.result()


def test_concurrent_tokens_of_one_name_give_one_token(sides: Sides) -> None:
    def make(connection: Connection) -> str:
        return tokens.create(connection, "door", 1)

    one, two = overlap(sides, written(sides.first, make), written(sides.second, make))
    one.result()
    assert isinstance(two.exception(), Conflict)


def test_concurrently_added_routes_have_distinct_positions(sides: Sides) -> None:
    def adding(name: str) -> Callable[[Connection], None]:
        def add(connection: Connection) -> None:
            row = RouteRow(name, ["site=x"], ["email"], [], None)
            check_route(connection, row, ["email"])
            routes.add(connection, row)

        return add

    pair = written(sides.first, adding("first")), written(sides.second, adding("second"))
    for done in overlap(sides, *pair):
        done.result()
    with reading(sides.second) as connection:
        positions = connection.execute(text("SELECT name, position FROM route")).all()
    assert sorted(tuple(row) for row in positions) == [("first", 1), ("second", 2)]


def test_no_route_can_use_a_channel_that_is_being_removed(sides: Sides) -> None:
    with writing(sides.first) as connection:
        channels.add(connection, VAULT, Stored("pager", "webhook", {}, {}))

    def add(connection: Connection) -> None:
        row = RouteRow("night", ["site=x"], ["pager"], [], None)
        check_route(connection, row, [])
        routes.add(connection, row)

    def remove(connection: Connection) -> bool:
        return catalogue.remove(connection, "pager", 1)

    removed, added = overlap(sides, written(sides.first, remove), written(sides.second, add))
    assert removed.result() is True
    assert isinstance(added.exception(), Invalid)


def test_two_notifiers_share_one_daily_limit(sides: Sides) -> None:
    with writing(sides.first) as connection:
        channels.add(connection, VAULT, Stored("sms", "webhook", {}, {}, budget=1))
    for site in ("site:A", "site:B"):
        outages = Outages(sides.first, ["sms"], site)
        mac = 1 if site == "site:A" else 2
        outages.sensors(mac)
        outages.down(mac)
    config = RecipientConfig(lambda *_: {}, budget=1)

    def claiming(engine: Engine) -> Work:
        return lambda: claims.claim(
            engine, "sms", "n", NOW + WAIT, MINUTE, lambda _context: {"kind": "down"}, config
        )

    one, two = overlap(sides, claiming(sides.first), claiming(sides.second))
    assert [one.result() is None, two.result() is None] == [False, True]


def test_deadlock_raises_state_unavailable(sides: Sides) -> None:
    outages = [Outages(sides.first, ["email"], f"site:{name}") for name in "AB"]
    for mac, each in enumerate(outages, 1):
        each.sensors(mac)
        each.down(mac)
    groups = [each.group for each in outages]

    def locking(engine: Engine, order: list[int], meet: Callable[[], object]) -> object:
        with writing(engine) as connection:
            notifications.lock(connection, order[0])
            meet()
            notifications.lock(connection, order[1])
        return None

    barrier = Barrier(2)
    with ThreadPoolExecutor(2) as pool:
        runs = [
            pool.submit(locking, engine, order, lambda: barrier.wait(30))
            for engine, order in zip(sides, (groups, groups[::-1]), strict=True)
        ]
    errors = [error for error in (run.exception() for run in runs) if error is not None]
    assert [type(error) for error in errors] == [StateUnavailable]


def test_concurrently_closed_incident_is_closed_once(tmp_path: Path, sides: Sides) -> None:
    night = MonitoredFleet(tmp_path, sides)
    night.store_heartbeats(1, 2, 3, 8, 9)
    night.pass_time(12 * MINUTE, 2, 3, 8, 9)
    (seen,) = night.incidents()

    def closing(engine: Engine, event: Event) -> Work:
        def close(connection: Connection) -> None:
            version = sensors.next_version(connection)
            service.close_all(
                connection, [service.Closing(seen, event)], ALERTING, night.now, version
            )

        return written(engine, close)

    paused, forgotten = closing(sides.first, Event.PAUSE), closing(sides.second, Event.FORGET)
    for done in overlap(sides, paused, forgotten):
        done.result()
    (only,) = night.incidents()
    assert only.closed_reason == "paused"
    night.store.close()


def test_concurrently_recovered_channel_is_reported_when_it_fails_again(sides: Sides) -> None:
    served_channels.record(sides.first, {"email": ()}, 1)
    now = 20 * MINUTE
    written(sides.first, lambda c: health.record_failure(c, "email", "refused", 1))()
    for done in overlap(
        sides,
        written(sides.first, lambda c: health.record_success(c, "email", now)),
        lambda: trouble.report(sides.second, lambda _: ["email", "webhook"], FRAME, now),
    ):
        done.result()
    written(sides.first, lambda c: health.record_failure(c, "email", "refused", now + 1))()
    with reading(sides.second) as connection:
        assert [each.name for each in health.unreported(connection, now + 1)] == ["email"]
        assert connection.execute(select(notification)).all() == []


def downgrade(connection: Connection, revision: str) -> None:
    """Revert the migrations after this one."""
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    config.attributes["connection"] = connection
    command.downgrade(config, revision)


@pytest.mark.parametrize("another_is_open", [False, True])
def test_migration_rescues_incidents_from_closed_groups(another_is_open: bool) -> None:
    engine = open_state(postgres.fresh_database())
    migrate(engine)
    outages = Outages(engine, ["email"])
    outages.sensors(1)
    outages.down(1)
    with writing(engine) as connection:
        connection.execute(text("UPDATE alert_group SET closed_at = 1"))
        downgrade(connection, "0016")
    if another_is_open:
        Outages(engine, ["email"])
    migrate(engine)
    assert misplaced(engine) == []
    engine.dispose()
