"""Queries to InfluxDB in InfluxQL, which is two to four times faster than Flux.

Results are requested as JSON. With CSV, InfluxDB answers 200 with an empty body if a statement
fails, for example because the bucket is missing or the token may not read it. An empty result would
then look as if no sensor had reported.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager

import msgspec
import requests

from monitor.decoding import from_json
from monitor.model import SECOND, format_mac
from monitor.outgoing.http import Session
from monitor.store.influx_answers import NO_TLS, foreign, is_influxdb
from monitor.store.interface import StoreUnavailable

_ROWS_PER_CHUNK = 10_000
Value = int | float | str | bool | None


class Series(msgspec.Struct, gc=False):
    """Rows of a result; if it is grouped by tags, those of one series."""

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
    """A session with one server. Every method raises StoreUnavailable."""

    def __init__(self, url: str, token: str, timeout: int, patience: int | None = None) -> None:
        """`timeout`: the default for a query (ms); `patience`: the maximum for all queries (ms)."""
        self._server, self._timeout = url, min(timeout, patience or timeout)
        self._patience = patience
        self._session = Session()
        self._session.headers.update(
            {"Authorization": f"Token {token}", "Accept": "application/json"}
        )

    def ask(
        self, bucket: str, query: str, epoch: str = "ms", timeout: int | None = None
    ) -> list[Series]:
        """The result of one statement; `timeout` in ms if it may take longer than the default."""
        return self.ask_all(bucket, [query], epoch, timeout)[0]

    def ask_all(
        self, bucket: str, queries: Sequence[str], epoch: str = "ms", timeout: int | None = None
    ) -> list[list[Series]]:
        """The results of several statements, sent in one request."""
        query, options = ";\n".join(queries), {"epoch": epoch}
        with self._request(bucket, query, options, timeout or self._timeout) as answer:
            results = _results(answer.content)
        if len(results) != len(queries) or any(result.partial for result in results):
            raise StoreUnavailable("InfluxDB sent an incomplete answer")
        return [result.series for result in results]

    def stream(self, bucket: str, query: str, timeout: int) -> Iterator[Series]:
        """Streams the result in pieces of some thousand rows."""
        options = {"epoch": "ms", "chunked": "true", "chunk_size": str(_ROWS_PER_CHUNK)}
        with self._request(bucket, query, options, timeout) as answer:
            result = _Result(0, partial=True)
            for line in answer.iter_lines(chunk_size=1 << 16):
                if line:
                    (result,) = _results(line)
                    yield from result.series
        if result.partial:
            raise StoreUnavailable("InfluxDB ended its answer too early")

    def _request(
        self, bucket: str, query: str, options: dict[str, str], timeout: int
    ) -> AbstractContextManager[requests.Response]:
        parameters = {"db": bucket, **options}
        return self._post(f"{self._server}/query", parameters, {"q": query}, timeout)

    @contextmanager
    def _post(
        self,
        url: str,
        parameters: Mapping[str, str],
        body: bytes | Mapping[str, str],
        timeout: int,
        headers: Mapping[str, str] | None = None,
    ) -> Iterator[requests.Response]:
        timeout = min(timeout, self._patience or timeout)
        try:
            with self._session.post(
                url,
                params=parameters,
                data=body,
                headers=headers,
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
        except requests.exceptions.SSLError as error:
            raise StoreUnavailable(NO_TLS) from error
        except requests.RequestException as error:
            raise StoreUnavailable(f"InfluxDB can't be reached: {type(error).__name__}") from error

    def flux(self, org: str, query: str) -> bytes:
        """The result of a query in Flux, as CSV."""
        with self._post(
            f"{self._server}/api/v2/query",
            {"org": org},
            query.encode(),
            self._timeout,
            {"Content-Type": "application/vnd.flux", "Accept": "application/csv"},
        ) as answer:
            return answer.content

    def close(self) -> None:
        """Closes the connections."""
        self._session.close()


def within(since: int, stop: int | None, macs: Sequence[int] | None) -> str:
    """The condition since <= time < stop (ms) for these sensors. None: no such condition."""
    conditions = f"time >= {since}ms"
    if stop is not None:
        conditions += f" AND time < {stop}ms"
    return conditions if macs is None else f"{conditions} AND {named(macs)}"


def named(macs: Sequence[int]) -> str:
    """The condition for these sensors."""
    names = " OR ".join(f"mac = '{format_mac(mac)}'" for mac in macs)
    return f"({names})"


def chunks(macs: Collection[int], size: int) -> Iterator[list[int]]:
    """The sensors in order, in lists of at most `size`."""
    ordered = sorted(macs)
    for start in range(0, len(ordered), size):
        yield ordered[start : start + size]


def integer(value: Value) -> int:
    """The value as an integer. Raises StoreUnavailable if another writer stored something else."""
    if not isinstance(value, int):
        raise StoreUnavailable(f"InfluxDB holds {value!r:.40} where an integer is expected")
    return value


def _results(text: bytes) -> list[_Result]:
    """The results, one for each statement."""
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
