"""The console in a real browser: login, list, incident, logout, under our own content security policy."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from playwright.async_api import Page, async_playwright, expect

from receiver.core.model import Naming, Rule
from receiver.core.rules import RuleSet
from receiver.engine.changes import ChangeBook
from receiver.secret import Secret
from receiver.store.opening import open_store
from receiver.web import ApiToken, add_web_routes
from tests.fakes.clock import FakeClock
from tests.fakes.commands import StoredCommands
from tests.fakes.console_sample import HOSTILE, Sampled, hold_and_quarantine, sample
from tests.real.tools import find, need

pytestmark = pytest.mark.e2e

TOKEN = "operate-token-0123456789"
RULES = RuleSet(rules=(), default=Rule("default", is_default=True), hash="h", services={})
# No profile, no news, no extra processes: it runs as root in CI, and reaches loopback only.
ARGUMENTS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
MESSAGES = ("error", "warning")


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[tuple[str, Sampled]]:
    need("chromium")
    clock = FakeClock()
    store = await open_store(f"sqlite:///{tmp_path}/web.db", clock=clock)
    ids = await sample(store, clock)
    await hold_and_quarantine(store, clock)
    app = web.Application()
    add_web_routes(
        app,
        views=store,
        commands=StoredCommands(store, store, clock),
        changes=ChangeBook(store, clock=clock, rules=lambda: RULES),
        tokens=[ApiToken("camille", "operate", Secret(TOKEN))],
        naming=Naming.p1_p4,
        locale="fr",
        clock=clock,
        secure_cookie=False,
    )
    async with TestServer(app) as server:
        yield str(server.make_url("")), ids
    await store.close()


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    need("chromium")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=find("chromium"), args=list(ARGUMENTS))
        yield await browser.new_page()
        await browser.close()


async def test_a_person_logs_in_reads_an_incident_and_logs_out(site: tuple[str, Sampled], page: Page) -> None:
    address, ids = site
    complaints: list[str] = []
    page.on("console", lambda said: complaints.append(said.text) if said.type in MESSAGES else None)
    page.on("dialog", lambda shown: complaints.append(shown.message))

    await page.goto(f"{address}/incidents/{ids.refused}")
    await expect(page).to_have_url(re.compile("/login"))
    await page.get_by_label("Jeton").fill(TOKEN)
    await page.get_by_role("button", name="Se connecter").click()
    await expect(page.get_by_role("heading", level=1)).to_contain_text("KubePodCrashLooping cart")
    await expect(page.get_by_text("not_known_good")).to_be_visible()

    await page.get_by_role("link", name="Incidents", exact=True).click()
    await expect(page.locator("table.open tbody tr")).to_have_count(7)
    await expect(page.get_by_role("link", name=HOSTILE)).to_be_visible()

    await page.get_by_role("link", name="checkout").first.click()
    await expect(page.get_by_role("img", name=re.compile("Phases de l'incident"))).to_be_visible()
    await page.get_by_role("button", name="Se déconnecter").click()
    await expect(page.get_by_role("button", name="Se connecter")).to_be_visible()
    await page.goto(address)
    await expect(page).to_have_url(re.compile("/login"))
    assert complaints == []


async def test_a_link_from_another_site_finds_the_session(site: tuple[str, Sampled], page: Page) -> None:
    address, ids = site
    await page.goto(f"{address}/login")
    await page.get_by_label("Jeton").fill(TOKEN)
    await page.get_by_role("button", name="Se connecter").click()
    app = web.Application()

    async def chat(_: web.Request) -> web.Response:
        return web.Response(text=f'<a href="{address}/incidents/{ids.refused}">look</a>', content_type="text/html")

    app.router.add_get("/", chat)
    async with TestServer(app, host="localhost") as server:
        await page.goto(f"http://localhost:{server.port}/")
        await page.get_by_role("link", name="look").click()
        await expect(page.get_by_role("heading", level=1)).to_contain_text("KubePodCrashLooping cart")
