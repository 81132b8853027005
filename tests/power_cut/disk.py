"""A mounted disk whose power can be cut."""

import ctypes.util
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.power_cut.backing import CUT_AFTER
from tests.waiting import eventually

_ROOT = Path(__file__).parents[2]


class Disk:
    """A directory on a `volatile_disk`."""

    def __init__(self, directory: Path, chance: random.Random) -> None:
        """Skips the test, or fails it where CI=true, if a part is missing."""
        self.path, self._backing = directory / "disk", directory / "backing"
        self._log = directory / "disk.log"
        self._chance = chance
        self._process: subprocess.Popen[bytes] | None = None
        self.path.mkdir()
        if not ctypes.util.find_library("fuse3") or not shutil.which("fusermount3"):
            _unavailable("needs libfuse 3: apt-get install fuse3")
        if not os.access("/dev/fuse", os.R_OK | os.W_OK):
            # Packages can be installed, but a container may not be allowed to mount anything.
            pytest.skip("needs /dev/fuse, which this container does not have")

    def mount(self) -> None:
        """Turn the power on."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "tests.power_cut.volatile_disk"),
                    *(str(self._backing), str(self.path), str(self._chance.getrandbits(32))),
                ],
                cwd=_ROOT,
                stdout=log,
                stderr=log,
            )
        eventually(lambda: os.path.ismount(self.path) or not self.powered)
        if not self.powered:
            self._process = None
            reason = f"can't mount a file system in user space: {self._log.read_text()[-500:]}"
            if "not permitted" in reason:
                pytest.skip(reason)
            _unavailable(reason)

    @property
    def powered(self) -> bool:
        """Whether it is mounted and its power was not cut."""
        return self._process is not None and self._process.poll() is None

    def cut(self) -> None:
        """Cut the power. From then on, its files raise OSError."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def wait_for_cut(self) -> None:
        """Wait until `cut_after` has happened."""
        assert self._process is not None
        self._process.wait(60)

    def cut_after(self, steps: int) -> None:
        """Let the disk cut its power itself after so many steps of writing."""
        os.setxattr(self.path, CUT_AFTER, str(steps).encode())

    def unmount(self) -> None:
        """Cut the power and make place for the next `mount`."""
        if self._process is not None:
            self.cut()
            subprocess.run(["fusermount3", "-u", "-z", str(self.path)], check=True)
            self._process = None


def _unavailable(reason: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
