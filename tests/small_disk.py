"""A file system that a test can fill."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(directory: Path, size: str) -> Iterator[Path]:
    """A new file system below `directory`. `size` as tmpfs takes it, such as "4m". Where mounting
    is not allowed the test is skipped, in CI it fails."""
    place = directory / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)], capture_output=True
    )
    if mounted.returncode:
        if os.environ.get("CI") == "true":
            pytest.fail(f"no tmpfs: {mounted.stderr.decode()}")
        pytest.skip("mounting a tmpfs needs privileges")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)
