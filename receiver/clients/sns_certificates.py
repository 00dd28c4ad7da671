"""Fetches the certificates that Amazon SNS signs with, from addresses that were checked before.

Law: GET over HTTPS with the system's authorities, no redirect followed, a time limit, a small answer, no cookies or credentials. What the
certificate is worth is for the caller. https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html
"""

from __future__ import annotations

from datetime import timedelta

import aiohttp

import receiver
from receiver.clients.errors import ClientError, ErrorKind
from receiver.clients.session import SessionOwner

PEM_BYTES = 64 << 10
"""A real one has 2 KB."""
USER_AGENT = f"alert-receiver/{receiver.__version__}"


class CertificateFetcher(SessionOwner):
    """Opens its session when first used, unless given one. Closed at shutdown."""

    def __init__(self, *, timeout: timedelta = timedelta(seconds=5), session: aiohttp.ClientSession | None = None) -> None:
        self._timeout = timeout
        super().__init__(session)

    async def load(self, url: str) -> bytes:
        """Raises ClientError: `unreachable`, `timeout`, `unavailable` and `throttled` pass, anything else does not."""
        limit = self._timeout.total_seconds()
        try:
            async with self._sessions().get(
                url, allow_redirects=False, timeout=aiohttp.ClientTimeout(total=limit), headers={"User-Agent": USER_AGENT}
            ) as answer:
                return await _certificate(answer)
        except TimeoutError as error:
            raise ClientError(ErrorKind.timeout, f"the certificate was not answered within {limit:g} s") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise ClientError(ErrorKind.unreachable, f"the certificate cannot be fetched: {type(error).__name__}") from error


async def _certificate(answer: aiohttp.ClientResponse) -> bytes:
    if answer.status == 429 or answer.status >= 500:
        kind = ErrorKind.throttled if answer.status == 429 else ErrorKind.unavailable
        raise ClientError(kind, f"the certificate's address answered {answer.status}")
    if answer.status != 200:
        raise ClientError(ErrorKind.not_found, f"the certificate's address answered {answer.status}")
    read = bytearray()
    async for chunk in answer.content.iter_any():
        read += chunk
        if len(read) > PEM_BYTES:
            raise ClientError(ErrorKind.bad_answer, f"a certificate of more than {PEM_BYTES} bytes")
    return bytes(read)
