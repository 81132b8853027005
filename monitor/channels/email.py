"""Email by SMTP.

This uses smtplib, not apprise: a message that is sent again must have the same Message-ID, which
apprise can't set.
"""

import re
import smtplib
import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Annotated, Any, Literal, NamedTuple, Self

import msgspec

from monitor.channels import addresses
from monitor.channels.interface import Message, SendFailed
from monitor.model import SECOND
from monitor.outgoing import trust

TIMEOUT = 10
"""Seconds for each step of the SMTP session."""

Security = Literal["none", "starttls", "tls"]

# These are about the account, not about the message. An operator can fix it, so retry.
_ACCOUNT_REFUSED = frozenset({530, 534, 535, 538})


class Settings(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The server and the addresses."""

    server: str
    sender: str
    recipients: list[str]
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] = 25
    security: Security = "none"
    username: str = ""


class Secrets(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """For a server that requires a login."""

    password: str = ""


def make(name: str, settings: Settings, secrets: Secrets, allow_internal: bool) -> "Email":
    """The channel. Raises ValueError."""
    return Email(
        settings.server,
        settings.port,
        settings.security,
        settings.username,
        secrets.password,
        settings.sender,
        settings.recipients,
        name,
        allow_internal,
    )


class Email:
    """Sends each message to one recipient. Raises ValueError for an invalid address."""

    def __init__(
        self,
        server: str,
        port: int,
        security: Security,
        username: str,
        password: str,
        sender: str,
        recipients: Sequence[str],
        name: str = "email",
        allow_internal: bool = True,
    ) -> None:
        self.name, self._allow_internal = name, allow_internal
        self._server, self._port, self._security = server, port, security
        self._username, self._password = username, password
        self._parties = Parties.read(sender, recipients)

    @property
    def recipients(self) -> Sequence[str]:
        """The recipients' addresses, without duplicates."""
        return self._parties.addresses

    def send(self, message: Message) -> None:
        """Sends to the message's recipient, or to all if it names none. Raises SendFailed.

        4xx replies, lost connections and problems with the account are temporary failures; 5xx
        replies to sender, recipients or content are permanent ones.
        """
        parties = self._parties.only(message.recipient)
        mail = envelope(message, parties)
        with _failures(), self._session() as session:
            refused = session.send_message(mail)
        if refused:
            raise SendFailed(
                "; ".join(
                    f"{address}: {_reply_text(*reply)}"
                    for address, reply in sorted(refused.items())
                ),
                permanent=all(_permanent(code) for code, _ in refused.values()),
            )

    @contextmanager
    def _session(self) -> Iterator[smtplib.SMTP]:
        context = trust.tls_context()
        session = _Session(
            self._server,
            self._port,
            self._allow_internal,
            context if self._security == "tls" else None,
        )
        try:
            if self._security == "starttls":
                session.starttls(context=context)
            if self._username:
                session.login(self._username, self._password)
            yield session
            # The message is accepted already, so an error in QUIT does not matter.
            with suppress(smtplib.SMTPException, OSError):
                session.quit()
        finally:
            session.close()


class _Session(smtplib.SMTP):
    """An SMTP session with a checked address; with `context`, in TLS from the start."""

    def __init__(
        self, server: str, port: int, allow_internal: bool, context: ssl.SSLContext | None
    ) -> None:
        self._allow_internal, self._context = allow_internal, context
        super().__init__(server, port, timeout=TIMEOUT)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        plain = addresses.connect(host, port, self._allow_internal, timeout)
        if self._context is None:
            return plain
        return self._context.wrap_socket(plain, server_hostname=host)


class Parties(NamedTuple):
    """Sender and recipients."""

    sender: Address
    recipients: tuple[Address, ...]

    @classmethod
    def read(cls, sender: str, recipients: Sequence[str]) -> Self:
        """Parses addresses with or without a name. Raises ValueError for an invalid one."""
        if not recipients:
            raise ValueError("recipients: at least one is required")
        return cls(
            _address("sender", sender), tuple(_address("recipients", each) for each in recipients)
        )

    @property
    def addresses(self) -> Sequence[str]:
        """The recipients' addresses, without duplicates."""
        return tuple(dict.fromkeys(each.addr_spec for each in self.recipients))

    def only(self, recipient: str) -> Self:
        """The same with only the recipient of this address; all recipients if it is empty."""
        if not recipient:
            return self
        return self._replace(
            recipients=tuple(each for each in self.recipients if each.addr_spec == recipient)[:1]
        )


def envelope(message: Message, parties: Parties) -> EmailMessage:
    """The email. Its bytes are the same at each attempt: nothing depends on the time of sending."""
    domain = parties.sender.domain.encode("idna").decode("ascii")
    mail = EmailMessage(policy=SMTP)
    mail["From"] = parties.sender
    mail["To"] = parties.recipients
    mail["Subject"] = " ".join(message.subject.split())
    mail["Date"] = format_datetime(datetime.fromtimestamp(message.time // SECOND, UTC))
    mail["Message-ID"] = f"<{message.key}@{domain}>"
    if message.thread:  # mail clients group messages with the same reference
        mail["References"] = f"<{_local_part(message.thread)}@{domain}>"
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office replies
    mail.set_content(message.text, cte="quoted-printable")
    return mail


def _local_part(thread: str) -> str:
    """The thread as a dot-atom (RFC 5322): threads of notices contain names."""
    return re.sub(r"[^A-Za-z0-9_+=-]", "_", thread)


def _address(setting: str, text: str) -> Address:
    """The one address in `text`, with or without a name. Raises ValueError that names `setting`."""
    parsed = EmailMessage(policy=SMTP)
    wrong = f"{setting}: {text[:80]!r} is not one email address such as name@example.org"
    try:
        parsed["To"] = text
    except ValueError:  # a line break
        raise ValueError(wrong) from None
    header: Any = parsed["To"]
    if len(header.addresses) != 1 or header.defects:
        raise ValueError(wrong)
    address: Address = header.addresses[0]
    if not (address.username and address.domain):
        raise ValueError(wrong)
    return address


@contextmanager
def _failures() -> Iterator[None]:
    try:
        yield
    except addresses.Internal as error:
        raise SendFailed(str(error), permanent=False) from None
    except smtplib.SMTPRecipientsRefused as error:
        replies = error.recipients.values()
        reply = "; ".join(sorted({_reply_text(code, text) for code, text in replies}))
        raise SendFailed(
            f"no recipient was accepted: {reply}",
            permanent=all(_permanent(code) for code, _ in replies),
        ) from None
    except smtplib.SMTPAuthenticationError as error:
        # The reply's text is left out: some servers repeat the credentials.
        raise SendFailed(f"the login was refused ({error.smtp_code})", permanent=False) from None
    except (smtplib.SMTPConnectError, smtplib.SMTPHeloError) as error:
        reply = _reply_text(error.smtp_code, error.smtp_error)
        raise SendFailed(f"the server refused the connection: {reply}", permanent=False) from None
    except smtplib.SMTPResponseException as error:
        reply = _reply_text(error.smtp_code, error.smtp_error)
        raise SendFailed(f"not accepted: {reply}", permanent=_permanent(error.smtp_code)) from None
    except smtplib.SMTPServerDisconnected:
        raise SendFailed("the connection was lost", permanent=False) from None
    except smtplib.SMTPException as error:
        raise SendFailed(f"the server doesn't support it: {error}", permanent=False) from None
    except ssl.SSLCertVerificationError as error:
        detail = f"the server's certificate is not trusted: {error.verify_message}"
        raise SendFailed(detail, permanent=False) from None
    except TimeoutError:
        raise SendFailed("no answer in time", permanent=False) from None
    except OSError as error:
        detail = error.strerror or type(error).__name__
        raise SendFailed(f"no connection: {detail}", permanent=False) from None


def _permanent(code: int) -> bool:
    return 500 <= code < 600 and code not in _ACCOUNT_REFUSED


def _reply_text(code: int, text: bytes | str) -> str:
    words = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    return f"{code} {' '.join(words.split())}"[:200]
