"""An Amazon SNS with a key of its own: it signs messages, and keeps its certificate at an address."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15

from receiver.clients.errors import ClientError, ErrorKind
from tests.fakes.clock import START

TOPIC = "arn:aws:sns:eu-west-1:111122223333:ops-alarms"
CERTIFICATE_URL = "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0123456789abcdef0123456789abcdef.pem"
TOKEN = "2336412f37fb687f5d51e6e2"
UNSUBSCRIBE = "https://sns.eu-west-1.amazonaws.com/?Action=Unsubscribe&SubscriptionArn=whoever-visits-this-ends-it"
_CONFIRMATIONS = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
_NOTIFICATIONS = ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")


@cache
def key(bits: int = 2048) -> rsa.RSAPrivateKey:
    """The same one for all tests of a process: making one takes a while."""
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def certificate(
    name: str = "sns.amazonaws.com",
    *,
    begins: datetime = START - timedelta(days=1),
    days: int = 365,
    bits: int = 2048,
    alternative: str = "",
) -> bytes:
    """Self-signed: whom to trust is settled by the fetch."""
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key(bits).public_key())
        .serial_number(1)
        .not_valid_before(begins)
        .not_valid_after(begins + timedelta(days=days))
    )
    if alternative:
        made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName(alternative)]), critical=False)
    return made.sign(key(bits), hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def message(text: str, *, at: datetime = START, id: str = "dc1e94d9-56c5-5e96-808d-cc7f68faa162", **changes: Any) -> dict[str, Any]:  # noqa: A002 (SNS's word)
    """A notification, not signed yet."""
    return {
        "Type": "Notification",
        "MessageId": id,
        "TopicArn": TOPIC,
        "Subject": 'ALARM: "cpu" in EU (Ireland)',
        "Message": text,
        "Timestamp": at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z",
        "SignatureVersion": "2",
        "SigningCertURL": CERTIFICATE_URL,
        "UnsubscribeURL": UNSUBSCRIBE,
        **changes,
    }


def confirmation(*, kind: str = "SubscriptionConfirmation", at: datetime = START, topic: str = TOPIC, **changes: Any) -> dict[str, Any]:
    """Of a subscription, or of its end."""
    address = f"https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn={topic}&Token={TOKEN}"
    made = message("You have chosen to subscribe.", at=at, Type=kind, Token=TOKEN, TopicArn=topic, **{"SubscribeURL": address, **changes})
    del made["Subject"]
    return made


def signed(told: dict[str, Any], *, bits: int = 2048) -> bytes:
    """The body as SNS sends it."""
    names = _NOTIFICATIONS if told["Type"] == "Notification" else _CONFIRMATIONS
    text = "".join(f"{name}\n{told[name]}\n" for name in names if told.get(name) is not None)
    algorithm = hashes.SHA1() if told["SignatureVersion"] == "1" else hashes.SHA256()
    signature = key(bits).sign(text.encode(), PKCS1v15(), algorithm)
    return json.dumps({**told, "Signature": base64.b64encode(signature).decode()}, indent=2).encode()


class Certificates:
    """Serves what is there; fails the test for every other address."""

    def __init__(self, served: dict[str, bytes] | None = None) -> None:
        self.served = {CERTIFICATE_URL: certificate()} if served is None else served
        self.asked: list[str] = []
        self.fault: ClientError | None = None
        self.forbidden = True
        """An address that is not served is a fault of ours; False: it answers 404."""

    async def load(self, url: str) -> bytes:
        self.asked.append(url)
        if self.fault is not None:
            raise self.fault
        if url not in self.served:
            assert not self.forbidden, f"{url} must never be asked for"
            raise ClientError(ErrorKind.not_found, "404")
        return self.served[url]


def alarm(state: str = "ALARM", *, at: datetime = START, name: str = "cpu", **changes: Any) -> str:
    """An alarm of an ECS service, as CloudWatch tells SNS."""
    return json.dumps(
        {
            "AlarmName": name,
            "AlarmDescription": "too busy",
            "AWSAccountId": "111122223333",
            "NewStateValue": state,
            "NewStateReason": "Threshold Crossed",
            "StateChangeTime": at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}+0000",
            "Region": "EU (Ireland)",
            "AlarmArn": f"arn:aws:cloudwatch:eu-west-1:111122223333:alarm:{name}",
            "OldStateValue": "OK",
            "Trigger": {
                "MetricName": "CPUUtilization",
                "Namespace": "AWS/ECS",
                "Dimensions": [{"name": "ServiceName", "value": "web"}, {"name": "ClusterName", "value": "shop"}],
            },
            **changes,
        }
    )
