"""How the clients of AWS services reach them: one operation, its parameters, its answer.

Law: which account, region, credentials and endpoint stands behind it is settled by whoever makes it; the vendor's exceptions end there.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Protocol


class Calls(Protocol):
    """One operation of the service, as the SDK names it; its own retries are off or short."""

    async def __call__(self, operation: str, parameters: Mapping[str, object], *, limit: timedelta) -> Mapping[str, Any]:
        """Raises ClientError."""
        ...
