"""Where a pulse is kept: one row or point for each source, beginning and UTC hour."""

from monitor.model import HOUR
from monitor.store.interface import CoverageSpan


def slot(pulse: CoverageSpan) -> int:
    """The later of its start and the hour of its end (ms): an unbroken pulse replaces its own row
    each second and leaves one row an hour, and no old row is ever written to."""
    return max(pulse.start, pulse.until - pulse.until % HOUR)
