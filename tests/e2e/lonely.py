"""The real process without a platform to act on: what comes in becomes incidents in its database, and a test reads them there."""

from __future__ import annotations

import json
import secrets
import sqlite3
import sys
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path

from tests.real.processes import Process, eventually, free_port

RULES = "apiVersion: receiver/v1\nkind: Rules\nrules: []\ndefault: {impact: low, urgency: low, remediate: []}\n"


class Service:
    """Asks every ten seconds, where there is somebody to ask. Not started yet."""

    def __init__(self, directory: Path) -> None:
        self.database = directory / "receiver.db"
        self.token = secrets.token_hex(20)
        self.port = free_port()
        self._directory = directory
        self._config = directory / "config.json"
        arguments: list[str | Path] = [sys.executable, "-m", "tests.e2e.victim", self._config]
        self._process = Process("receiver", arguments, log=directory / "receiver.log")

    @property
    def webhook(self) -> str:
        return f"http://127.0.0.1:{self.port}/webhook/alertmanager"

    @property
    def credential(self) -> Mapping[str, str]:
        """Of its webhook."""
        return {"token_file": str(self._directory / "token")}

    async def start(self, *, sources: Mapping[str, object], **sections: object) -> None:
        for name, text in (("rules.yaml", RULES), ("token", self.token)):
            (self._directory / name).touch(mode=0o600)
            (self._directory / name).write_text(text)
        config = {
            "listen": f"127.0.0.1:{self.port}",
            "store": f"sqlite:///{self.database}",
            "rules": [str(self._directory / "rules.yaml")],
            "reconcile_every": "10s",
            "sources": sources,
            **sections,
        }
        self._config.write_text(json.dumps(config))
        self._process.start()
        await self._process.ready(f"http://127.0.0.1:{self.port}/readyz")

    async def stop(self) -> None:
        await self._process.stop(limit=10)

    def told(self, because: str) -> list[str]:
        """The titles of the incidents whose timeline says this, once for each time."""
        sql = "SELECT title FROM incidents JOIN timeline ON incidents.id = timeline.incident_id WHERE timeline.because = ?"
        if not self.database.exists():
            return []
        with closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)) as db:
            return [row[0] for row in db.execute(sql, (because,)).fetchall()]

    async def tells(self, because: str, wanted: Callable[[list[str]], bool] = bool) -> list[str]:
        async def found() -> list[str] | None:
            told = self.told(because)
            return told if wanted(told) else None

        return await eventually(found, within=30, what=because)
