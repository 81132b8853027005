"""kill -9 at every step of a sweep and of deliveries: nothing is lost, nothing is told twice."""

import itertools
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import postgres
from tests.faults.field import Field
from tests.faults.ground import File, Ground, Server
from tests.faults.processes import DELIVER, SWEEP
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
"""Tables that the sweep in question changes."""


pytestmark = pytest.mark.timeout(400)


@pytest.fixture(params=["sqlite", "postgresql"])
def field(request: pytest.FixtureRequest, fast_directory: Path) -> Iterator[Field]:
    """Shortly before the sweep in question."""
    if request.param == "sqlite":
        ground: Ground = File(fast_directory)
    else:
        ground = Server(postgres.fresh_database())
    field = Field(fast_directory, ground)
    yield field
    field.close()


def test_a_sweep_killed_at_any_step_is_whole_or_undone_and_made_up_for(field: Field) -> None:
    before = field.facts()
    steps = field.rehearse(SWEEP)
    after = field.facts()
    assert all(after[name] != before[name] for name in WRITTEN)
    outcomes: Counter[bool] = Counter()
    for burns_at in itertools.count():
        field.restore()
        if field.run(SWEEP, burns_at):
            break
        found = field.facts()
        assert found in (before, after), f"half a sweep after {steps[:burns_at][-3:]}"
        outcomes[found == after] += 1
        field.finish_sweep()
        assert field.facts() == after, f"not made up for after {steps[:burns_at][-3:]}"
    print(f"{outcomes[False]} steps undone, {outcomes[True]} after the commit")
    assert sum(outcomes.values()) == len(steps)


def test_deliveries_killed_at_any_step_lose_nothing_and_repeat_only_what_nobody_recorded(
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
    repeated, made_up_for = 0, []
    for burns_at in itertools.count():
        field.restore()
        if field.run(DELIVER, burns_at):
            break
        last = steps[:burns_at][-3:]
        left = field.facts(), field.messages()
        if left in made_up_for:
            continue  # nothing reached the world outside since an earlier death
        made_up_for.append(left)
        unrecorded = field.unrecorded()
        eventually(field.finish_deliveries)
        assert field.facts() == after, f"not made up for after {last}"
        messages = field.messages()
        assert messages.keys() == expected.keys(), f"lost or altered after {last}"
        for keys in messages.values():
            assert len(set(keys)) == 1, f"told under another key after {last}"
            assert len(keys) == 1 + (keys[0] in unrecorded), f"told twice after {last}"
        repeated += len(unrecorded)
    assert burns_at == len(steps)
    print(f"{burns_at} steps, {len(made_up_for)} states left behind, {repeated} with a message")
