"""A real server over a real store with a day's incidents in it."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from receiver.core.case import Storm
from receiver.core.model import Naming, Rule, Service
from receiver.core.prepared import Prepared, prepare
from receiver.core.rules import RuleSet
from receiver.core.wording import Suggestion
from receiver.engine.changes import ChangeBook
from receiver.ports import RightFinding, RightsReport, RightState
from receiver.secret import Secret
from receiver.store.opening import open_store
from receiver.store.sql_store import SqlStore
from receiver.web import ApiToken, add_web_routes
from tests.fakes.clock import START, FakeClock
from tests.fakes.commands import StoredCommands
from tests.fakes.console_sample import Sampled, hold_and_quarantine, sample
from tests.fakes.prepared import VALUES, subject

TOKENS = {each: f"{each}-token-0123456789abcdef" for each in ("report", "read", "operate", "admin")}
RULES = RuleSet(rules=(), default=Rule("default", is_default=True), hash="h", services={"checkout": Service("checkout")})
Client = TestClient[web.Request, web.Application]


@dataclass
class Site:
    """What a test asks."""

    client: Client
    store: SqlStore
    clock: FakeClock
    ids: Sampled
    gate: list[Storm]
    """The last one stands."""

    def bearer(self, scope: str = "read") -> dict[str, str]:
        """The header of a token of that scope."""
        return {"Authorization": f"Bearer {TOKENS[scope]}"}


@pytest.fixture(scope="session")
def sampled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Sampled]:
    """A closed store with the sample in it, to be copied: making it takes half a second."""
    path = tmp_path_factory.mktemp("sample") / "web.db"

    async def make() -> Sampled:
        clock = FakeClock()
        store = await open_store(f"sqlite:///{path}", clock=clock)
        ids = await sample(store, clock)
        await hold_and_quarantine(store, clock)
        await store.close()
        return ids

    return path, asyncio.run(make())


@pytest.fixture
def naming() -> Naming:
    return Naming.p1_p4


@pytest.fixture
def locale() -> str:
    return "en"


@pytest.fixture
def secure_cookie() -> bool:
    return False


@pytest.fixture
async def site(sampled: tuple[Path, Sampled], tmp_path: Path, naming: Naming, locale: str, secure_cookie: bool) -> AsyncIterator[Site]:
    template, ids = sampled
    for each in template.parent.glob("web.db*"):
        shutil.copy(each, tmp_path)
    clock = FakeClock()
    store = await open_store(f"sqlite:///{tmp_path}/web.db", clock=clock)
    app = web.Application()
    gate = [Storm()]

    async def storm() -> Storm:
        return gate[-1]

    add_web_routes(
        app,
        views=store,
        commands=StoredCommands(store, store, clock),
        changes=ChangeBook(store, clock=clock, rules=lambda: RULES),
        tokens=[ApiToken(each, each, Secret(token)) for each, token in TOKENS.items()],
        naming=naming,
        locale=locale,
        clock=clock,
        secure_cookie=secure_cookie,
        next_commands=_commands,
        prepared=partial(_prepared, ids.fresh),
        storm=storm,
        rights=_rights,
    )
    async with TestClient(TestServer(app)) as client:
        yield Site(client, store, clock, ids, gate)
    await store.close()


def _rights() -> RightsReport:
    return RightsReport(START, (RightFinding(RightState.missing, "undo", "shop", "patch deployments.apps", "kubernetes.rollout_undo"),))


async def _prepared(only: int, incident_id: int) -> tuple[Prepared, ...]:
    """One that is whole, one with a gap and without a way back, one that only looks."""
    names = ("read_only", "purge_queue", "recent_events") if incident_id == only else ()
    values = {name: value for name, value in VALUES.items() if name != "queue"}
    return tuple(prepare(each, subject(incident=incident_id, catalogue=values)) for each in names)


async def _commands(_: int) -> Suggestion:
    undo = "kubectl -n shop rollout undo deployment/checkout"
    return Suggestion(f"{undo} --to-revision=6", f"{undo} --to-revision=7", changes=True)
