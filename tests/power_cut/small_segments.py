"""Run as `python -m tests.power_cut.small_segments`: `monitor` with segments that are soon full."""

import sys

from monitor.cli import main
from monitor.ingest.wal import writer

ROTATE_AT = 16 * 1024
"""Bytes."""

if __name__ == "__main__":
    writer.ROTATE_AT = ROTATE_AT
    sys.exit(main())
