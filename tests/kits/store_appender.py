"""Appends deliveries for ever and prints their ids once they are stored: run as a process, to be killed."""

from __future__ import annotations

import asyncio
import os
import sys

from receiver.clock import SystemClock
from receiver.store.opening import open_store
from tests.kits.store_ground import delivery


async def main(url: str) -> None:
    """A group of four in a commit."""
    store = await open_store(url, clock=SystemClock())
    while True:
        ids = await store.append([delivery(n) for n in range(4)])
        os.write(1, (" ".join(map(str, ids)) + "\n").encode())


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
