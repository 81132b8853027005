"""Pages that wait for the store leave threads to heartbeats."""

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
from sqlalchemy import Connection, event
from werkzeug.test import Client

from monitor.state import sensors
from monitor.state.database import open_state, writing
from monitor.state.migrating import migrate
from monitor.web.turnstile import Turnstile
from tests.service import Service
from tests.waiting import eventually
from tests.web.complete_app import CompleteApp

MAC = "02:00:00:00:00:01"
PAGES = 40


@contextmanager
def silent_server() -> Iterator[int]:
    """The port of a server that accepts requests and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=1_000) as server:
        yield int(server.getsockname()[1])


def known_sensor(directory: Path) -> None:
    (directory / "data").mkdir()
    engine = open_state(f"sqlite:///{directory / 'data' / 'state.sqlite'}")
    migrate(engine)
    with writing(engine) as connection:
        sensors.configure(connection, 0x020000000001, sensors.next_version(connection))


@pytest.mark.timeout(180)
def test_heartbeats_are_accepted_while_pages_wait_for_a_hanging_store(tmp_path: Path) -> None:
    known_sensor(tmp_path)
    with silent_server() as store:
        influx = {"INFLUXDB_V2_ORG": "here", "INFLUXDB_V2_TOKEN": "t" * 20}
        influx["INFLUXDB_V2_URL"] = f"http://127.0.0.1:{store}"
        with Service(tmp_path, "web", **influx) as service, ThreadPoolExecutor(PAGES) as people:
            eventually(lambda: alive(service), 60)
            url = f"{service.url}/api/v1/sensors/{MAC}/uptime"
            began = time.monotonic()
            asked = [people.submit(requests.get, url, timeout=100) for _ in range(PAGES)]
            # Excess requests are refused, the others wait for the store.
            eventually(lambda: any(each.done() for each in asked))
            for _ in range(20):
                sent = time.monotonic()
                service.beat(MAC)
                assert time.monotonic() - sent < 10
            answers = [each.result() for each in asked]
            assert {answer.status_code for answer in answers} == {503}
            assert all(answer.headers["Retry-After"] for answer in answers)
            details = {answer.json()["detail"] for answer in answers}
            assert "The heartbeat store does not answer right now." in details
            assert time.monotonic() - began < 40  # one query alone took 60 s
            assert "Traceback" not in service.tail()


@pytest.fixture(scope="module")
def complete_app(tmp_path_factory: pytest.TempPathFactory) -> CompleteApp:
    return CompleteApp(tmp_path_factory.mktemp("whole"), "http://localhost")


def alive(service: Service) -> bool:
    try:
        return requests.get(f"{service.url}/healthz", timeout=5).status_code == 200
    except requests.ConnectionError:
        return False


class Room:
    """Pages that block until they are released."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.inside = 0

    def __call__(self, _environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        self.inside += 1
        self.go.wait(60)
        yield b"a page"


def test_number_of_concurrent_and_waiting_pages_is_limited() -> None:
    room = Room()
    client = Client(Turnstile(room, 3))

    def ask(path: str = "/incidents", accept: str = "text/html") -> Any:
        return client.get(path, headers={"Accept": accept}, buffered=True)

    with ThreadPoolExecutor(10) as people:
        inside = [people.submit(ask) for _ in range(3)]
        eventually(lambda: room.inside == 3)
        refused = [people.submit(ask) for _ in range(2)]
        eventually(lambda: any(each.done() for each in refused))
        busy = next(each for each in refused if each.done()).result()
        assert (busy.status_code, busy.headers["Refresh"]) == (503, busy.headers["Retry-After"])
        for each in refused:
            assert each.result().status_code == 503
        assert ask(accept="*/*").content_type == "application/problem+json"
        assert ask("/healthz-and-more").status_code == 503
        quick = people.submit(ask, "/static/x/app.css")
        eventually(lambda: room.inside == 4)
        room.go.set()
        assert quick.result().text == "a page"
        assert [each.result().status_code for each in inside] == [200] * 3
    assert [ask().status_code for _ in range(5)] == [200] * 5  # each freed its place for the next


def test_failed_page_frees_its_place() -> None:
    def failing(_environ: Any, _start_response: Any) -> Any:
        raise LookupError

    client = Client(Turnstile(failing, 1))
    for _ in range(3):
        with pytest.raises(LookupError):
            client.get("/")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/healthz"),
        ("POST", "/healthz"),
        ("GET", "/static/nothing"),
        ("GET", "/static/x/nothing.css"),
        ("POST", "/static/x/grid.js"),
    ],
)
def test_requests_that_bypass_the_turnstile_do_not_query_the_state(
    complete_app: CompleteApp, method: str, path: str
) -> None:
    transactions: list[Connection] = []
    event.listen(complete_app.engine, "begin", transactions.append)
    headers = {"Accept": "text/html", "Authorization": "Bearer of-no-one"}
    answer = complete_app.app.test_client().open(path, method=method, headers=headers)
    assert answer.status_code in (200, 404, 405)
    assert transactions == []
