"""A thread with an event loop of its own, for servers that outlive the loop of one test.

Session-wide fixtures start, serve and stop in here; tests on their own loops only talk to what runs here over loopback.
"""

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Background:
    def __init__(self, name: str = "real-servers") -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T], *, within: float = 120.0) -> T:
        """Runs `work` on the thread's loop and waits for its result, at most `within` seconds. Not from a coroutine."""
        return asyncio.run_coroutine_threadsafe(asyncio.wait_for(work, within), self._loop).result(within + 5)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)
        self._loop.close()
