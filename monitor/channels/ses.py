"""Amazon SES: email (docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html).

The same letter as by SMTP, but for the Message-ID, which SES replaces by one of its own.
"""

import json
from base64 import b64encode
from collections.abc import Sequence

import msgspec

from monitor.channels.aws import Account
from monitor.channels.email import Parties, envelope
from monitor.channels.interface import Message

_PATH = "/v2/email/outbound-emails"
_MOST = 50


class Settings(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The addresses, and by which account."""

    region: str
    access_key_id: str
    sender: str
    """An address of a domain that SES has verified."""
    recipients: list[str]
    endpoint: str = ""
    """https://email.REGION.amazonaws.com unless it is given."""


class Secrets(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Of an access key that may ses:SendEmail and ses:SendRawEmail, and no more."""

    secret_access_key: str


def make(name: str, settings: Settings, secrets: Secrets, allow_internal: bool) -> "Ses":
    """The channel. Raises ValueError."""
    if len(settings.recipients) > _MOST:
        raise ValueError(f"recipients: SES allows at most {_MOST}")
    account = Account(
        "ses",
        settings.region,
        settings.access_key_id,
        secrets.secret_access_key,
        settings.endpoint,
        "email",
    )
    parties = Parties.read(settings.sender, settings.recipients)
    return Ses(name, account, parties, allow_internal)


class Ses:
    """Each message to one recipient."""

    def __init__(self, name: str, account: Account, parties: Parties, allow_internal: bool) -> None:
        self.name, self._account, self._parties = name, account, parties
        self._allow_internal = allow_internal

    @property
    def recipients(self) -> Sequence[str]:
        """Their addresses, each once."""
        return self._parties.addresses

    def send(self, message: Message) -> None:
        """Accepted by SES, or SendFailed."""
        parties = self._parties.only(message.recipient)
        letter = envelope(message, parties).as_bytes()
        content = {
            "Destination": {"ToAddresses": [each.addr_spec for each in parties.recipients]},
            "Content": {"Raw": {"Data": b64encode(letter).decode()}},
        }
        body = json.dumps(content).encode()
        self._account.post(_PATH, body, "application/json", self._allow_internal)
