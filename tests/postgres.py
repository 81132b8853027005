"""A real PostgreSQL server, started once and stopped when the tests end."""

import atexit
import functools
import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

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
        reason = "no PostgreSQL server programs (initdb, pg_ctl) found"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
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
    cluster = directory / "cluster"
    run = _as_owner_of(directory)
    run(programs / "initdb", "-D", cluster, "-U", _USER, "--auth=trust", "--no-sync", "-E", "UTF8")
    options = f"-c listen_addresses='' -c unix_socket_directories={directory} -c fsync=off"
    log = directory / "log"
    run(programs / "pg_ctl", "-D", cluster, "-w", "-l", log, "-o", options, "start")

    @atexit.register
    def stop() -> None:
        run(programs / "pg_ctl", "-D", cluster, "-m", "immediate", "stop")
        shutil.rmtree(directory, ignore_errors=True)

    return str(directory)


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
