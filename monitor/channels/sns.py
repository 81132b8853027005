"""Amazon SNS: an SMS to one phone (docs.aws.amazon.com/sns/latest/api/API_Publish.html)."""

import re
from urllib.parse import urlencode

import msgspec

from monitor.channels import sms
from monitor.channels.aws import Account
from monitor.channels.interface import Message

_ATTRIBUTE = "MessageAttributes.entry.{}.{}"
_FORM = "application/x-www-form-urlencoded"


class Settings(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The recipient and the AWS account."""

    region: str
    access_key_id: str
    recipient: str
    sender_id: str = ""
    """The sender's name, in countries that allow one."""
    endpoint: str = ""
    """Empty for https://sns.REGION.amazonaws.com."""


class Secrets(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The secret of an access key that is allowed only sns:Publish."""

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
    """One phone."""

    def __init__(
        self, name: str, account: Account, number: str, sender: str, allow_internal: bool
    ) -> None:
        self.name, self._account, self._allow_internal = name, account, allow_internal
        self._fields = {"Action": "Publish", "Version": "2010-03-31", "PhoneNumber": number}
        # Transactional messages have the best delivery rate.
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
        """Returns once SNS accepted the message. Raises SendFailed."""
        body = urlencode({**self._fields, "Message": sms.text(message)}).encode()
        self._account.post("/", body, _FORM, self._allow_internal)
