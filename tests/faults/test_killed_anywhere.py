"""After kill -9 at any step of a sweep or of deliveries nothing is lost or sent twice."""

import itertools
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import postgres
from tests.faults.field import Field
from tests.faults.processes import DELIVER, SWEEP
from tests.faults.restorable_state import PostgresState, RestorableState, SqliteState
from tests.waiting import eventually

WRITTEN = (
    "service",
    "sensor",
    "source",
    "blind_window",
    "alert_group",
    "incident",
    "notification",
)
"""The tables that the tested sweep changes."""


pytestmark = pytest.mark.timeout(400)


@pytest.fixture(params=["sqlite", "postgresql"])
def field(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Field]:
    """The state shortly before the tested sweep."""
    if request.param == "sqlite":
        state: RestorableState = SqliteState(tmp_path)
    else:
        state = PostgresState(postgres.fresh_database())
    field = Field(tmp_path, state)
    yield field
    field.close()


def test_sweep_killed_at_any_step_is_atomic_and_the_next_completes_it(field: Field) -> None:
    before = field.facts()
    steps = field.rehearse(SWEEP)
    after = field.facts()
    assert all(after[name] != before[name] for name in WRITTEN)
    outcomes: Counter[bool] = Counter()
    for kill_at in itertools.count():
        field.restore()
        if field.run(SWEEP, kill_at):
            break
        found = field.facts()
        assert found in (before, after), f"partial sweep after {steps[:kill_at][-3:]}"
        outcomes[found == after] += 1
        field.finish_sweep()
        assert field.facts() == after, f"not completed after {steps[:kill_at][-3:]}"
    print(f"{outcomes[False]} steps undone, {outcomes[True]} after the commit")
    assert sum(outcomes.values()) == len(steps)


def test_deliveries_killed_at_any_step_lose_nothing_and_repeat_only_unrecorded_messages(
    field: Field,
) -> None:
    field.finish_sweep()
    field.keep()
    steps = field.rehearse(DELIVER)
    after, expected = field.facts(), field.messages()
    assert {json.loads(content)["kind"] for _, content in expected} == {
        "down",
        "flapping",
        "recovered",
        "reminder",
        "notice",
    }
    assert {len(keys) for keys in expected.values()} == {1}
    repeated, recovered = 0, []
    for kill_at in itertools.count():
        field.restore()
        if field.run(DELIVER, kill_at):
            break
        last = steps[:kill_at][-3:]
        left = field.facts(), field.messages()
        if left in recovered:
            continue  # nothing external changed since an earlier kill
        recovered.append(left)
        unrecorded = field.unrecorded()
        eventually(field.finish_deliveries)
        assert field.facts() == after, f"not completed after {last}"
        messages = field.messages()
        assert messages.keys() == expected.keys(), f"lost or altered after {last}"
        for keys in messages.values():
            assert len(set(keys)) == 1, f"sent under another key after {last}"
            assert len(keys) == 1 + (keys[0] in unrecorded), f"sent twice after {last}"
        repeated += len(unrecorded)
    assert kill_at == len(steps)
    print(f"{kill_at} steps, {len(recovered)} states left behind, {repeated} with a message")
