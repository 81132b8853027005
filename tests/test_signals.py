"""A second signal that arrives while the first is being handled: Ctrl-C in a terminal together with
SIGTERM from a supervisor, or an impatient user."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.ports import free_port
from tests.service import environment_of

_INTERRUPTED = """
import os, signal, sys
from monitor.{module} import main

register, left = signal.signal, list(range(50))

def again(*_):
    if left:
        left.pop()
        signal.raise_signal(signal.SIGTERM)

def interrupted(number, handler):
    def handle(*given):
        os.write(1, b"handled\\n")
        sys.setprofile(again)
        handler(*given)
    register(number, handle if callable(handler) else handler)
    print("ready", flush=True)

signal.signal = interrupted
sys.exit(main())
"""
"""A `monitor` process in which another SIGTERM interrupts each step of a handler."""


@pytest.mark.parametrize("command", ["supervisor", "scheduler", "notifier"])
def test_signal_during_the_handler_of_another_does_not_hang(tmp_path: Path, command: str) -> None:
    environment = environment_of(tmp_path, free_port())
    subprocess.run([sys.executable, "-m", "monitor", "migrate"], env=environment, check=True)
    of_supervisor = ("supervisor", ["info", "text"])
    module, arguments = of_supervisor if command == "supervisor" else ("__main__", [command])
    script = _INTERRUPTED.replace("{module}", module)
    with subprocess.Popen(
        [sys.executable, "-c", script, *arguments], env=environment, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout
        while process.stdout.readline() != b"ready\n":  # the SIGTERM handler, registered first
            assert process.poll() is None
        process.terminate()
        try:
            output, _ = process.communicate(timeout=40)
        finally:
            process.kill()
    assert output.count(b"handled\n") > 1
    assert process.returncode == 0
