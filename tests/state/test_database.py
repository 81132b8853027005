"""Opening, migrating and transactions."""

import multiprocessing
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Engine, insert, select, text, update
from sqlalchemy.exc import IntegrityError

import monitor.state
from monitor.errors import StateUnavailable
from monitor.state import access_tables
from monitor.state.database import database_now, open_state, reading, writing
from monitor.state.migrating import migrate
from monitor.state.tables import incident, metadata, metric, service
from tests import postgres
from tests.waiting import eventually


def test_migrations_create_exactly_the_tables_of_the_metadata(state: Engine) -> None:
    with reading(state) as connection:
        context = MigrationContext.configure(connection)
        assert compare_metadata(context, metadata) == []


def test_migrating_again_changes_nothing(state: Engine) -> None:
    with writing(state) as connection:
        connection.execute(update(service).values(version=7))
    migrate(state)
    with reading(state) as connection:
        assert connection.execute(select(service.c.id, service.c.version)).all() == [(1, 7)]


def test_error_of_a_statement_does_not_show_its_values(state: Engine) -> None:
    row = {"digest": b"the same", "created_at": 1}
    adding = insert(access_tables.token).values([row | {"name": n} for n in ("a", "T0P-S3CRET")])
    with pytest.raises(IntegrityError) as caught, writing(state) as connection:
        connection.execute(adding)
    assert "T0P-S3CRET" not in str(caught.value)


def test_concurrent_migrations_succeed(state_url: str) -> None:
    def migrated(_: int) -> None:
        engine = open_state(state_url)
        migrate(engine)
        engine.dispose()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(migrated, range(4)))
    engine = open_state(state_url)
    with reading(engine) as connection:
        assert connection.execute(select(service.c.version)).all() == [(0,)]
    engine.dispose()


def test_downgrade_and_upgrade_work(state: Engine) -> None:
    config = Config()
    config.set_main_option(
        "script_location", str(Path(monitor.state.__file__).parent / "migrations")
    )
    with writing(state) as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
    migrate(state)
    with reading(state) as connection:
        assert connection.execute(select(service.c.version)).all() == [(0,)]


def test_writing_commits_at_the_end_and_rolls_back_on_an_exception(state: Engine) -> None:
    with writing(state) as connection:
        connection.execute(insert(metric).values(name="battery"))

    def fail() -> None:
        with writing(state) as connection:
            connection.execute(insert(metric).values(name="rssi"))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    with reading(state) as connection:
        assert connection.execute(select(metric.c.name)).scalars().all() == ["battery"]


def test_reading_sees_one_snapshot() -> None:
    engine = open_state(postgres.fresh_database())  # in SQLite a reader blocks writers instead
    migrate(engine)
    with reading(engine) as connection:
        assert connection.execute(select(service.c.version)).scalar_one() == 0
        with writing(engine) as other:
            other.execute(update(service).values(version=99))
        assert connection.execute(select(service.c.version)).scalar_one() == 0
    engine.dispose()


def test_two_writers_wait_for_each_other(state: Engine) -> None:
    def add(_: int) -> None:
        with writing(state) as connection:
            version = connection.execute(select(service.c.version).with_for_update()).scalar_one()
            connection.execute(update(service).values(version=version + 1))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add, range(40)))
    with reading(state) as connection:
        assert connection.execute(select(service.c.version)).scalar_one() == 40


def test_foreign_keys_are_enforced(state: Engine) -> None:
    with pytest.raises(IntegrityError), writing(state) as connection:
        connection.execute(
            insert(incident).values(
                mac=1, last_seen=0, threshold=1, proven=True, opened_at=0, group_id=404, version=1
            )
        )


def test_database_clock_agrees_with_the_host_and_advances_within_a_transaction(
    state: Engine,
) -> None:
    with reading(state) as connection:
        query = select(database_now(connection))
        before = time.time_ns() // 1_000_000
        first = connection.execute(query).scalar_one()
        assert abs(first - before) < 1_000
        eventually(lambda: connection.execute(query).scalar_one() > first)


def test_unreachable_state_raises_state_unavailable(tmp_path: Path) -> None:
    engine = open_state(f"postgresql://nobody@/nothing?host={tmp_path}")
    with pytest.raises(StateUnavailable), reading(engine):
        pass
    engine.dispose()


def test_locked_file_raises_state_unavailable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitor.state.database.BUSY", 0.05)
    engine = open_state(f"sqlite:///{tmp_path}/deep/er/state.db")
    migrate(engine)
    with (
        writing(engine) as connection,
        pytest.raises(StateUnavailable, match="locked"),
        writing(engine),
    ):
        pass
    assert connection.closed


def test_state_unavailable_does_not_show_values(state: Engine) -> None:
    query = "SELECT 1 FROM missing WHERE a = :secret"
    if state.dialect.name == "postgresql":
        query = "SELECT pg_terminate_backend(pg_backend_pid()), :secret"
    with pytest.raises(StateUnavailable) as caught, writing(state) as connection:
        connection.execute(text(query), {"secret": "hunter2"})
    assert "hunter2" not in str(caught.value)


def _version_in_a_child(engine: Engine, results: "multiprocessing.SimpleQueue[int]") -> None:
    with reading(engine) as connection:
        results.put(connection.execute(select(service.c.version)).scalar_one())
    os._exit(0)


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_engine_can_be_used_after_a_fork(state: Engine) -> None:
    with reading(state) as connection:
        connection.execute(select(service.c.version)).all()
    context = multiprocessing.get_context("fork")
    results = context.SimpleQueue()
    children = [
        context.Process(target=_version_in_a_child, args=(state, results)) for _ in range(3)
    ]
    for child in children:
        child.start()
    with reading(state) as connection:
        assert connection.execute(select(service.c.version)).all() == [(0,)]
    for child in children:
        child.join(20)
    assert [child.exitcode for child in children] == [0, 0, 0]
    assert [results.get() for _ in children] == [0, 0, 0]
