"""Secrets that the service generates."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine, select

from monitor.state import secrets
from monitor.state.access_tables import secret
from monitor.state.database import reading
from monitor.vault import Unreadable, Vault

VAULT = Vault("a key of at least thirty-two characters")


def test_secret_is_generated_once_and_stored_encrypted(state: Engine) -> None:
    assert secrets.once(state, VAULT, "key", lambda: b"first") == b"first"
    assert secrets.once(state, VAULT, "key", lambda: b"second") == b"first"
    with reading(state) as connection:
        row = connection.execute(select(secret)).one()
    assert b"first" not in bytes(row.value)


def test_concurrent_callers_get_the_same_secret(state: Engine) -> None:
    together = threading.Barrier(4)

    def make(number: int) -> bytes:
        def own() -> bytes:
            together.wait()  # each has found no secret
            return b"made by %d" % number

        return secrets.once(state, VAULT, "key", own)

    with ThreadPoolExecutor(4) as threads:
        made = set(threads.map(make, range(4)))
    assert len(made) == 1


def test_secret_encrypted_with_another_key_is_not_replaced(state: Engine) -> None:
    secrets.once(state, Vault("another key of at least 32 characters!"), "key", lambda: b"first")
    with pytest.raises(Unreadable):
        secrets.once(state, VAULT, "key", lambda: b"second")
