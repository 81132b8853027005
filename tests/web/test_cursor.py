from hypothesis import example, given
from hypothesis import strategies as st

from monitor.web.grid.cursor import GridCursor, Turns


class Worker:
    """Reads a log of stamps as the fleet does, and answers clients."""

    def __init__(self, name: str, position: int, known: set[int]) -> None:
        self.turns, self.known = Turns(name), set(known)
        self.turn_of: dict[int, int] = {}
        self.position = position
        self.turns.begin(position, 0)

    def read(self, visible: set[int]) -> None:
        new = visible - self.known
        self.known |= visible
        self.position = max([self.position, *visible])
        turn = self.turns.add(self.position, 0)
        self.turn_of.update(dict.fromkeys(new, turn))

    def answer(self, cursor: GridCursor | None) -> tuple[set[int], GridCursor]:
        turn = None
        if cursor is not None and not cursor.is_ahead_of(self.turns.latest()):
            turn = self.turns.unknown_from(cursor)
        if turn is None:
            return set(self.known), self.turns.latest()
        stamps = {stamp for stamp, at in self.turn_of.items() if at >= turn}
        return stamps, self.turns.latest()


steps = st.lists(
    st.tuples(
        st.sampled_from(["write", "write slowly", "show", "read", "read", "ask", "ask", "restart"]),
        st.booleans(),
    ),
    max_size=80,
)


_LATE_FOR_A_NEW_WORKER = [
    ("write slowly", False),
    ("restart", True),
    ("ask", True),
    ("show", False),
    ("read", False),
    ("write", False),
    ("read", False),
    ("ask", False),
]


@given(steps)
@example(_LATE_FOR_A_NEW_WORKER)
def test_client_that_polls_any_workers_has_all_data_of_the_last_one(
    plan: list[tuple[str, bool]],
) -> None:
    clock, visible, slow = 1, set[int](), list[int]()
    workers = [Worker("00000000", clock, set()), Worker("11111111", clock, set())]
    client, cursor = set[int](), None
    for number, (what, which) in enumerate(plan):
        clock += 1
        worker = workers[which]
        if what == "write":
            visible.add(clock)
        elif what == "write slowly":
            slow.append(clock)
        elif what == "show" and slow:
            visible.add(slow.pop())
        elif what == "read":
            worker.read(visible)
        elif what == "restart":
            workers[which] = Worker(f"{number + 2:08x}", clock, visible)
        elif what == "ask":
            stamps, cursor = worker.answer(cursor)
            client |= stamps
            assert client >= worker.known


def test_cursor_of_the_same_worker_is_exact() -> None:
    worker = Worker("00000000", 5, {1, 2})
    worker.read({1, 2, 6})
    _, cursor = worker.answer(None)
    worker.read({1, 2, 6, 7})
    assert worker.answer(cursor)[0] == {7}


def test_old_turns_are_dropped_and_their_cursors_invalid() -> None:
    turns = Turns("00000000")
    turns.begin(0, 0)
    old = turns.latest()
    for position in range(1, 30_000):
        turns.add(position, 0)
    recent = turns.latest()
    assert turns.unknown_from(old) is None
    assert turns.unknown_from(recent) == recent.turn + 1
    assert turns.unknown_from(recent._replace(worker="11111111")) == recent.turn
    assert turns.unknown_from(GridCursor(3, 0, "11111111", 3)) is None
