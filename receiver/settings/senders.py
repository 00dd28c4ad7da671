"""What a sender of webhooks may be configured with: its credentials, how it signs, and for any other sender where what stands in its body.

Law: a door without a credential is refused, a path is checked when it is read. Shapes only; `sections` puts them into the file.
"""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from receiver.ingest.bodypath import BodyPath
from receiver.ingest.generic import RESERVED, Mapped
from receiver.ingest.signature import Scheme, Signing
from receiver.secret import Secret
from receiver.settings.secrets import ApiSecret
from receiver.yamlfile import Duration, Strict

_HEADER = re.compile(r"[A-Za-z0-9-]{1,64}", re.ASCII)
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]{0,63}", re.ASCII)
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}", re.ASCII)
LABELS_LIMIT = 32


def _header(value: str) -> str:
    if not _HEADER.fullmatch(value):
        raise ValueError(f"{value[:80]!r} is not the name of a header: letters, digits and '-', at most 64")
    return value


def _fixed_label(value: str) -> str:
    if not _LABEL.fullmatch(value):
        raise ValueError(f"{value[:80]!r} is not the name of a label: letters, digits and '_', no digit first, at most 64")
    if value in RESERVED - {"severity"}:
        raise ValueError(f"label {value!r} is made by the mapping itself; give another name")
    return value


def _label(value: str) -> str:
    _fixed_label(value)
    if value in RESERVED:
        raise ValueError(f"label {value!r} has a key of its own; give another name")
    return value


def _name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise ValueError(f"{value[:80]!r} is not a name for a webhook: lower case letters, digits and '-', at most 32")
    return value


def _path(value: str) -> str:
    return BodyPath.of(value).text


def _certain(value: str) -> str:
    if value.endswith("?"):
        raise ValueError(f"{value[:80]!r} must not end in '?': without it no alert can be told from another")
    return value


def _one_or_more(value: object) -> object:
    return (value,) if isinstance(value, str) else value


Text = Annotated[str, Field(min_length=1, max_length=1024)]
Header = Annotated[str, AfterValidator(_header)]
Label = Annotated[str, AfterValidator(_label)]
FixedLabel = Annotated[str, AfterValidator(_fixed_label)]
WebhookName = Annotated[str, AfterValidator(_name)]
BodyPlace = Annotated[str, AfterValidator(_path)]
"""As `data.issue.id`."""
CertainPlace = Annotated[BodyPlace, AfterValidator(_certain)]
Words = Annotated[tuple[Text, ...], BeforeValidator(_one_or_more)]
MaxAge = Annotated[Duration, Field(ge=timedelta(seconds=10), le=timedelta(hours=1))]


class Basic(Strict):
    """HTTP basic authentication."""

    username: Text
    password: ApiSecret
    """Or `password_file`. At least 16 characters."""
    password_file: Path | None = None


class Bearing(Strict):
    """Who may show a token or a password."""

    token: ApiSecret | None = None
    """A bearer token of at least 16 characters, or `token_file`, or several at once by `token_files` (while one is being rotated)."""
    token_file: Path | None = None
    tokens: tuple[ApiSecret, ...] = ()
    token_files: tuple[Path, ...] = ()
    basic: Basic | None = None
    """Instead of, or beside, bearer tokens."""

    @property
    def bearers(self) -> tuple[Secret, ...]:
        """All bearer tokens, however they were given."""
        return (*((self.token,) if self.token else ()), *self.tokens)


class Hmac(Strict):
    """A signature over the body, asked for beside a token where both are given."""

    secret: ApiSecret | None = None
    """Or `secret_file`, or several at once by `secret_files`. At least 16 characters."""
    secret_file: Path | None = None
    secrets: tuple[ApiSecret, ...] = ()
    secret_files: tuple[Path, ...] = ()
    header: Header
    """That holds the signature. Wrong: every delivery is answered 401."""
    prefix: Annotated[str, Field(max_length=32)] = ""
    """Before the hex digits, as `sha256=`."""
    scheme: Scheme = Scheme.body
    """`body`: hex of HMAC-SHA256 over the body. `stripe`: `t=…,v1=…` over time and body."""
    timestamp_header: Header | None = None
    """Of the scheme body: the header whose seconds are signed as `<seconds>:<body>`. None: no time is signed, so a captured delivery can be
    sent again."""
    max_age: MaxAge = timedelta(minutes=5)
    """Between the signed time and ours, 10s to 1h. Too short: a slow clock loses alerts. Too long: a captured delivery is taken again."""

    @model_validator(mode="after")
    def _some_secret(self) -> Hmac:
        if not self.all_secrets:
            raise ValueError("has no secret; give secret_file or secret_files")
        if self.scheme is Scheme.stripe and (self.prefix or self.timestamp_header):
            raise ValueError("scheme stripe has its time and prefix in the one header; leave out prefix and timestamp_header")
        return self

    @property
    def signing(self) -> Signing:
        """As the door judges it."""
        return Signing(self.header, self.prefix, self.scheme, self.timestamp_header or "", self.max_age)

    @property
    def all_secrets(self) -> tuple[Secret, ...]:
        """However they were given."""
        return (*((self.secret,) if self.secret else ()), *self.secrets)


class BodyMap(Strict):
    """Where in the body what stands."""

    title: CertainPlace
    """Becomes the label `alertname`: what a person reads first, and rules match."""
    fingerprint: Annotated[tuple[CertainPlace, ...], BeforeValidator(_one_or_more), Field(min_length=1, max_length=8)]
    """One place or several: what makes it the same trouble again. Too little: different troubles are taken for one; too much: nothing is
    ever resolved."""
    severity: BodyPlace | None = None
    """Becomes the label `severity`, in lower case."""
    status: BodyPlace | None = None
    """None: every delivery fires, and a person closes."""
    firing: Words = ()
    """Words of the status that mean trouble. None: all but those of the other two lists. A word in no list is paged, with a note."""
    resolved: Words = ()
    """Words that mean that it is over."""
    ignored: Words = ()
    """Words that mean nothing to us: accepted and dropped."""
    labels: Annotated[dict[Label, BodyPlace], Field(max_length=LABELS_LIMIT)] = Field(default_factory=dict)
    """Label to its place, for rules and the catalogue."""
    fixed: Annotated[dict[FixedLabel, Text], Field(max_length=LABELS_LIMIT)] = Field(default_factory=dict)
    """Labels that the body does not hold, with their values, as `service: payments`; also `severity`."""
    annotations: Annotated[dict[Label, BodyPlace], Field(max_length=LABELS_LIMIT)] = Field(default_factory=dict)
    """Annotation to its place: `summary` and `description` stand on the page."""
    starts_at: BodyPlace | None = None
    """A time as 2026-11-20T12:00:00Z, or seconds since 1970. None: the arrival, so each delivery that fires is a new episode."""
    url: BodyPlace | None = None
    """An address for the page; never fetched."""

    @property
    def mapped(self) -> Mapped:
        """As the source reads by it."""
        return Mapped(
            title=BodyPath.of(self.title),
            fingerprint=tuple(map(BodyPath.of, self.fingerprint)),
            severity=BodyPath.of(self.severity) if self.severity else None,
            status=BodyPath.of(self.status) if self.status else None,
            firing=frozenset(self.firing),
            resolved=frozenset(self.resolved),
            ignored=frozenset(self.ignored),
            labels={name: BodyPath.of(place) for name, place in self.labels.items()},
            fixed=self.fixed,
            annotations={name: BodyPath.of(place) for name, place in self.annotations.items()},
            starts_at=BodyPath.of(self.starts_at) if self.starts_at else None,
            url=BodyPath.of(self.url) if self.url else None,
        )

    @model_validator(mode="after")
    def _words_differ(self) -> BodyMap:
        words = [*self.firing, *self.resolved, *self.ignored]
        if len(set(words)) < len(words):
            raise ValueError("a word stands in two of firing, resolved and ignored; keep it in one")
        if words and self.status is None:
            raise ValueError("has words for a status and no place of it; give status, or leave the words out")
        if twice := sorted(set(self.labels) & set(self.fixed)):
            raise ValueError(f"label {twice[0]!r} stands in labels and in fixed; keep one of them")
        return self


class Generic(Bearing):
    """A webhook of any sender: paged, never acted on."""

    hmac: Hmac | None = None
    """A signature, instead of or beside a token."""
    map: BodyMap

    @model_validator(mode="after")
    def _some_credential(self) -> Generic:
        if not self.bearers and self.basic is None and self.hmac is None:
            raise ValueError("has no credential, so nobody could deliver; give token_file, basic or hmac")
        return self
