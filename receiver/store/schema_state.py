"""Which schema a database has, and bringing it forward with Alembic: from the package, without an ini file, forward only.

Law: each upgrade is one transaction. Alembic is imported only when there is something to do. Called by `opening.py`.
"""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from receiver.store.lock import CannotOpen
from receiver.store.migrations import REVISIONS

SCRIPTS = Path(__file__).parent / "migrations"

_VERSION = sa.text("SELECT version_num FROM alembic_version")


def bring_forward(engine: sa.Engine) -> tuple[str, ...]:
    """The revisions that were applied."""
    missing = _missing(engine)
    if missing:
        with engine.begin() as connection:
            _upgrade(connection)
    return missing


def refuse_unfit(engine: sa.Engine) -> None:
    """CannotOpen unless the schema is exactly ours."""
    if missing := _missing(engine):
        raise CannotOpen(f"the schema lacks revision {', '.join(missing)}; run `receiver migrate`")


def _missing(engine: sa.Engine) -> tuple[str, ...]:
    with engine.connect() as connection:
        there = sa.inspect(connection).has_table("alembic_version")
        found = connection.execute(_VERSION).scalar() if there else None
    if found is None:
        return REVISIONS
    if found not in REVISIONS:
        raise CannotOpen(
            f"the schema is at revision {str(found)[:64]!r}, this program knows up to {REVISIONS[-1]}: start the newer version"
        )
    return REVISIONS[REVISIONS.index(found) + 1 :]


def _upgrade(connection: sa.Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
