"""A service on a state and a store, just before the work that is to be interrupted."""

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
from tests.faults.ground import Ground
from tests.faults.processes import Nursery, Place

Content = tuple[str, str]
"""(channel, all that a message says but its key)"""


class Field:
    """Runs the work in processes that may die, and what makes up for it here."""

    def __init__(self, directory: Path, ground: Ground) -> None:
        self._ground, self._arrived = ground, directory / "arrived"
        migrate(ground.engine)
        file = directory / "beats.sqlite"
        store = SqliteStore(file, scene.RETENTION, writable=True)
        store.migrate()
        scene.prepare(ground.engine, store)
        store.close()
        self._store = SqliteStore(file, scene.RETENTION)
        self._nursery = Nursery(Place(ground.url, file, self._arrived))
        self.keep()

    def close(self) -> None:
        """Let go of all."""
        self._ground.engine.dispose()
        self._store.close()
        self._nursery.close()

    def keep(self) -> None:
        """`restore` leads back here."""
        self._ground.keep()
        self._arrived.write_text("")

    def restore(self) -> None:
        """As if nothing had happened since `keep`."""
        self._ground.restore()
        self._arrived.write_text("")

    def facts(self) -> Facts:
        """What the state says."""
        return facts(self._ground.engine)

    # --- In processes of their own -----------------------------------------------------------

    def rehearse(self, what: str) -> list[str]:
        """Do it all; the steps that it takes."""
        return self._nursery.rehearse(what)

    def run(self, what: str, burns_at: int) -> bool:
        """Do it in a process of its own; False when it was killed before that step."""
        return self._nursery.run(what, burns_at)

    # --- Afterwards --------------------------------------------------------------------------

    def finish_sweep(self) -> None:
        """By the next leader, when the lease of the dead one has run out."""
        scene.let_holders_go(self._ground.engine)
        scene.sweep(self._ground.engine, self._store)

    def finish_deliveries(self) -> bool:
        """By another notifier, when claims have run out; whether nothing is due any more."""
        scene.let_holders_go(self._ground.engine)
        return scene.deliver(self._ground.engine, scene.recipients(self._arrived)) == 0

    def messages(self) -> dict[Content, list[str]]:
        """Each content that arrived -> the keys under which it did, one for each copy."""
        arrived: dict[Content, list[str]] = defaultdict(list)
        for line in self._arrived.read_text().splitlines():
            channel, data = json.loads(line)
            key = data.pop("key")
            arrived[channel, json.dumps(data)].append(key)
        return arrived

    def unrecorded(self) -> set[str]:
        """Keys of what the dead process gave away and could not say so."""
        with reading(self._ground.engine) as connection:
            query = select(notification.c.key).where(notification.c.state == "claimed")
            claimed = set(connection.scalars(query))
        return claimed & {key for keys in self.messages().values() for key in keys}
