"""A directory in memory, if possible: these tests write a lot."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def fast_directory() -> Iterator[Path]:
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(
        prefix="monitor-", dir=memory if memory.is_dir() else None
    ) as name:
        yield Path(name)
