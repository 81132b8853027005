"""Measures the memory of processes under load."""

import statistics
import threading
import time
from collections import defaultdict
from typing import NamedTuple, Self

import psutil

from tests.service import Service

_EVERY = 1.0


class Trend(NamedTuple):
    """The private memory (MB) of a process at both ends of a linear fit of all samples.

    Single samples are noisy: a web worker needs a tenth more during large requests.
    """

    process: str
    start: float
    end: float

    @property
    def growth(self) -> float:
        """The growth as a share of the first value."""
        return self.end / self.start - 1

    def __str__(self) -> str:
        return f"{self.process:<18} {self.start:6.1f} to {self.end:6.1f} MB ({self.growth:+.1%})"


class Memory:
    """Samples the processes of a service every second while the context is open."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._samples: dict[str, list[tuple[float, float]]] = defaultdict(list)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._sample)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._ended.set()
        self._thread.join()

    def trends(self) -> list[Trend]:
        """The trend of each process that existed in all samples."""
        most = max(map(len, self._samples.values()), default=0)
        found = []
        for process, samples in self._samples.items():
            if len(samples) < max(most, 2):
                continue
            moments, sizes = zip(*samples, strict=True)
            slope, start = statistics.linear_regression(moments, sizes)
            found.append(Trend(process, start + slope * moments[0], start + slope * moments[-1]))
        return found

    def _sample(self) -> None:
        while not self._ended.wait(_EVERY):
            for process in self._service.family():
                try:
                    name = f"{process.cmdline()[-1]} {process.pid}"
                    size = process.memory_full_info().uss / 1e6
                except psutil.Error:
                    continue
                self._samples[name].append((time.monotonic(), size))
