"""Amazon SNS and SES: request signatures and error codes."""

import hashlib
import hmac
import re
import sys
from base64 import b64decode
from email import message_from_bytes
from email.policy import default

import pytest

from monitor.errors import Invalid
from monitor.outbox.catalogue import make_channel
from monitor.state.channels import Stored
from tests.channels.services import (
    AWS,
    KEY_ID,
    NUMBER,
    TOKEN,
    Kind,
    down,
    failure,
    of,
    sent,
    service,
)
from tests.receiver import Receiver, Request

__all__ = ["service"]

AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key_id>[^/]+)/(?P<scope>[^,]+), "
    r"SignedHeaders=(?P<signed>[^,]+), Signature=(?P<signature>[0-9a-f]{64})"
)

aws_kinds = pytest.mark.parametrize("kind", [of("sns"), of("ses")], ids=lambda kind: kind.kind)


def signature(request: Request, signed: str, scope: str) -> str:
    """The signature as AWS computes it: "Create a signed AWS API request" in the IAM User Guide."""
    headers = {name.lower(): value.strip() for name, value in request.headers.items()}
    names = signed.split(";")
    canonical = "\n".join(
        [
            request.method,
            request.path,
            "",
            *(f"{name}:{headers[name]}" for name in names),
            "",
            signed,
            hashlib.sha256(request.body).hexdigest(),
        ]
    )
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    text = f"AWS4-HMAC-SHA256\n{headers['x-amz-date']}\n{scope}\n{digest}"
    key = f"AWS4{TOKEN}".encode()
    for part in [*scope.split("/"), text]:
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key.hex()


@aws_kinds
def test_request_has_a_valid_aws_signature(kind: Kind, service: Receiver) -> None:
    sent(kind, service, down())
    (request,) = service.requests
    found = AUTHORIZATION.fullmatch(request.headers["Authorization"])
    assert found is not None
    date = request.headers["X-Amz-Date"][:8]
    assert found["key_id"] == KEY_ID
    assert found["scope"] == f"{date}/eu-north-1/{kind.kind}/aws4_request"
    assert {"host", "x-amz-date"} <= set(found["signed"].split(";"))
    assert found["signature"] == signature(request, found["signed"], found["scope"])


def test_ses_receives_the_same_mime_message_as_a_mail_server(service: Receiver) -> None:
    content = sent(of("ses"), service, down(name="Kessel Ä"))
    assert content["Destination"] == {"ToAddresses": ["night@example.org", "jo@example.net"]}
    raw = b64decode(content["Content"]["Raw"]["Data"])
    letter = message_from_bytes(raw, policy=default)
    assert letter["From"] == "Heartbeats <monitor@example.org>"
    assert letter["To"] == "night@example.org, Jo Doe <jo@example.net>"
    assert "Kessel Ä" in letter["Subject"]
    assert letter["Message-ID"] == "<key-down@example.org>"
    assert letter["References"] == "<thread-1@example.org>"
    assert letter["Auto-Submitted"] == "auto-generated"
    assert letter.get_content().replace("\r\n", "\n") == down(name="Kessel Ä").text


@pytest.mark.parametrize(
    ("status", "code", "permanent"),
    [
        (400, "InvalidParameter", True),
        (400, "Throttling", False),
        (429, "ThrottledException", False),
        (403, "SignatureDoesNotMatch", False),
        (403, "InvalidClientTokenId", False),
        (403, "AuthorizationError", False),
        (500, "InternalError", False),
    ],
)
def test_sns_error_code_is_in_the_failure(
    service: Receiver, status: int, code: str, permanent: bool
) -> None:
    service.status = status
    service.body = (
        '<ErrorResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><Error><Type>Sender</Type>'
        f"<Code>{code}</Code><Message>{NUMBER} {KEY_ID}</Message></Error></ErrorResponse>"
    ).encode()
    refused = failure(of("sns"), service)
    assert (refused.detail, refused.permanent) == (f"answer {status}: {code}", permanent)


@pytest.mark.parametrize(
    ("status", "code", "permanent"),
    [
        (400, "MessageRejected", True),
        (400, "BadRequestException", True),
        (400, "SendingPausedException", False),
        (400, "LimitExceededException", False),
        (429, "TooManyRequestsException", False),
        (403, "AccessDeniedException", False),
    ],
)
def test_ses_error_code_is_in_the_failure(
    service: Receiver, status: int, code: str, permanent: bool
) -> None:
    service.status = status
    service.headers = {"x-amzn-ErrorType": f"{code}:http://internal.amazon.com/coral/"}
    service.body = b'{"message": "Email address is not verified: night@example.org"}'
    refused = failure(of("ses"), service)
    assert (refused.detail, refused.permanent) == (f"answer {status}: {code}", permanent)


def test_missing_aws_package_gives_an_install_hint(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "botocore.auth", None)
    settings = {**AWS, "recipient": NUMBER}
    with pytest.raises(Invalid, match=r"install heartbeat-monitor\[aws\]"):
        make_channel(
            Stored("mine", "sns", settings, {"secret_access_key": TOKEN}), allow_internal=False
        )
