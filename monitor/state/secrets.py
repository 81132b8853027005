"""Generated keys of this installation: rows of `secret`, encrypted."""

from collections.abc import Callable

from sqlalchemy import Engine, select

from monitor.state.access_tables import secret
from monitor.state.database import insert_unless_there, reading, writing
from monitor.vault import Vault


def once(engine: Engine, vault: Vault, name: str, make: Callable[[], bytes]) -> bytes:
    """Reads the secret with this name, or stores what `make` returns if there is none.

    Processes that find none at the same time all get the same one. Raises StateUnavailable, and
    vault.Unreadable: a secret that can't be read is not replaced, because that would invalidate
    what depends on it.
    """
    query = select(secret.c.value).where(secret.c.name == name)
    with reading(engine) as connection:
        stored = connection.execute(query).scalar()
    if stored is None:
        row = {"name": name, "value": vault.encrypt(make())}
        with writing(engine) as connection:
            added = insert_unless_there(connection, secret).values(row)
            connection.execute(added.on_conflict_do_nothing())
            stored = connection.execute(query).scalar_one()
    return vault.decrypt(bytes(stored))
