"""Where the service listens: IPv6, both versions of IP, UNIX sockets, sockets from systemd."""

import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.ports import free_port
from tests.server.serving import BEAT, MAC, SECRET, curl, missing, monitor, until_it_answers, web
from tests.service import Service
from tests.waiting import eventually

pytestmark = pytest.mark.timeout(120)

TOKEN = "0123456789abcdef"
BEARER = ("-H", f"Authorization: Bearer {TOKEN}")
EXPOSED = {"MONITOR_SERVER_SECRET_KEY": SECRET, "MONITOR_INGEST_TOKEN": TOKEN}

LAUNCHER = """
import os, socket, sys
given = socket.socket(fileno=int(sys.argv[1]))
if given.fileno() != 3:
    os.dup2(given.fileno(), 3)
os.set_inheritable(3, True)
os.environ |= {"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid())}
os.execv(sys.executable, [sys.executable, "-m", "monitor", *sys.argv[2:]])
"""
"""What systemd does for a service with a socket unit."""


class FromSystemd(Service):
    """A service that gets a listening socket."""

    given: socket.socket

    def start(self) -> None:
        """See `Service`."""
        descriptor = str(self.given.fileno())
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", LAUNCHER, descriptor, *self.command],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[self.given.fileno()],
            )


def skip_without_ipv6() -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError as error:
        missing(f"no IPv6: {error}")


def test_ipv6_address_with_and_without_brackets(tmp_path: Path) -> None:
    skip_without_ipv6()
    host = {"MONITOR_SERVER_HOST": "::1", "MONITOR_SERVER_BASE_URL": ""}
    with web(tmp_path, "http://[::1]:{port}", **host) as service:
        assert curl(f"{service.url}/heartbeat", *BEAT)[0] == 200
        assert curl(f"{service.url}/")[0] == 200
        for name in ("LocalHost", "[::1]", "[0:0:0:0:0:0:0:1]:80"):
            assert curl(f"{service.url}/", "-H", f"Host: {name}")[0] == 200, name
            assert curl(f"{service.url}/heartbeat", *BEAT, "-H", f"Host: {name}")[0] == 200, name
        other = ("-H", "Host: [::2]")
        assert curl(f"{service.url}/", *other)[0] == 400
        assert curl(f"{service.url}/heartbeat", *BEAT, *other)[0] == 421
        assert curl(f"http://127.0.0.1:{service.port}/")[0] == 0
        second = monitor(service, "web")
        assert second.returncode == 1
        assert f"can't listen on [::1]:{service.port}: Address already in use" in second.stderr


def test_both_versions_at_once_and_peers_are_shown_in_their_own(tmp_path: Path) -> None:
    skip_without_ipv6()
    host = {"MONITOR_SERVER_HOST": "::", "MONITOR_SERVER_ACCESS_LOG": "true", **EXPOSED}
    with web(tmp_path, "http://[::1]:{port}", **host) as service:
        for address in ("127.0.0.1", "[::1]"):
            url = f"http://{address}:{service.port}/heartbeat"
            assert curl(url, *BEAT, *BEARER)[0] == 200
        eventually(lambda: service.tail().count("POST /heartbeat") == 2)
        assert "127.0.0.1 - - [" in service.tail()
        assert "::1 - - [" in service.tail()
        assert "::ffff:" not in service.tail()


def test_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "monitor.sock"
    by = ("--unix-socket", str(path))
    host = {
        "MONITOR_SERVER_HOST": f"unix:{path}",
        "MONITOR_SERVER_BASE_URL": "http://Heartbeats.example",
        "MONITOR_SERVER_ACCESS_LOG": "true",
    }
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(path))
    with web(tmp_path, "http://heartbeats.example", *by, **host) as service:
        assert curl("http://localhost/heartbeat", *BEAT, *by)[0] == 200
        assert curl("http://heartbeats.example/heartbeat", *BEAT, *by)[0] == 200
        assert curl("http://other.example/heartbeat", *BEAT, *by)[0] == 421
        # Only a login opens pages: a proxy may let other hosts in.
        assert curl("http://localhost/", *by)[0] == 401
        assert curl("http://localhost/login", *by)[0] == 200
        assert curl("http://localhost/login", "-0", "-H", "Host:", *by)[0] == 200
        assert path.stat().st_mode & 0o777 == 0o777
        eventually(lambda: "\n- - - [" in service.tail())
        second = monitor(service, "web")
        assert second.returncode == 1
        assert f"can't listen on unix:{path}: Address already in use" in second.stderr
        before = {each.pid for each in service.named("web")[1:]}
        assert service.process is not None
        service.process.send_signal(signal.SIGHUP)
        eventually(lambda: not before & {each.pid for each in service.named("web")[1:]})
        assert curl("http://localhost/healthz", *by)[0] == 200
    assert not path.exists()
    assert "Traceback" not in service.tail()


def test_unix_socket_with_a_relative_path_is_replaced_after_a_kill(tmp_path: Path) -> None:
    variables = {
        "MONITOR_SERVER_HOST": "unix:monitor.sock",
        "MONITOR_SERVER_BASE_URL": "https://heartbeats.example",
    }
    path = tmp_path / "monitor.sock"
    by = ("--unix-socket", str(path))
    killed, service = Service(tmp_path, "web", **variables), Service(tmp_path, **variables)
    for each in (killed, service):
        each.working_directory, each.url = tmp_path, "http://localhost"
    monitor(killed, "migrate")
    killed.start()
    until_it_answers(killed, *by)
    killed.kill()
    assert path.exists()
    with service:
        until_it_answers(service, *by)
        assert "heartbeat-monitor: https://heartbeats.example  data: " in service.tail()
        assert curl("http://localhost/heartbeat", *BEAT, *by)[0] == 200
    assert not path.exists()


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("file", "it exists, and is not a socket"),
        ("missing/monitor.sock", "No such file or directory"),
        ("a" * 120, "AF_UNIX path too long"),
    ],
)
def test_unix_socket_that_can_not_be_opened(tmp_path: Path, path: str, reason: str) -> None:
    (tmp_path / "file").write_text("precious")
    service = Service(tmp_path, "web", MONITOR_SERVER_HOST=f"unix:{tmp_path / path}")
    monitor(service, "migrate")
    done = monitor(service, "web")
    assert done.returncode == 1
    assert done.stderr.strip() == f"monitor web: can't listen on unix:{tmp_path / path}: {reason}"
    assert (tmp_path / "file").read_text() == "precious"


@pytest.mark.parametrize("command", ["web", "serve"])
def test_socket_from_systemd(tmp_path: Path, command: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as given:
        port = given.getsockname()[1]
        # Nothing listens on the port in the settings.
        service = FromSystemd(tmp_path, command, MONITOR_SERVER_PORT=free_port())
        service.given = given
        monitor(service, "migrate")
        service.url = f"http://127.0.0.1:{port}"
        with service:
            until_it_answers(service)
            assert curl(f"{service.url}/heartbeat", *BEAT)[0] == 200
            assert curl(f"http://127.0.0.1:{service.port}/healthz")[0] == 0
            if command == "serve":
                (arbiter, *_) = service.named("web")
                arbiter.send_signal(signal.SIGKILL)
                eventually(lambda: arbiter not in service.named("web"))
                # The socket is still open, so no client is refused while the process restarts.
                assert curl(f"{service.url}/heartbeat", *BEAT)[0] == 200
        assert MAC not in service.tail()
        assert "Traceback" not in service.tail()


def test_unix_socket_from_systemd_is_not_removed(tmp_path: Path) -> None:
    path = tmp_path / "monitor.sock"
    by = ("--unix-socket", str(path))
    with socket.socket(socket.AF_UNIX) as given:
        given.bind(str(path))
        given.listen()
        service = FromSystemd(tmp_path, "web", MONITOR_SERVER_HOST=f"unix:{path}")
        service.given, service.url = given, "http://localhost"
        monitor(service, "migrate")
        with service:
            until_it_answers(service, *by)
            assert curl("http://localhost/heartbeat", *BEAT, *by)[0] == 200
        assert path.exists()


def test_socket_from_systemd_for_other_hosts_needs_the_same_setting(tmp_path: Path) -> None:
    with socket.create_server(("0.0.0.0", 0)) as given:
        service = FromSystemd(tmp_path, "web")
        service.given = given
        monitor(service, "migrate")
        service.start()
        assert service.process is not None
        assert service.process.wait(60) == 1
        assert "server.host: systemd listens on 0.0.0.0; set server.host to 0.0.0.0 too" in (
            service.tail()
        )
