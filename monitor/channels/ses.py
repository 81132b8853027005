"""Amazon SES: email (docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html).

The email is the same as by SMTP, except that SES replaces the Message-ID.
"""

import json
from base64 import b64encode
from collections.abc import Sequence

import msgspec

from monitor.channels.aws import Account
from monitor.channels.email import Parties, envelope
from monitor.channels.interface import Message

_PATH = "/v2/email/outbound-emails"
_MAX_RECIPIENTS = 50


class Settings(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The addresses and the AWS account."""

    region: str
    access_key_id: str
    sender: str
    """An address of a domain that SES has verified."""
    recipients: list[str]
    endpoint: str = ""
    """Empty for https://email.REGION.amazonaws.com."""


class Secrets(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The secret of an access key that is allowed only ses:SendEmail and ses:SendRawEmail."""

    secret_access_key: str


def make(name: str, settings: Settings, secrets: Secrets, allow_internal: bool) -> "Ses":
    """The channel. Raises ValueError."""
    if len(settings.recipients) > _MAX_RECIPIENTS:
        raise ValueError(f"recipients: SES allows at most {_MAX_RECIPIENTS}")
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
    """Sends each message to one recipient."""

    def __init__(self, name: str, account: Account, parties: Parties, allow_internal: bool) -> None:
        self.name, self._account, self._parties = name, account, parties
        self._allow_internal = allow_internal

    @property
    def recipients(self) -> Sequence[str]:
        """The recipients' addresses, without duplicates."""
        return self._parties.addresses

    def send(self, message: Message) -> None:
        """Returns once SES accepted the message. Raises SendFailed."""
        parties = self._parties.only(message.recipient)
        mail = envelope(message, parties).as_bytes()
        content = {
            "Destination": {"ToAddresses": [each.addr_spec for each in parties.recipients]},
            "Content": {"Raw": {"Data": b64encode(mail).decode()}},
        }
        body = json.dumps(content).encode()
        self._account.post(_PATH, body, "application/json", self._allow_internal)
