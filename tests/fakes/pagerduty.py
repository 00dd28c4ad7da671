"""Our own server that speaks PagerDuty's Events API v2 on loopback: it checks each body against a schema and keeps the vendor's semantics.

Facts: github.com/PagerDuty/developer-docs, docs/events-API-v2, at 9422439. It runs in a thread with a loop of its own, so that tests of any
loop, subprocesses and benchmarks may use it; `python -m tests.fakes.pagerduty [PORT]` runs it alone, steered over `/control`.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from aiohttp import web
from jsonschema import Draft202012Validator

KEY = "fakeRoutingKeyNeverShownAnywhere"
"""32 characters, as PagerDuty's."""
BODY_LIMIT = 512 * 1024
ACTIONS = ("trigger", "acknowledge", "resolve")

_TEXT = {"type": "string"}
SCHEMA = {
    "type": "object",
    "required": ["routing_key", "event_action"],
    "properties": {
        "routing_key": {"type": "string", "minLength": 32, "maxLength": 32},
        "event_action": {"enum": list(ACTIONS)},
        "dedup_key": {"type": "string", "minLength": 1, "maxLength": 255},
        "payload": {
            "type": "object",
            "required": ["summary", "source", "severity"],
            "properties": {
                "summary": {"type": "string", "minLength": 1, "maxLength": 1024},
                "source": {"type": "string", "minLength": 1},
                "severity": {"enum": ["critical", "error", "warning", "info"]},
                "timestamp": {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d)$"},
                "component": _TEXT,
                "group": _TEXT,
                "class": _TEXT,
                "custom_details": {"type": "object"},
            },
            "additionalProperties": False,
        },
        "images": {"type": "array", "items": {"type": "object", "required": ["src"]}},
        "links": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["href"],
                "properties": {"href": {"type": "string", "pattern": "^https?://"}, "text": _TEXT},
            },
        },
        "client": _TEXT,
        "client_url": _TEXT,
    },
    "additionalProperties": False,
    "if": {"properties": {"event_action": {"const": "trigger"}}},
    "then": {"required": ["payload"]},
    "else": {"required": ["dedup_key"]},
}
_VALIDATOR = Draft202012Validator(SCHEMA)


@dataclass(frozen=True)
class Fault:
    """How one request is answered instead: after `hang` seconds, with `status`, or by a connection that is `cut`."""

    status: int = 0
    hang: float = 0.0
    cut: bool = False
    applied: bool = False
    """The event counts all the same."""
    retry_after: str = ""
    location: str = ""
    times: int = 1
    """Requests that it spoils; 0: all until `heal`."""

    @property
    def spoils(self) -> bool:
        """More than slow."""
        return bool(self.status) or self.cut


@dataclass
class Incident:
    """What PagerDuty would show."""

    key: str
    opened_at: float
    triggers: list[dict[str, Any]] = field(default_factory=list)
    open: bool = True
    acked: bool = False
    woken: int = 0
    """How often somebody was notified: a trigger on an open or acknowledged alert wakes nobody."""
    resolved_at: float | None = None

    @property
    def summary(self) -> str:
        return str(self.triggers[-1]["payload"]["summary"])

    @property
    def details(self) -> dict[str, Any]:
        return dict(self.triggers[-1]["payload"].get("custom_details", {}))

    @property
    def severity(self) -> str:
        return str(self.triggers[-1]["payload"]["severity"])


class PagerDutyServer:
    """`with PagerDutyServer() as pagerduty`. What it holds may be read from any thread."""

    def __init__(self, *, key: str = KEY, port: int = 0) -> None:
        self.key = key
        self.port = port
        self.url = ""
        self.requests: list[tuple[float, dict[str, Any]]] = []
        """Events that were taken, with the time of each."""
        self.tries = 0
        """Requests of any kind, also the spoiled ones."""
        self.bodies: list[bytes] = []
        """The last 1,000 bodies as they came."""
        self.invalid: list[str] = []
        self.incidents: list[Incident] = []
        self.faults: deque[Fault] = deque()
        self._changed = threading.Condition()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="fake-pagerduty", daemon=True)
        self._ready = threading.Event()
        self._stop = asyncio.Event()

    def __enter__(self) -> PagerDutyServer:
        self._thread.start()
        assert self._ready.wait(10), "fake PagerDuty did not start"
        return self

    def __exit__(self, *_: object) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(10)

    def fail(self, *faults: Fault) -> None:
        """The next requests are answered so, in this order."""
        self.faults.extend(faults)

    def heal(self) -> None:
        """No faults any more."""
        self.faults.clear()

    def acknowledge(self, key: str) -> None:
        """Somebody took the page."""
        with self._changed:
            self._apply({"event_action": "acknowledge", "dedup_key": key}, time.time())
            self._changed.notify_all()

    @property
    def open(self) -> list[Incident]:
        """Open incidents, oldest first."""
        return [each for each in self.incidents if each.open]

    def wait_for(self, wanted: Callable[[PagerDutyServer], object], *, within: float = 30.0) -> Any:
        """The truthy answer; AssertionError shows what there is instead. Blocks: call it in a thread from async code (`waits_for`)."""
        end = time.monotonic() + within
        with self._changed:
            while not (found := wanted(self)):
                left = end - time.monotonic()
                assert (left > 0 and self._changed.wait(left)) or wanted(self), (
                    f"not within {within} s; incidents: {self.incidents}; invalid: {self.invalid}"
                )
            return found

    async def waits_for(self, wanted: Callable[[PagerDutyServer], object], *, within: float = 30.0) -> Any:
        """As `wait_for`, without blocking the loop."""
        return await asyncio.to_thread(self.wait_for, wanted, within=within)

    # --- the server ------------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        app = web.Application(client_max_size=4 * BODY_LIMIT)
        app.router.add_post("/v2/enqueue", self._enqueue)
        app.router.add_get("/control/state", self._state)
        app.router.add_post("/control/faults", self._set_faults)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", self.port)
        await site.start()
        self.port = runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._ready.set()
        await self._stop.wait()
        await runner.cleanup()

    async def _enqueue(self, request: web.Request) -> web.Response:
        body = await request.read()
        fault = self._next_fault(body)
        if fault.hang:
            if fault.applied:
                self._take(body)
            await asyncio.sleep(fault.hang)
            if fault.applied and not fault.spoils:
                return _answer(202, "success", "Event processed")
        if not fault.spoils:
            return self._take(body)
        if fault.applied and not fault.hang:
            self._take(body)
        if fault.cut and request.transport is not None:
            request.transport.abort()
        named = {"Retry-After": fault.retry_after, "Location": fault.location}
        return _answer(fault.status or 500, "fault", "injected", headers={name: value for name, value in named.items() if value})

    def _next_fault(self, body: bytes) -> Fault:
        with self._changed:
            self.tries += 1
            self.bodies = [*self.bodies[-999:], body]
            self._changed.notify_all()
        if not self.faults:
            return Fault()
        fault = self.faults[0]
        if fault.times == 1:
            self.faults.popleft()
        elif fault.times > 1:
            self.faults[0] = Fault(**{**asdict(fault), "times": fault.times - 1})
        return fault

    def _take(self, body: bytes) -> web.Response:
        now = time.time()
        event, errors = self._read(body)
        with self._changed:
            if errors:
                self.invalid.append("; ".join(errors))
            else:
                self.requests.append((now, event))
                self._apply(event, now)
            self._changed.notify_all()
        if errors:
            return _answer(400, "invalid event", "Event object is invalid", errors=errors)
        return _answer(202, "success", "Event processed", dedup_key=event.get("dedup_key", ""))

    def _read(self, body: bytes) -> tuple[dict[str, Any], list[str]]:
        if len(body) > BODY_LIMIT:
            return {}, [f"event is larger than {BODY_LIMIT} bytes"]
        try:
            event = json.loads(body)
        except ValueError as bad:
            return {}, [str(bad)]
        errors = [each.message[:200] for each in _VALIDATOR.iter_errors(event)]
        if not errors and event["routing_key"] != self.key:
            errors = ["routing_key is not known"]
        return event, errors

    def _apply(self, event: dict[str, Any], now: float) -> None:
        """Without a dedup key each trigger opens a new one; an acknowledge or resolve that meets no open one is dropped silently."""
        key = event.get("dedup_key") or f"none-{len(self.incidents)}"
        standing = next((each for each in self.incidents if each.key == key and each.open), None)
        action = event["event_action"]
        if action == "trigger":
            if standing is None:
                standing = Incident(key, now, woken=1)
                self.incidents.append(standing)
            standing.triggers.append(event)
        elif standing is not None and action == "acknowledge":
            standing.acked = True
        elif standing is not None:
            standing.open, standing.resolved_at = False, now

    # --- alone in a process ----------------------------------------------------------------------------------------------

    async def _state(self, _: web.Request) -> web.Response:
        with self._changed:
            shown = {"incidents": [asdict(each) for each in self.incidents], "invalid": self.invalid, "tries": self.tries}
            return web.json_response(shown | {"taken": len(self.requests)})

    async def _set_faults(self, request: web.Request) -> web.Response:
        """A JSON list of faults by field; an empty one heals."""
        faults: Iterable[dict[str, Any]] = await request.json()
        self.heal()
        self.fail(*(Fault(**each) for each in faults))
        return web.json_response({"faults": len(self.faults)})


def _answer(status: int, said: str, message: str, *, headers: dict[str, str] | None = None, **more: Any) -> web.Response:
    return web.json_response({"status": said, "message": message, **more}, status=status, headers=headers)


def main() -> None:
    """Until it is ended; prints its address."""
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 0
    with PagerDutyServer(port=port) as server:
        print(server.url, flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
