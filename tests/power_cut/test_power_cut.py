"""With `ingest.fsync = "always"`, a power failure loses no acknowledged heartbeat.

The directory of the write-ahead log, `spool`, is on a disk that keeps only what it must: what was
synced, and at random some of what was written since (see volatile_disk.py). The real web process,
its workers and the shipper use it. At a random moment, maybe in the middle of a sync, the disk's
power is cut, all processes are killed, and the service starts again with what the disk has kept.
In half of the rounds the shipper is suspended before, so that all heartbeats depend on the log.

The state database and the store are on a disk that loses nothing: they are not the subject here.
"""

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from monitor.clock import Clock
from monitor.ingest.parse import Report
from monitor.ingest.wal.reader import WalReader
from monitor.ingest.wal.writer import WalWriter
from tests.power_cut.disk import Disk
from tests.power_cut.scene import WORKERS, Cut, Scene

SEED = int(os.environ.get("MONITOR_TEST_SEED", "0")) or random.randrange(1, 1_000_000)
ROUNDS = int(os.environ.get("MONITOR_TEST_ROUNDS", "8"))
CONTROL_ROUNDS = 2


@pytest.fixture
def chance() -> random.Random:
    print(f"MONITOR_TEST_SEED={SEED}")
    return random.Random(SEED)


@pytest.fixture
def disk(tmp_path: Path, chance: random.Random) -> Iterator[Disk]:
    disk = Disk(tmp_path, chance)
    disk.mount()
    try:
        yield disk
    finally:
        disk.unmount()


@pytest.fixture
def scene(
    request: pytest.FixtureRequest, tmp_path: Path, disk: Disk, chance: random.Random
) -> Iterator[Scene]:
    """The parameter is the setting `ingest.fsync`."""
    scene = Scene(tmp_path, disk, request.param, chance)
    try:
        scene.start()
        yield scene
    finally:
        scene.close()


def show(name: str, cut: Cut) -> None:
    print(
        f"{name}: {cut.acknowledged} acknowledged, {cut.segments} segments kept, "
        f"{len(cut.lost_before)} of them lost; {len(cut.lost)} lost of all until now"
    )


@pytest.mark.parametrize("scene", ["always"], indirect=True)
def test_no_acknowledged_heartbeat_is_lost(scene: Scene) -> None:
    segments = 0
    for number in range(ROUNDS):
        shipping, writing = number % 2 == 1, number % 4 < 2
        cut = scene.lose_power(shipping, writing, range(20, 800))
        show(f"round {number}, {shipping=}, {writing=}", cut)
        assert not cut.lost
        assert cut.acknowledged
        segments += cut.segments
    # Segments were full, and new ones started.
    assert segments > ROUNDS * WORKERS


@pytest.mark.parametrize("scene", ["interval"], indirect=True)
def test_without_a_sync_before_each_reply_some_are_lost(scene: Scene) -> None:
    """The control: it shows that the test above can fail."""
    lost = 0
    for number in range(CONTROL_ROUNDS):
        cut = scene.lose_power(shipping=False, writing=False, replies=range(500, 3000))
        show(f"round {number}", cut)
        lost += len(cut.lost_before)
    assert lost


def test_new_directory_of_the_log_survives(disk: Disk) -> None:
    clock = Clock()
    directories = [disk.path / str(number) / "spool" for number in range(5)]
    for mac, directory in enumerate(directories, start=1):
        wal = WalWriter(directory, clock, 10**6)
        wal.append([Report(mac, None, True, None)])
        wal.sync()
        wal.close()
    disk.unmount()
    disk.mount()
    for mac, directory in enumerate(directories, start=1):
        reader = WalReader(directory)
        reader.look(clock.now())
        beats = [beat.mac for segment in reader.readers for beat in segment.take()]
        reader.close()
        assert beats == [mac]
