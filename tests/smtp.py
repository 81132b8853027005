"""A real SMTP server on a free loopback port, which can refuse messages."""

import asyncio
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any, cast

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP as SMTPServer  # noqa: N811
from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword, Session

from tests.ports import free_port


@dataclass
class Mailbox:
    """The messages the server received, and its answers."""

    port: int = 0
    accepted: list[bytes] = field(default_factory=list)
    """The raw messages accepted with 250."""
    seen: list[bytes] = field(default_factory=list)
    """All raw messages, accepted or not."""
    recipients: list[list[str]] = field(default_factory=list)
    logins: list[tuple[str, str]] = field(default_factory=list)
    to_recipient: Callable[[str], str] = lambda _: "250 OK"
    to_content: Callable[[], str] = lambda: "250 OK"
    hangs_up_on_quit: bool = False

    @property
    def messages(self) -> list[EmailMessage]:
        """The accepted messages, parsed; lines end in \\n."""
        parsed = (
            message_from_bytes(raw.replace(b"\r\n", b"\n"), policy=default) for raw in self.accepted
        )
        return list(parsed)

    # The names of the hooks are aiosmtpd's.

    async def handle_RCPT(  # noqa: N802
        self, _server: SMTPServer, _session: Session, envelope: Envelope, address: str, _: Any
    ) -> str:
        reply = self.to_recipient(address)
        if reply.startswith("250"):
            envelope.rcpt_tos.append(address)
        return reply

    async def handle_DATA(  # noqa: N802
        self, _server: SMTPServer, _session: Session, envelope: Envelope
    ) -> str:
        raw = cast(bytes, envelope.original_content)
        self.seen.append(raw)
        reply = self.to_content()
        if reply.startswith("250"):
            self.accepted.append(raw)
            self.recipients.append(list(envelope.rcpt_tos))
        return reply

    async def handle_QUIT(  # noqa: N802
        self, server: SMTPServer, _session: Session, _envelope: Envelope
    ) -> str:
        if self.hangs_up_on_quit:
            assert isinstance(server.transport, asyncio.WriteTransport)
            server.transport.abort()
        return "221 Bye"


@contextmanager
def mailbox(
    tls: ssl.SSLContext | None = None, starttls: ssl.SSLContext | None = None, password: str = ""
) -> Iterator[Mailbox]:
    """A running server; with `password`, only logins with it may send (inside STARTTLS)."""
    box = Mailbox()

    def authenticate(
        _s: object, _session: object, _e: object, _m: object, login: Any
    ) -> AuthResult:
        given = cast(LoginPassword, login)
        box.logins.append((given.login.decode(), given.password.decode()))
        return AuthResult(success=given.password.decode() == password, handled=False)

    box.port = free_port()
    controller = Controller(
        box,
        hostname="127.0.0.1",
        port=box.port,
        ssl_context=tls,
        tls_context=starttls,
        require_starttls=starttls is not None,
        authenticator=authenticate if password else None,
        auth_required=bool(password),
    )
    controller.start()
    try:
        yield box
    finally:
        controller.stop()
