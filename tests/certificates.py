"""Certificates for servers on this host that the tests start."""

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


class Authority:
    """A certificate authority. Clients trust `certificate`."""

    def __init__(self, directory: Path) -> None:
        self.certificate, self._key = directory / "authority.crt", directory / "authority.key"
        self._make(self.certificate, self._key, "/CN=authority")

    def issue(self, certificate: Path, name: str = "server") -> Path:
        """Write a certificate for this host, also by this name, and its key beside it; return the
        path of the key."""
        key = certificate.with_suffix(".key")
        signed = f"-CA {self.certificate} -CAkey {self._key}"
        names = f"subjectAltName=IP:127.0.0.1,IP:::1,DNS:localhost,DNS:{name}"
        self._make(certificate, key, f"/CN={name} {signed} -addext {names}")
        return key

    def _make(self, certificate: Path, key: Path, subject: str) -> None:
        command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2"
        command += f" -keyout {key} -out {certificate} -subj {subject}"
        subprocess.run(command.split(), check=True, capture_output=True)


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """A certificate authority for the session."""
    return Authority(tmp_path_factory.mktemp("authority"))
