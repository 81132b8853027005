"""A state and a store just before the work that is interrupted."""

import json
from collections import defaultdict
from pathlib import Path

from sqlalchemy import select

from monitor.state.database import reading
from monitor.state.migrating import migrate
from monitor.state.tables import notification
from monitor.store.sqlite import SqliteStore
from tests.faults import scene
from tests.faults.facts import Facts, facts
from tests.faults.processes import ForkServer, Place
from tests.faults.restorable_state import RestorableState

Content = tuple[str, str]
"""(channel, the content of a message without its key)"""


class Field:
    """Runs work in processes that may be killed, and the recovery in this process."""

    def __init__(self, directory: Path, state: RestorableState) -> None:
        self._state, self._arrived = state, directory / "arrived"
        migrate(state.engine)
        file = directory / "beats.sqlite"
        store = SqliteStore(file, scene.RETENTION, writable=True)
        store.migrate()
        scene.prepare(state.engine, store)
        store.close()
        self._store = SqliteStore(file, scene.RETENTION)
        self._fork_server = ForkServer(Place(state.url, file, self._arrived))
        self.keep()

    def close(self) -> None:
        """Close connections."""
        self._state.engine.dispose()
        self._store.close()
        self._fork_server.close()

    def keep(self) -> None:
        """Save the current state for `restore`."""
        self._state.keep()
        self._arrived.write_text("")

    def restore(self) -> None:
        """Undo everything since `keep`."""
        self._state.restore()
        self._arrived.write_text("")

    def facts(self) -> Facts:
        """The content of the state."""
        return facts(self._state.engine)

    # --- In a subprocess ---------------------------------------------------------------------

    def rehearse(self, what: str) -> list[str]:
        """Do all the work; the steps it took."""
        return self._fork_server.rehearse(what)

    def run(self, what: str, burns_at: int) -> bool:
        """Do the work in a subprocess; False if it was killed before the step."""
        return self._fork_server.run(what, burns_at)

    # --- Recovery ----------------------------------------------------------------------------

    def finish_sweep(self) -> None:
        """Sweep as the next leader, after the lease of the dead one expired."""
        scene.expire_lease_and_claims(self._state.engine)
        scene.sweep(self._state.engine, self._store)

    def finish_deliveries(self) -> bool:
        """Deliver as another notifier, after claims expired; whether nothing is due."""
        scene.expire_lease_and_claims(self._state.engine)
        return scene.deliver(self._state.engine, scene.recipients(self._arrived)) == 0

    def messages(self) -> dict[Content, list[str]]:
        """Content -> the keys of each copy that arrived."""
        arrived: dict[Content, list[str]] = defaultdict(list)
        for line in self._arrived.read_text().splitlines():
            channel, data = json.loads(line)
            key = data.pop("key")
            arrived[channel, json.dumps(data)].append(key)
        return arrived

    def unrecorded(self) -> set[str]:
        """Keys of messages that the dead process sent and did not record."""
        with reading(self._state.engine) as connection:
            query = select(notification.c.key).where(notification.c.state == "claimed")
            claimed = set(connection.scalars(query))
        return claimed & {key for keys in self.messages().values() for key in keys}
