"""Leases: one leader at a time, and a former leader can write nothing."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Connection, Engine, insert, select

from monitor.errors import StateUnavailable
from monitor.state import leases
from monitor.state.database import open_state, reading, writing
from monitor.state.leases import Lease, LeaseLost
from monitor.state.migrating import migrate
from monitor.state.tables import metric
from tests import postgres
from tests.waiting import eventually

LONG = 600_000
INSTANT = 1


def test_first_holder_leads_and_others_stand_by(state: Engine) -> None:
    first = leases.acquire(state, "sweep", "a", LONG)
    assert first == Lease("sweep", "a", 1)
    assert leases.acquire(state, "sweep", "b", LONG) is None
    assert leases.acquire(state, "sweep", "a", LONG) is None
    assert leases.acquire(state, "another", "b", LONG) == Lease("another", "b", 1)


def test_concurrent_acquisitions_give_exactly_one_leader(state_url: str, state: Engine) -> None:
    def attempt(number: int) -> Lease | None:
        engine = open_state(state_url)
        taken = leases.acquire(engine, "sweep", f"holder {number}", LONG)
        engine.dispose()
        return taken

    with ThreadPoolExecutor(8) as pool:
        taken = [lease for lease in pool.map(attempt, range(8)) if lease]
    assert len(taken) == 1


def test_expired_lease_is_taken_over_with_a_higher_generation(state: Engine) -> None:
    old = leases.acquire(state, "sweep", "a", INSTANT)
    assert old is not None
    new = eventually(lambda: leases.acquire(state, "sweep", "b", LONG))
    assert new == Lease("sweep", "b", 2)
    assert not leases.renew(state, old, LONG)
    assert leases.renew(state, new, LONG)


def test_renewed_lease_is_kept(state: Engine) -> None:
    held = leases.acquire(state, "sweep", "a", LONG)
    assert held is not None
    assert leases.renew(state, held, 2 * LONG)
    assert leases.acquire(state, "sweep", "b", LONG) is None


def test_expired_lease_cannot_be_renewed(state: Engine) -> None:
    held = leases.acquire(state, "sweep", "a", INSTANT)
    assert held is not None
    eventually(lambda: not leases.renew(state, held, INSTANT))
    with pytest.raises(LeaseLost), writing(state) as connection:
        leases.fence(connection, held)


def test_released_lease_is_free_at_once(state: Engine) -> None:
    held = leases.acquire(state, "sweep", "a", LONG)
    assert held is not None
    leases.release(state, held)
    assert leases.acquire(state, "sweep", "b", LONG) == Lease("sweep", "b", 2)
    leases.release(state, held)
    assert leases.acquire(state, "sweep", "c", LONG) is None


def test_writes_of_an_expired_leader_are_rolled_back(state: Engine) -> None:
    old = leases.acquire(state, "sweep", "a", INSTANT)
    assert old is not None
    new = eventually(lambda: leases.acquire(state, "sweep", "b", LONG))
    with pytest.raises(LeaseLost, match="'sweep'"):
        _write(state, old)
    _write(state, new)
    with reading(state) as connection:
        assert connection.execute(select(metric.c.name)).scalars().all() == ["b"]


def test_leader_suspended_in_a_transaction_does_not_block_its_successor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("monitor.state.database.BUSY", 1)
    url = postgres.fresh_database()  # in SQLite the lock lasts until the process ends
    engine, other = open_state(url), open_state(url)
    migrate(engine)
    held = leases.acquire(engine, "sweep", "a", 100)
    assert held is not None

    def stop_inside() -> None:
        with writing(engine) as connection:
            leases.fence(connection, held)
            assert _acquired_after_retries(other) == Lease("sweep", "b", 2)
            connection.execute(insert(metric).values(name="of the old leader"))

    with pytest.raises(StateUnavailable):
        stop_inside()
    with reading(other) as connection:
        assert connection.execute(select(metric.c.name)).all() == []
    engine.dispose()
    other.dispose()


def _acquired_after_retries(engine: Engine) -> Lease | None:
    def take() -> Lease | None:
        try:
            return leases.acquire(engine, "sweep", "b", LONG)
        except StateUnavailable:  # timed out waiting for the lock
            return None

    return eventually(take)


def _write(state: Engine, lease: Lease) -> None:
    with writing(state) as connection:
        connection.execute(insert(metric).values(name=lease.holder))
        leases.fence(connection, lease)


def test_take_over_waits_for_the_transaction_of_the_old_leader(state: Engine) -> None:
    held = leases.acquire(state, "sweep", "a", 1_500)
    assert held is not None
    with ThreadPoolExecutor(1) as pool:
        with writing(state) as connection:
            leases.fence(connection, held)
            taking = pool.submit(
                lambda: eventually(lambda: leases.acquire(state, "sweep", "b", LONG))
            )
            eventually(lambda: _has_expired(connection, held))
            assert not taking.done()
            connection.execute(insert(metric).values(name="in time"))
        assert taking.result() == Lease("sweep", "b", 2)


def _has_expired(connection: Connection, held: Lease) -> bool:
    try:
        leases.fence(connection, held)
    except LeaseLost:
        return True
    return False
