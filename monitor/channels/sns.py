"""Amazon SNS: an SMS to one telephone (docs.aws.amazon.com/sns/latest/api/API_Publish.html)."""

import re
from urllib.parse import urlencode

import msgspec

from monitor.channels import sms
from monitor.channels.aws import Account
from monitor.channels.interface import Message

_ATTRIBUTE = "MessageAttributes.entry.{}.{}"
_FORM = "application/x-www-form-urlencoded"


class Settings(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Whom to write to, by which account."""

    region: str
    access_key_id: str
    recipient: str
    sender_id: str = ""
    """The name it comes from, in countries that allow one."""
    endpoint: str = ""
    """https://sns.REGION.amazonaws.com unless it is given."""


class Secrets(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Of an access key that may sns:Publish, and no more."""

    secret_access_key: str


def make(name: str, settings: Settings, secrets: Secrets, allow_internal: bool) -> "Sns":
    """The channel. Raises ValueError."""
    sender = settings.sender_id
    if sender and not re.fullmatch(r"(?=.*[A-Za-z])[A-Za-z0-9-]{1,11}", sender):
        raise ValueError(
            "sender_id: must be at most 11 letters, digits and -, with at least one letter"
        )
    number = sms.checked_number("recipient", settings.recipient)
    account = Account(
        "sns",
        settings.region,
        settings.access_key_id,
        secrets.secret_access_key,
        settings.endpoint,
        "sns",
    )
    return Sns(name, account, number, sender, allow_internal)


class Sns:
    """One telephone."""

    def __init__(
        self, name: str, account: Account, number: str, sender: str, allow_internal: bool
    ) -> None:
        self.name, self._account, self._allow_internal = name, account, allow_internal
        self._fields = {"Action": "Publish", "Version": "2010-03-31", "PhoneNumber": number}
        # Transactional: delivered rather than cheap.
        attributes = {"AWS.SNS.SMS.SMSType": "Transactional"}
        if sender:
            attributes["AWS.SNS.SMS.SenderID"] = sender
        for position, (key, value) in enumerate(attributes.items(), 1):
            self._fields |= {
                _ATTRIBUTE.format(position, "Name"): key,
                _ATTRIBUTE.format(position, "Value.DataType"): "String",
                _ATTRIBUTE.format(position, "Value.StringValue"): value,
            }

    def send(self, message: Message) -> None:
        """Accepted by SNS, or SendFailed."""
        body = urlencode({**self._fields, "Message": sms.text(message)}).encode()
        self._account.post("/", body, _FORM, self._allow_internal)
