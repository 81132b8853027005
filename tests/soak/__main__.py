"""`python -m tests.soak --minutes 20 --seed 29`: a soak test. Exit code 1 on failure."""

import argparse
import shutil
import sys

from tests.soak.run import run


def _main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=29)
    given = parser.parse_args()
    report = run(given.minutes, given.seed)
    print(report)
    if report.passed:
        shutil.rmtree(report.directory)
    return 0 if report.passed else 1


if __name__ == "__main__":
    sys.exit(_main())
