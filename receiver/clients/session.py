"""Who owns an HTTP session: the client that opened it, when first used, or whoever gave it one.

Law: no cookie is kept from one answer to the next. The base of the clients that read over plain HTTP; closed at shutdown.
"""

from __future__ import annotations

import aiohttp


class SessionOwner:
    """Opens its own session when first used, unless given one."""

    def __init__(self, session: aiohttp.ClientSession | None = None) -> None:
        self._session = session
        self._owned = session is None

    async def close(self) -> None:
        """Harmless when called twice. A session that was given is left to its owner."""
        if self._owned and self._session is not None:
            session, self._session = self._session, None
            await session.close()

    def _sessions(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
        return self._session
