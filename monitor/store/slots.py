"""The key of a stored coverage span: one row or point per source, start and UTC hour."""

from monitor.model import HOUR
from monitor.store.interface import CoverageSpan


def slot(span: CoverageSpan) -> int:
    """The span's start, or the UTC hour of its end if that is later (ms). A growing span replaces
    its own row each second and leaves one row per hour; older rows are not written again."""
    return max(span.start, span.until - span.until % HOUR)
