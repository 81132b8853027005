"""A wall clock that can be stepped under running processes, with libfaketime."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

_SOURCE = Path(__file__).with_name("monotonic.c")


class Clockwork:
    """The wall clock of all processes started with `environment`; their other clocks stay correct.

    Skips the test, or fails it where CI=true, without libfaketime or a C compiler.
    """

    def __init__(self, directory: Path) -> None:
        libraries = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
        compiler = shutil.which("cc")
        if not libraries or compiler is None:
            reason = "needs a C compiler and libfaketime: apt-get install gcc libc6-dev faketime"
            if os.environ.get("CI") == "true":
                pytest.fail(reason)
            pytest.skip(reason)
        monotonic = directory / "monotonic.so"
        subprocess.run(
            [compiler, "-shared", "-fPIC", "-O2", "-o", str(monotonic), str(_SOURCE)], check=True
        )
        self._file = directory / "clock"
        self.environment = {
            "LD_PRELOAD": f"{monotonic}:{libraries[0]}",
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        self.set(0)

    def set(self, offset: int) -> None:
        """Set the clock `offset` seconds ahead of the true time, at once."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{offset:+d}s\n")
        new.replace(self._file)
