"""Twilio: an SMS to one phone (twilio.com/docs/messaging/api/message-resource).

Accepted means queued at Twilio. Only Twilio's console shows whether the phone received it.
"""

import re
from base64 import b64encode

import msgspec

from monitor.channels import http, sms
from monitor.channels.interface import Message, SendFailed
from monitor.decoding import from_json

_SERVICE = re.compile(r"MG[0-9a-f]{32}")
_SENDER = re.compile(r"[0-9]{3,8}|(?=.*[A-Za-z])[A-Za-z0-9 ]{1,11}")
_QUEUE_FULL = 21611


class Settings(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The account, the sender and the recipient."""

    account_sid: str
    sender: str
    """A number, a short code, a name, or the SID of a messaging service."""
    recipient: str
    endpoint: str = "https://api.twilio.com"


class Secrets(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The account's token."""

    auth_token: str


class _Reply(msgspec.Struct):
    code: int = 0


def make(name: str, settings: Settings, secrets: Secrets, allow_internal: bool) -> "Twilio":
    """The channel. Raises ValueError."""
    endpoint = http.checked_url("endpoint", settings.endpoint)
    account = settings.account_sid
    if not re.fullmatch(r"AC[0-9a-f]{32}", account):
        raise ValueError("account_sid: must be AC and 32 digits or letters a to f")
    if not re.fullmatch(r"[A-Za-z0-9]{16,64}", secrets.auth_token):
        raise ValueError("auth_token: must be the token shown in Twilio's console")
    sender = settings.sender.strip()
    if _SERVICE.fullmatch(sender):
        parties = {"MessagingServiceSid": sender}
    elif _SENDER.fullmatch(sender):
        parties = {"From": sender}
    else:
        parties = {"From": sms.checked_number("sender", sender)}
    parties["To"] = sms.checked_number("recipient", settings.recipient)
    url = f"{endpoint}/2010-04-01/Accounts/{account}/Messages.json"
    login = b64encode(f"{account}:{secrets.auth_token}".encode()).decode()
    return Twilio(name, url, f"Basic {login}", parties, allow_internal)


class Twilio:
    """One phone."""

    def __init__(
        self, name: str, url: str, login: str, parties: dict[str, str], allow_internal: bool
    ) -> None:
        self.name, self._url, self._login, self._parties = name, url, login, parties
        self._allow_internal = allow_internal

    def send(self, message: Message) -> None:
        """Returns once Twilio accepted the message. Raises SendFailed."""
        fields = {**self._parties, "Body": sms.text(message)}
        headers = {"Authorization": self._login}
        try:
            http.post_form(self._url, fields, headers, self._allow_internal)
        except http.Refused as refused:
            raise _explained(refused) from None


def _explained(refused: http.Refused) -> SendFailed:
    """Adds Twilio's error code. Its error text is left out, because it contains phone numbers."""
    try:
        code = from_json(refused.answer.body, _Reply).code
    except msgspec.DecodeError:
        return refused
    if code:
        refused.detail += f": Twilio's error {code}"
    if code == _QUEUE_FULL:
        refused.permanent = False
    return refused
