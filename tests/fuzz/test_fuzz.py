"""The fuzz in a small form; `make fuzz` runs the long one."""

import shutil

import pytest

from tests.fuzz.run import run


@pytest.mark.timeout(400)
def test_no_request_however_wrong_breaks_the_service() -> None:
    # So short a run is still filling its caches in the second half: only the long one is exact.
    report = run(5_000, seed=9, growth=0.3)
    assert not report.failures, str(report)
    shutil.rmtree(report.directory)
