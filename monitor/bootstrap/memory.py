"""The garbage collector of processes that handle many heartbeats."""

import gc


def collect_seldom() -> None:
    """Called when a process has built what it needs.

    Workers and the shipper allocate tens of thousands of rows without reference cycles. With the
    default thresholds, garbage collection takes more time than creating them.
    """
    gc.freeze()
    gc.set_threshold(100_000, 20, 50)
