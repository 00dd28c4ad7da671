"""Who asks: the tokens of API, CLI and console, and what each may do.

Law: every configured token is compared whatever the others said (`Secret.matches`, by digest); exactly one `Authorization` header counts;
no header value makes it raise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from receiver.secret import Secret

LONGEST = 4096
"""Bytes of a token that are looked at; a longer one is none of ours."""


class Scope(StrEnum):
    """What a token may do; `operate` and `admin` include the ones before them."""

    report = "report"
    """Tell of changes, and nothing else: for a pipeline, which reads no incidents."""
    read = "read"
    operate = "operate"
    admin = "admin"

    def includes(self, other: Scope) -> bool:
        """Whether who has this one may do what asks for `other`. Who reads tells nothing."""
        ranks = list(Scope)
        return ranks.index(self) >= ranks.index(other) and not (self is Scope.read and other is Scope.report)


@dataclass(frozen=True, slots=True)
class ApiToken:
    """One configured token."""

    name: str
    """Stands in the timeline as who did it."""
    scope: str
    """report | read | operate | admin"""
    secret: Secret
    roles: tuple[str, ...] = ()
    """As `ic`: what a rule may ask of who approves."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is behind a request, without the secret."""

    name: str
    scope: Scope
    roles: tuple[str, ...] = ()


class Tokens:
    """All of them. None configured: nobody is let in. ValueError: a scope that does not exist."""

    def __init__(self, tokens: Sequence[ApiToken]) -> None:
        self._tokens = tuple((Caller(each.name, Scope(each.scope), each.roles), each.secret) for each in tokens)

    def bearer(self, headers: Sequence[str]) -> Caller | None:
        """`headers` are the values of all `Authorization` headers of the request."""
        if len(headers) != 1:
            return None
        scheme, _, value = headers[0].partition(" ")
        return self.holder(value.strip()) if scheme.lower() == "bearer" else None

    def holder(self, token: str) -> Caller | None:
        """Of a token as it was typed or sent."""
        try:
            candidate = token.encode("utf-8", "surrogateescape")  # as aiohttp decoded it
        except UnicodeEncodeError:
            return None
        if not 0 < len(candidate) <= LONGEST:
            return None
        matching = [caller for caller, secret in self._tokens if secret.matches(candidate)]  # a list: all are compared
        return matching[0] if matching else None
