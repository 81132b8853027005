"""A certificate for servers on 127.0.0.1 that the tests start."""

import ssl
import subprocess
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The path of a self-signed certificate; its key is beside it as `server.key`."""
    directory = tmp_path_factory.mktemp("tls")
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2"
    command += " -keyout server.key -out server.crt -subj /CN=test"
    command += " -addext subjectAltName=IP:127.0.0.1"
    subprocess.run(command.split(), cwd=directory, check=True, capture_output=True)
    return directory / "server.crt"


def server_context(certificate: Path) -> ssl.SSLContext:
    """A server's SSL context with that certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_suffix(".key"))
    return context
