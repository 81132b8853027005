"""A real InfluxDB 2.9.1 for the tests: found or built (`build.sh`), started, killed, started again.

    with InfluxdServer(require_influxd(), tmp_path / "influxd") as server:
        client = InfluxDBClient(server.url, server.token, org=server.org)

Where `INFLUXDB_V2_URL` names a server, `external_influxd()` gives its address instead; such a
server cannot be killed, so tests that do that still need one of their own.
"""

import os
import secrets
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import NamedTuple, Self

import pytest
import requests

from tests.ports import free_port

VERSION = "2.9.1"
START_SECONDS = 60.0
STOP_SECONDS = 20.0
POLL_SECONDS = 0.05


class InfluxdError(RuntimeError):
    """The server did not start, or refused its set-up; the message ends with its log."""


class Access(NamedTuple):
    """The address and credentials of a server."""

    url: str
    org: str
    token: str


def external_influxd() -> Access | None:
    """Return the server named by INFLUXDB_V2_URL, _ORG and _TOKEN; None without a URL.

    Raises KeyError, naming the variable, when there is a URL but no organisation or token.
    """
    if not os.environ.get("INFLUXDB_V2_URL"):
        return None
    return Access(*(os.environ[f"INFLUXDB_V2_{name}"] for name in ("URL", "ORG", "TOKEN")))


def find_influxd() -> Path | None:
    """Return the binary: MONITOR_TEST_INFLUXD, else `influxd` on PATH, else what build.sh cached.

    Raises FileNotFoundError when MONITOR_TEST_INFLUXD names no file: a typing error there must not
    silently choose another version.
    """
    if named := os.environ.get("MONITOR_TEST_INFLUXD"):
        if not Path(named).is_file():
            raise FileNotFoundError(f"MONITOR_TEST_INFLUXD: no such file: {named}")
        return Path(named).resolve()
    if found := shutil.which("influxd"):
        return Path(found).resolve()
    user_cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    cache = os.environ.get("MONITOR_INFLUXD_CACHE") or Path(user_cache, "heartbeat-monitor")
    built = Path(cache, f"influxd-{VERSION}", "influxd")
    return built.resolve() if built.is_file() else None


def require_influxd() -> Path:
    """Return the binary; without one skip the test, or fail it where CI=true."""
    if binary := find_influxd():
        return binary
    reason = "no influxd: set MONITOR_TEST_INFLUXD, put it on PATH or run tests/influxd/build.sh"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


class InfluxdServer:
    """One influxd on a loopback port, everything it writes below `directory`.

    Port, data and token stay the same over `kill()` or `stop()` and `start()`. Should the test
    process die, a companion process notices its end of a pipe close and kills the server;
    PR_SET_PDEATHSIG would do so already when the *thread* that started the server ends. Processes
    forked (not executed) by the tests hold that pipe too and so keep the server alive.
    """

    org = "monitor"
    bucket = "heartbeats"

    def __init__(
        self,
        binary: Path,
        directory: Path,
        certificate: Path | None = None,
        authority: Path | None = None,
    ) -> None:
        """`certificate`: to listen with TLS; its key is beside it. `authority`: who signed it."""
        self.directory = directory
        self.port = free_port()
        self.url = f"{'https' if certificate else 'http'}://127.0.0.1:{self.port}"
        self.token = secrets.token_hex(16)
        self.log = directory / "influxd.log"
        self.process: subprocess.Popen[bytes] | None = None
        self._binary, self._certificate, self._authority = binary, certificate, authority
        self._companion: subprocess.Popen[bytes] | None = None
        self._is_set_up = False

    @property
    def access(self) -> Access:
        return Access(self.url, self.org, self.token)

    @property
    def pid(self) -> int:
        """The process id; raises InfluxdError when the server was not started or has been ended."""
        if self.process is None:
            raise InfluxdError("influxd is not running")
        return self.process.pid

    def start(self) -> None:
        """Start the server and return once it answers; the first time, set it up.

        Raises InfluxdError when it is running already, ends at once, or is not healthy in time.
        """
        if self.process is not None:
            raise InfluxdError("influxd is running already")
        self.directory.mkdir(parents=True, exist_ok=True)
        data = self.directory.resolve()
        arguments = {
            "--bolt-path": data / "influxd.bolt",
            "--sqlite-path": data / "influxd.sqlite",
            "--engine-path": data / "engine",
            "--http-bind-address": f"127.0.0.1:{self.port}",
            "--log-level": "warn",
        }
        if self._certificate:
            arguments["--tls-cert"] = self._certificate
            arguments["--tls-key"] = self._certificate.with_suffix(".key")
        # influxd also reads settings from its working directory and its environment.
        environment = {k: v for k, v in os.environ.items() if not k.startswith("INFLUXD_")}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [self._binary, "--reporting-disabled", *(f"{k}={v}" for k, v in arguments.items())],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=data,
                env=environment,
                start_new_session=True,
            )
        self._companion = subprocess.Popen(
            ["/bin/sh", "-c", 'read -r _; kill -9 "$1"', "sh", str(self.process.pid)],
            stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            self._wait_until_healthy()
            if not self._is_set_up:
                self._set_up()
        except BaseException:
            self.kill()
            raise

    def kill(self) -> None:
        """End the server with SIGKILL, as a crash would; nothing happens when it is not running."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Stop the server with SIGTERM, and SIGKILL after a timeout; may be called twice."""
        self._end(signal.SIGTERM)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()

    def _end(self, how: signal.Signals) -> None:
        process, self.process = self.process, None
        companion, self._companion = self._companion, None
        if process is not None:
            process.send_signal(how)
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if companion is not None:
            # Kill it. Closing the pipe would make it kill a process id that may be reused.
            companion.kill()
            companion.communicate()

    def _wait_until_healthy(self) -> None:
        assert self.process is not None
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if (code := self.process.poll()) is not None:
                raise InfluxdError(f"influxd ended with {code}{self._log_tail()}")
            try:
                if self._request("GET", "/health").json().get("status") == "pass":
                    return
            except requests.RequestException:
                pass
            time.sleep(POLL_SECONDS)
        raise InfluxdError(f"influxd not healthy after {START_SECONDS:.0f} s{self._log_tail()}")

    def _set_up(self) -> None:
        body = {"org": self.org, "bucket": self.bucket, "token": self.token}
        body |= {"username": "monitor", "password": secrets.token_hex(16)}
        answer = self._request("POST", "/api/v2/setup", body)
        if answer.status_code != requests.codes.created:
            raise InfluxdError(f"set-up refused: {answer.status_code} {answer.text}")
        self._is_set_up = True

    def _request(
        self, method: str, path: str, body: dict[str, str] | None = None
    ) -> requests.Response:
        with requests.Session() as session:
            session.trust_env = False  # ignore proxy settings of the environment on loopback
            if self._authority:
                session.verify = str(self._authority)
            return session.request(method, self.url + path, json=body, timeout=10)

    def _log_tail(self) -> str:
        return "\n" + self.log.read_text(errors="replace")[-4000:]
