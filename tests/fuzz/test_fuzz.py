"""A short fuzz run; `make fuzz` runs a long one."""

import shutil

import pytest

from tests.fuzz.run import run


@pytest.mark.timeout(400)
def test_no_malformed_request_breaks_the_service() -> None:
    # In a short run caches still fill in the second half, so the limit is higher.
    report = run(5_000, seed=9, growth=0.3)
    assert not report.failures, str(report)
    shutil.rmtree(report.directory)
