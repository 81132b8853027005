"""Questions to InfluxDB in InfluxQL, which answers them two to four times faster than Flux.

Answers are asked for as JSON. As CSV InfluxDB answers 200 and nothing at all when a statement
fails, for a bucket that is missing or that the token may not read among others: nothing must never
be taken for "nobody was heard".
"""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager

import msgspec
import requests

from monitor.decoding import from_json
from monitor.model import SECOND, format_mac
from monitor.store.influx_answers import foreign, is_influxdb
from monitor.store.interface import StoreUnavailable

_ROWS_A_CHUNK = 10_000
Value = int | float | str | bool | None


class Series(msgspec.Struct, gc=False):
    """Rows of one answer, those of one series where it was grouped by tags."""

    columns: list[str]
    values: list[list[Value]]
    tags: dict[str, str] = {}


class _Result(msgspec.Struct, gc=False):
    statement_id: int
    series: list[Series] = []
    error: str | None = None
    partial: bool = False


class _Answer(msgspec.Struct, gc=False):
    results: list[_Result] = []
    error: str | None = None


class Influxql:
    """A session with one server. Everything raises StoreUnavailable."""

    def __init__(self, url: str, token: str, timeout: int, patience: int | None = None) -> None:
        """`timeout` in ms; no question may take longer than `patience` (ms)."""
        self._url, self._timeout = f"{url}/query", min(timeout, patience or timeout)
        self._patience = patience
        self._session = requests.Session()
        # A proxy or .netrc of the environment would hold for the queries and not for the writes.
        self._session.trust_env = False
        self._session.headers.update(
            {"Authorization": f"Token {token}", "Accept": "application/json"}
        )

    def ask(
        self, bucket: str, query: str, epoch: str = "ms", timeout: int | None = None
    ) -> list[Series]:
        """The whole answer; `timeout` in ms where this question may take longer than others."""
        return self.ask_all(bucket, [query], epoch, timeout)[0]

    def ask_all(
        self, bucket: str, queries: Sequence[str], epoch: str = "ms", timeout: int | None = None
    ) -> list[list[Series]]:
        """The answers to several questions, asked together."""
        query, how = ";\n".join(queries), {"epoch": epoch}
        with self._asked(bucket, query, how, timeout or self._timeout) as answer:
            results = _results(answer.content)
        if len(results) != len(queries) or any(result.partial for result in results):
            raise StoreUnavailable("InfluxDB sent an incomplete answer")
        return [result.series for result in results]

    def stream(self, bucket: str, query: str, timeout: int) -> Iterator[Series]:
        """The answer while it is made, in pieces of some thousand rows."""
        how = {"epoch": "ms", "chunked": "true", "chunk_size": str(_ROWS_A_CHUNK)}
        with self._asked(bucket, query, how, timeout) as answer:
            result = _Result(0, partial=True)
            for line in answer.iter_lines(chunk_size=1 << 16):
                if line:
                    (result,) = _results(line)
                    yield from result.series
        if result.partial:
            raise StoreUnavailable("InfluxDB ended its answer too early")

    @contextmanager
    def _asked(
        self, bucket: str, query: str, how: dict[str, str], timeout: int
    ) -> Iterator[requests.Response]:
        timeout = min(timeout, self._patience or timeout)
        try:
            with self._session.post(
                self._url,
                params={"db": bucket, **how},
                data={"q": query},
                timeout=(self._timeout / SECOND, timeout / SECOND),
                stream=True,
                allow_redirects=False,
            ) as answer:
                if not is_influxdb(answer.headers):
                    raise foreign(answer.status_code, answer.headers)
                if answer.status_code != requests.codes.ok:
                    reason = answer.text[:200]
                    raise StoreUnavailable(f"InfluxDB answered {answer.status_code}: {reason}")
                yield answer
        except requests.RequestException as error:
            raise StoreUnavailable(f"InfluxDB can't be reached: {type(error).__name__}") from error

    def close(self) -> None:
        """Release connections."""
        self._session.close()


def within(since: int, stop: int | None, macs: Sequence[int] | None) -> str:
    """since <= time < stop (ms), of these sensors; None: no such bound."""
    conditions = f"time >= {since}ms"
    if stop is not None:
        conditions += f" AND time < {stop}ms"
    return conditions if macs is None else f"{conditions} AND {named(macs)}"


def named(macs: Sequence[int]) -> str:
    """These sensors."""
    names = " OR ".join(f"mac = '{format_mac(mac)}'" for mac in macs)
    return f"({names})"


def chunks(macs: Collection[int], size: int) -> Iterator[list[int]]:
    """The same sensors in order, at most `size` at a time."""
    ordered = sorted(macs)
    for start in range(0, len(ordered), size):
        yield ordered[start : start + size]


def integer(value: Value) -> int:
    """Raises StoreUnavailable: somebody else wrote what is no integer there."""
    if not isinstance(value, int):
        raise StoreUnavailable(f"InfluxDB holds {value!r:.40} where an integer is expected")
    return value


def _results(text: bytes) -> list[_Result]:
    """One for each statement."""
    try:
        answer = from_json(text, _Answer)
    except msgspec.DecodeError as error:
        raise StoreUnavailable(f"InfluxDB sent an invalid answer: {text[:80]!r}") from error
    for problem in (answer.error, *(result.error for result in answer.results)):
        if problem:
            raise StoreUnavailable(f"InfluxDB answered: {problem[:200]}")
    if not answer.results:
        raise StoreUnavailable("InfluxDB sent an empty answer")
    return answer.results
