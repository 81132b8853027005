"""`python -m tests.fuzz --requests 50000 --seed 9`: the exit code is 1 on a failure.

With --servers it runs on InfluxDB and PostgreSQL instead of SQLite files.
"""

import argparse
import shutil
import sys

from tests.fuzz.run import run


def _main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--requests", type=int, default=50_000)
    parser.add_argument("--seed", type=int, default=9)
    parser.add_argument("--servers", action="store_true")
    given = parser.parse_args()
    report = run(given.requests, given.seed, servers=given.servers)
    print(report)
    if report.failures:
        return 1
    shutil.rmtree(report.directory)
    return 0


if __name__ == "__main__":
    sys.exit(_main())
