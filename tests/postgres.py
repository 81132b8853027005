"""A real PostgreSQL server, started once and stopped when the tests end."""

import atexit
import functools
import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from tests.ports import free_port

_USER = "postgres"

_STARTING = threading.Lock()
"""Threads that ask at the same time start one server."""

EMPTY = "template1"
"""The name of an empty template database."""


def fresh_database(template: str = EMPTY) -> str:
    """The URL of a new copy of a database; skips the test where there is no PostgreSQL."""
    with _STARTING:
        server = _server()
    if server is None:
        raise _missing()
    name = f"test_{uuid4().hex}"
    with psycopg.connect(host=server, user=_USER, dbname=_USER, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    return f"postgresql://{_USER}@/{name}?host={server}"


@functools.cache
def _server() -> str | None:
    """The directory of the server's socket; it listens on no port."""
    programs = _programs()
    if programs is None:
        return None
    directory = Path(tempfile.mkdtemp(prefix="monitor-pg-"))
    atexit.register(_start(programs, directory, "-c listen_addresses=''"))
    return str(directory)


@contextmanager
def server_with_tls(certificate: Path) -> Iterator[str]:
    """The URL of the database of a server of its own, on a loopback port with this certificate,
    whose key is beside it; skips the test where there is no PostgreSQL."""
    programs = _programs()
    if programs is None:
        raise _missing()
    directory, port = Path(tempfile.mkdtemp(prefix="monitor-pg-")), free_port()
    for file in (certificate, certificate.with_suffix(".key")):
        shutil.copy(file, directory)
        (directory / file.name).chmod(0o600)
        if os.geteuid() == 0:
            shutil.chown(directory / file.name, "nobody")
    options = f"-c listen_addresses=127.0.0.1 -c port={port} -c ssl=on"
    options += f" -c ssl_cert_file={directory / certificate.name}"
    options += f" -c ssl_key_file={directory / certificate.with_suffix('.key').name}"
    stop = _start(programs, directory, options)
    try:
        yield f"postgresql://{_USER}@127.0.0.1:{port}/{_USER}"
    finally:
        stop()


def _start(programs: Path, directory: Path, options: str) -> Callable[[], None]:
    """Starts a server with its data in the directory; returns the function that stops it."""
    cluster = directory / "cluster"
    run = _as_owner_of(directory)
    run(programs / "initdb", "-D", cluster, "-U", _USER, "--auth=trust", "--no-sync", "-E", "UTF8")
    options += f" -c unix_socket_directories={directory} -c fsync=off"
    log = directory / "log"
    run(programs / "pg_ctl", "-D", cluster, "-w", "-l", log, "-o", options, "start")

    def stop() -> None:
        run(programs / "pg_ctl", "-D", cluster, "-m", "immediate", "stop")
        shutil.rmtree(directory, ignore_errors=True)

    return stop


def _missing() -> BaseException:
    reason = "no PostgreSQL server programs (initdb, pg_ctl) found"
    if os.environ.get("CI") == "true":
        return pytest.fail.Exception(reason)
    return pytest.skip.Exception(reason)


def _programs() -> Path | None:
    on_path = shutil.which("initdb")
    found = [Path(on_path).parent] if on_path else []
    found += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((place for place in found if (place / "pg_ctl").exists()), None)


def _as_owner_of(directory: Path) -> Callable[..., None]:
    """A function that runs programs, as user `nobody` if we are root: PostgreSQL refuses root."""
    prefix: list[str] = []
    if os.geteuid() == 0:
        shutil.chown(directory, "nobody")
        prefix = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]

    def run(*arguments: object) -> None:
        command = [*prefix, *(str(argument) for argument in arguments)]
        done = subprocess.run(
            command, cwd=directory, stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
        if done.returncode:
            raise RuntimeError(f"{arguments[0]} failed: {done.stdout}{done.stderr}")

    return run
