"""A real OpenID Connect provider: the npm package oidc-provider, installed once into a cache.

The cache is the directory MONITOR_LOGIN_PROVIDER_CACHE, or one in the user's cache directory.
"""

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import pytest
import requests

from tests.ports import free_port
from tests.waiting import eventually

CLIENT = ("monitor", "the client's secret")

_HERE = Path(__file__).parent
_FILES = ("package.json", "package-lock.json", "provider.mjs")


def installed() -> Path:
    """The directory with the provider. Without node or npm, skips the test, or fails it with
    CI=true."""
    missing = [name for name in ("node", "npm") if shutil.which(name) is None]
    if missing:
        reason = f"not on PATH: {' and '.join(missing)}"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    content = hashlib.sha256(b"".join((_HERE / name).read_bytes() for name in _FILES)).hexdigest()
    user_cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    cache = Path(
        os.environ.get("MONITOR_LOGIN_PROVIDER_CACHE") or Path(user_cache, "heartbeat-monitor")
    )
    directory = cache / f"login-provider-{content[:12]}"
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (directory / "complete").exists():
            for name in _FILES:
                shutil.copy(_HERE / name, directory)
            install = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
            done = subprocess.run(install, cwd=directory, capture_output=True, text=True)
            if done.returncode:
                pytest.fail(f"npm can't install the provider: {done.stdout}{done.stderr}")
            (directory / "complete").touch()
    return directory


@contextmanager
def login_provider(
    directory: Path, back: str, users: Mapping[str, Mapping[str, Any]]
) -> Iterator[str]:
    """A running provider; yields its issuer. `back`: the redirect URI of the client; `users`: the
    claims of each user by name."""
    port = free_port()
    issuer = f"http://127.0.0.1:{port}"
    client = {"client_id": CLIENT[0], "client_secret": CLIENT[1], "redirect_uris": [back]}
    command = ["node", "provider.mjs", str(port), json.dumps(client), json.dumps(users)]
    log = subprocess.DEVNULL
    with subprocess.Popen(command, cwd=directory, stdout=log, stderr=log) as process:
        try:
            eventually(lambda: process.poll() is not None or _answers(issuer))
            assert process.poll() is None
            yield issuer
        finally:
            process.terminate()


def _answers(issuer: str) -> bool:
    try:
        return requests.get(f"{issuer}/.well-known/openid-configuration", timeout=5).ok
    except requests.ConnectionError:
        return False


def log_in(url: str, name: str, back: str) -> str:
    """Fills in the provider's forms, as a user does in a browser; returns the address to which the
    provider sends the browser back."""
    with requests.Session() as browser:
        browser.trust_env = False
        answer = browser.get(url, allow_redirects=False, timeout=10)
        for _ in range(20):
            if answer.is_redirect:
                url = urljoin(url, answer.headers["Location"])
                if url.startswith(back):
                    return url
                answer = browser.get(url, allow_redirects=False, timeout=10)
                continue
            assert answer.ok, answer.text
            action = re.search(r'<form[^>]* action="([^"]+)"', answer.text)
            assert action, answer.text
            fields = dict(re.findall(r'<input[^>]* name="(\w+)"[^>]* value="([^"]*)"', answer.text))
            typed = {"login": name, "password": "anything"} if 'name="login"' in answer.text else {}
            url = urljoin(url, unescape(action[1]))
            answer = browser.post(url, {**fields, **typed}, allow_redirects=False, timeout=10)
    raise AssertionError(f"the provider asks again and again: {url}")
