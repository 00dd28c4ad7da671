"""Did SNS write this message? Certificates by address, and the check of a signature: RSA, PKCS #1 v1.5, SHA-1 or (version 2) SHA-256.

Law: addresses come checked; each is fetched once, few at a time and so many a minute, whatever strangers post; failures are remembered, and
what a topic was verified with is never asked for again.
A certificate counts only while it is valid and named as SNS of that region is. `cryptography` is imported when the first message comes.
Called by the door.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol, TypeVar
from weakref import WeakValueDictionary

from receiver.clients.errors import ClientError, ErrorKind
from receiver.ingest.sns_message import Message, Refused, Unwanted
from receiver.ports import Clock

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

KEPT = 32
"""Certificates that no topic was verified with: a region has one that changes about yearly."""
FAILURES = 512
"""That are remembered: more than can be asked for until they are forgotten."""
FORGET_FAILURE_SECONDS = 600.0
FORGET_PASSING_SECONDS = 5.0
FETCHES = 2
"""At once."""
FETCHES_A_MINUTE = 20
PEER_FETCHES_A_MINUTE = 10
"""For the messages of one peer."""
WAITING = 64
"""Messages that may wait for a certificate."""
SMALLEST_KEY = 2048
PASSING = frozenset({ErrorKind.timeout, ErrorKind.unreachable, ErrorKind.unavailable, ErrorKind.throttled})

_SHA1_INFO = bytes.fromhex("3021300906052b0e03021a05000414")
"""What stands before the digest: RFC 8017, section 9.2, note 1."""

T = TypeVar("T")
Load = Callable[[str], Awaitable[bytes]]
"""Address → PEM; raises ClientError, and nothing else but for cancellation."""


class NotNow(Exception):
    """It cannot be told now: let it come again."""

    def __init__(self, reason: str, *, unreachable: bool = False) -> None:
        super().__init__(reason)
        self.unreachable = unreachable
        """SNS's address did not answer. Otherwise too much is asked for at once."""


@dataclass(frozen=True, slots=True)
class _Certificate:
    key: RSAPublicKey
    names: frozenset[str]
    valid_from: datetime
    valid_to: datetime


@dataclass(frozen=True, slots=True)
class _Failure:
    reason: str
    passing: bool
    until: float


class Verifier:
    """Belongs to one event loop."""

    def __init__(self, load: Load, *, clock: Clock) -> None:
        self._load = load
        self._clock = clock
        self._known: OrderedDict[str, _Certificate] = OrderedDict()
        self._proven: dict[str, tuple[str, _Certificate]] = {}
        """By topic: address and certificate of the last message that was signed."""
        self._failed: OrderedDict[str, _Failure] = OrderedDict()
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        """By address, while somebody waits for it."""
        self._fetches = asyncio.Semaphore(FETCHES)
        self._waiting = 0
        self._begun: list[tuple[float, str]] = []
        """(when, for whom)."""

    async def check(self, message: Message, *, peer: str = "") -> None:
        """Returns where SNS signed it; raises `Refused`, `Unwanted` where SNS signed it in vain, or `NotNow`."""
        url, topic = message.certificate_url, message.topic
        certificate = self._kept(topic, url) or await self._fetched(url, peer)
        if not certificate.names & _names_of(topic):
            raise Refused(403, "the certificate is not named as SNS of that region is")
        check_signature(certificate.key, message)
        self._proven[topic] = (url, certificate)
        if not certificate.valid_from <= self._clock.now() <= certificate.valid_to:
            raise Unwanted("the certificate is not valid now: is our clock right?")

    def _kept(self, topic: str, url: str) -> _Certificate | None:
        proven, certificate = self._proven.get(topic, ("", None))
        return certificate if proven == url else self._known.get(url)

    async def _fetched(self, url: str, peer: str) -> _Certificate:
        if self._waiting >= WAITING:
            raise NotNow("too many messages wait for a certificate")
        self._waiting += 1
        try:
            async with self._locks.setdefault(url, asyncio.Lock()), self._fetches:
                return self._known.get(url) or await self._fetch(url, peer)
        finally:
            self._waiting -= 1

    async def _fetch(self, url: str, peer: str) -> _Certificate:
        if (failure := self._failed.get(url)) is not None and self._clock.monotonic() < failure.until:
            raise _told(failure)
        self._spend(peer)
        try:
            certificate = _read(await self._load(url))
        except ClientError as no:
            raise self._remember(url, str(no), passing=no.kind in PASSING) from no
        except Refused as no:
            raise self._remember(url, no.reason, passing=False) from no
        _put(self._known, url, certificate, most=KEPT)
        return certificate

    def _spend(self, peer: str) -> None:
        """One fetch of this minute's."""
        now = self._clock.monotonic()
        self._begun = [each for each in self._begun if now - each[0] < 60]
        own = sum(1 for _, asked_by in self._begun if peer and asked_by == peer)
        if len(self._begun) >= FETCHES_A_MINUTE or own >= PEER_FETCHES_A_MINUTE:
            raise NotNow("too many certificates were asked for within a minute")
        self._begun.append((now, peer))

    def _remember(self, url: str, reason: str, *, passing: bool) -> Refused | NotNow:
        until = self._clock.monotonic() + (FORGET_PASSING_SECONDS if passing else FORGET_FAILURE_SECONDS)
        failure = _Failure(reason, passing, until)
        _put(self._failed, url, failure, most=FAILURES)
        return _told(failure)


def _told(failure: _Failure) -> Refused | NotNow:
    return NotNow(failure.reason, unreachable=True) if failure.passing else Refused(403, failure.reason)


def _put(kept: OrderedDict[str, T], url: str, value: T, *, most: int) -> None:
    kept[url] = value
    kept.move_to_end(url)
    while len(kept) > most:
        kept.popitem(last=False)


def _read(pem: bytes) -> _Certificate:
    """Raises `Refused`: not one certificate of an RSA key."""
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

    try:
        found = x509.load_pem_x509_certificates(pem)
        only = found[0] if len(found) == 1 else None
        key = only.public_key() if only is not None else None
        names = _named(only) if only is not None else frozenset()
    except (ValueError, TypeError, _unsupported()) as bad:
        raise Refused(403, "what the certificate's address answered is no certificate") from bad
    if only is None or not isinstance(key, RSAPublicKey) or key.key_size < SMALLEST_KEY:
        raise Refused(403, f"not one certificate with an RSA key of at least {SMALLEST_KEY} bits")
    return _Certificate(key, names, only.not_valid_before_utc, only.not_valid_after_utc)


def _named(certificate: x509.Certificate) -> frozenset[str]:
    """Subject's common names and alternative names, as they are written: no wildcard means anything here."""
    from cryptography import x509

    common = [str(each.value) for each in certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)]
    try:
        other = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName)
    except x509.ExtensionNotFound:
        other = []
    return frozenset((*common, *other))


def _names_of(topic: str) -> frozenset[str]:
    """As the SDK for Java 2 has them (SnsHostProvider): regions that must be opted in have names of their own."""
    _, partition, _, region, *_ = topic.split(":")
    match partition:
        case "aws-cn":
            return frozenset(f"sns-{each}.amazonaws.com.cn" for each in ("cn-north-1", "cn-northwest-1"))
        case "aws-us-gov":
            return frozenset(f"sns-{each}.amazonaws.com" for each in ("us-gov-west-1", "us-gov-east-1"))
    return frozenset({"sns.amazonaws.com", f"sns-signing.{region}.amazonaws.com"})


class _Key(Protocol):
    """Of `RSAPublicKey` what is used."""

    def verify(self, signature: bytes, data: bytes, padding: PKCS1v15, algorithm: hashes.HashAlgorithm, /) -> None: ...

    def recover_data_from_signature(self, signature: bytes, padding: PKCS1v15, algorithm: None, /) -> bytes: ...


def check_signature(key: _Key, message: Message) -> None:
    """Raises `Refused`, or `Unwanted`. 60 to 80 us: less than a way to a thread and back."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15

    algorithm = hashes.SHA256() if message.version == "2" else hashes.SHA1()  # noqa: S303 - version 1, the default of topics, is SHA-1
    try:
        key.verify(message.signature, message.signed, PKCS1v15(), algorithm)
    except InvalidSignature:
        raise Refused(403, "Signature: wrong") from None
    except _unsupported() as no:
        if not _undone(key, message):
            raise Refused(403, "Signature: wrong") from no
        raise Unwanted("Signature: SHA-1 is not allowed on this machine; set SignatureVersion 2 on the topic") from no


def _undone(key: _Key, message: Message) -> bool:
    """Whether SNS signed with SHA-1, where the machine may not say so: enough to tell a person, never to take the message."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15

    try:
        found = key.recover_data_from_signature(message.signature, PKCS1v15(), None)
    except (InvalidSignature, ValueError, _unsupported()):
        return False
    return found == _SHA1_INFO + hashlib.sha1(message.signed, usedforsecurity=False).digest()


def _unsupported() -> type[Exception]:
    from cryptography.exceptions import UnsupportedAlgorithm

    return UnsupportedAlgorithm
