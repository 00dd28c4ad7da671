"""What every notifier promises, whatever its vendor. Runs over each entry of `NOTIFIERS`; a new one needs a ground in `GROUNDS`.

A ground is the notifier with its other side on loopback: what arrived there, how to make it fail, and the secrets that must not get out.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest
import structlog

from receiver.clients.pagerduty import Events, EventsConfig
from receiver.clock import SystemClock
from receiver.core.page import PageText
from receiver.notify import NOTIFIERS
from receiver.notify.log import LogNotifier
from receiver.notify.pagerduty import PagerDuty
from receiver.ports import DeliveryKind, Message, MessageKind, Notifier
from receiver.secret import Secret
from tests.fakes.pagerduty import KEY, Fault, PagerDutyServer

LIMIT = timedelta(seconds=0.3)
HOSTILE = "\x1b[2J\u202e{0.__class__}%s\n\x00\ud800" + "é🔥" * 2_000
TEXT = PageText(
    summary="[P2] checkout (shop): KubePodCrashLooping — undo refused",
    severity="error",
    source="default",
    component="checkout",
    group="shop",
    kind="crash",
    details={"next command": "kubectl -n shop describe deployment/web", "tried": ["a", "b"]},
    links=(("https://grafana.example.com/d/1", "dashboard"),),
    at="2026-11-20T12:00:00Z",
)


def message(kind: MessageKind = MessageKind.trigger, *, to: str = "pagerduty", key: str = "k" * 64, **text: Any) -> Message:
    """One page."""
    return Message(to, kind, key, 7, replace(TEXT, **text), raise_n=1, id=1)


@dataclass
class NotifierGround:
    """A notifier and its other side."""

    notifier: Notifier
    keys: Callable[[], list[str]] = list
    """Dedup keys that arrived, in order; empty where there is no other side."""
    fail: Callable[[Fault], None] = lambda _: None
    secrets: tuple[str, ...] = ()


@asynccontextmanager
async def _pagerduty() -> AsyncIterator[NotifierGround]:
    with PagerDutyServer() as server:
        events = Events(EventsConfig(Secret(KEY), server.url, timeout=LIMIT), clock=SystemClock())
        try:
            yield NotifierGround(
                PagerDuty(events),
                keys=lambda: [event["dedup_key"] for _, event in server.requests],
                fail=server.fail,
                secrets=(KEY,),
            )
        finally:
            await events.close()


@asynccontextmanager
async def _log() -> AsyncIterator[NotifierGround]:
    yield NotifierGround(LogNotifier(pages=True, show=lambda _: None))


REMOTE = frozenset({"pagerduty"})
"""Those with another side that can fail."""
GROUNDS: dict[str, Callable[[], AbstractAsyncContextManager[NotifierGround]]] = {"pagerduty": _pagerduty, "log": _log}

FAULTS = {
    "429": Fault(status=429),
    "500": Fault(status=500),
    "502": Fault(status=502),
    "hang": Fault(hang=1.5),
    "cut": Fault(cut=True),
    "cut after": Fault(cut=True, applied=True),
    "elsewhere": Fault(status=307, location="http://127.0.0.1:9/"),
    "not found": Fault(status=404),
}


@asynccontextmanager
async def _watched(name: str, caplog: pytest.LogCaptureFixture) -> AsyncIterator[NotifierGround]:
    """Nothing secret is logged, whatever the test does."""
    caplog.set_level(logging.DEBUG)
    async with GROUNDS[name]() as found:
        with structlog.testing.capture_logs() as logs:
            yield found
        said = "\n".join([*(str(each) for each in logs), *(each.getMessage() for each in caplog.records)])
        assert not [secret for secret in found.secrets if secret in said]


class NotifierKit:
    """Subclass it in a test module: pytest collects the promises."""

    @pytest.fixture(params=sorted(NOTIFIERS))
    async def ground(self, request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture) -> AsyncIterator[NotifierGround]:
        async with _watched(request.param, caplog) as found:
            yield found

    @pytest.fixture(params=sorted(REMOTE & set(NOTIFIERS)))
    async def remote(self, request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture) -> AsyncIterator[NotifierGround]:
        async with _watched(request.param, caplog) as found:
            yield found

    def test_it_is_called_as_the_table_says(self, ground: NotifierGround) -> None:
        assert NOTIFIERS[ground.notifier.name] is type(ground.notifier)
        assert isinstance(ground.notifier.pages, bool)

    @pytest.mark.parametrize("kind", MessageKind)
    async def test_every_kind_of_message_is_taken(self, ground: NotifierGround, kind: MessageKind) -> None:
        assert (await ground.notifier.deliver(message(kind))).kind is DeliveryKind.accepted

    async def test_the_same_message_again_is_harmless(self, ground: NotifierGround) -> None:
        for _ in range(2):
            assert (await ground.notifier.deliver(message())).kind is DeliveryKind.accepted
        assert len(set(ground.keys())) <= 1

    async def test_trigger_and_resolve_bear_the_same_key(self, ground: NotifierGround) -> None:
        for kind in (MessageKind.trigger, MessageKind.resolve):
            await ground.notifier.deliver(message(kind))
        assert ground.keys() in ([], ["k" * 64] * 2)

    async def test_whatever_the_text_it_is_taken(self, ground: NotifierGround) -> None:
        details = {f"{HOSTILE}{n}": [HOSTILE] * 50 for n in range(10)}
        odd = message(summary=HOSTILE, severity=HOSTILE, source="", component=HOSTILE, details=details, links=((HOSTILE, HOSTILE),))
        assert (await ground.notifier.deliver(odd)).kind is DeliveryKind.accepted

    @pytest.mark.parametrize("fault", FAULTS)
    async def test_a_failing_other_side_means_later_within_the_time_limit(self, remote: NotifierGround, fault: str) -> None:
        remote.fail(FAULTS[fault])
        async with asyncio.timeout(1.4):
            result = await remote.notifier.deliver(message())
        assert result.kind is DeliveryKind.retry
        assert 0 < len(result.detail) <= 256
        assert not [each for each in remote.secrets if each in result.detail]

    async def test_after_a_failure_it_works_again(self, remote: NotifierGround) -> None:
        remote.fail(Fault(cut=True))
        await remote.notifier.deliver(message())
        assert (await remote.notifier.deliver(message())).kind is DeliveryKind.accepted

    async def test_a_cancelled_delivery_ends_at_once(self, remote: NotifierGround) -> None:
        remote.fail(Fault(hang=1.5))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await remote.notifier.deliver(message())

    def test_its_secrets_are_not_in_its_repr(self, ground: NotifierGround) -> None:
        text = f"{ground.notifier!r}{vars(ground.notifier)}"
        assert not [each for each in ground.secrets if each in text]
