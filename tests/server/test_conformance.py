"""The live server against a table of raw requests; h11 reads the answers."""

import socket
from collections.abc import Iterator

import h11
import pytest

from tests.server.cases import BEAT, CASES, Case
from tests.service import Service

PATIENCE = 20.0


class Answers:
    """Reads the answers of one connection, one after the other."""

    def __init__(self, port: int) -> None:
        self.connection = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self._rest = b""

    def one(self, method: str) -> tuple[int, bytes]:
        """Status and body of the next answer, an interim one included."""
        reader = h11.Connection(h11.CLIENT)
        reader.send(h11.Request(method=method, target="/", headers=[("Host", "a")]))
        reader.send(h11.EndOfMessage())
        if self._rest:
            reader.receive_data(self._rest)
        status, body = 0, b""
        while True:
            event = reader.next_event()
            if event is h11.NEED_DATA:
                reader.receive_data(self.connection.recv(1 << 16))
            elif isinstance(event, h11.InformationalResponse):
                self._rest = reader.trailing_data[0]
                return event.status_code, b""
            elif isinstance(event, h11.Response):
                status = event.status_code
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                self._rest = reader.trailing_data[0]
                return status, body
            else:
                raise AssertionError(f"{event} after status {status}")

    def is_closed(self) -> bool:
        """Wait until the server closes its side; False if it sends something else."""
        try:
            return not self._rest and self.connection.recv(1 << 16) == b""
        except ConnectionResetError:
            return True


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    rate = {"MONITOR_INGEST_RATE_PER_SENSOR": 1_000_000}
    with Service(tmp_path_factory.mktemp("service"), **rate) as service:
        service.ready()
        yield service


@pytest.fixture
def answers(service: Service) -> Iterator[Answers]:
    made = Answers(service.port)
    with made.connection:
        yield made


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_request_gets_the_expected_answers(service: Service, answers: Answers, case: Case) -> None:
    answers.connection.sendall(case.sent)
    check(answers, case)
    assert "Traceback" not in service.tail()


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_answers_do_not_depend_on_packets(answers: Answers, case: Case) -> None:
    """Each byte in a packet of its own, as far as the server accepts them."""
    answers.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        for start in range(0, len(case.sent), 1 if len(case.sent) < 1_000 else 97):
            answers.connection.sendall(
                case.sent[start : start + (1 if len(case.sent) < 1_000 else 97)]
            )
    except (BrokenPipeError, ConnectionResetError):
        assert not case.stays
    check(answers, case)


def check(answers: Answers, case: Case) -> None:
    methods = [*case.methods, *["GET"] * len(case.statuses)]
    got = [answers.one(methods[n])[0] for n in range(len(case.statuses))]
    assert got == list(case.statuses)
    if case.stays:
        answers.connection.sendall(BEAT)
        assert answers.one("POST")[0] == 200
    else:
        assert answers.is_closed()
