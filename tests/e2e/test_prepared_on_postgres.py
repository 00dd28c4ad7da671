"""Prepared commands of databases, typed against a real PostgreSQL with a replica: who is ended, who is spared, what comes back."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from receiver.core.prepared import prepare
from tests.fakes.prepared import subject, typed
from tests.real.processes import free_port

PROGRAMS = ("initdb", "pg_ctl", "pg_basebackup", "psql", "pg_dump", "pg_restore", "createdb")
MISSING = [each for each in PROGRAMS if shutil.which(each) is None]
pytestmark = [pytest.mark.e2e, pytest.mark.skipif(bool(MISSING), reason=f"not on this machine: {', '.join(MISSING)}")]

OWNER = "nobody" if os.geteuid() == 0 else None
"""PostgreSQL refuses to run as root."""


@dataclass
class Databases:
    """`postgres-0` is the primary, `postgres-1` its replica."""

    directory: Path
    ports: dict[str, int]

    def ask(self, sql: str, *, pod: str = "postgres-0", database: str = "workflow") -> str:
        words = ["psql", "-XAtq", "-h", "127.0.0.1", "-p", str(self.ports[pod]), "-U", "postgres", "-d", database, "-c", sql]
        return subprocess.run(words, capture_output=True, text=True, check=True, timeout=30).stdout.strip()

    @contextmanager
    def busy(self, *, application: str = "app", database: str = "workflow", sql: str = "SELECT pg_sleep(60)") -> Iterator[None]:
        """A client whose query runs on."""
        words = ["psql", "-XAtq", "-h", "127.0.0.1", "-p", str(self.ports["postgres-0"]), "-U", "postgres", "-d", database, "-c", sql]
        client = subprocess.Popen(words, env={**os.environ, "PGAPPNAME": application}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            self._until(f"SELECT count(*) > 0 FROM pg_stat_activity WHERE application_name = '{application}' AND state = 'active'")
            yield
        finally:
            client.kill()
            client.wait()
            ended = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = '{application}'"
            self.ask(ended, database="postgres")

    def _until(self, sql: str) -> None:
        wait = f"DO $$ BEGIN FOR i IN 1..300 LOOP PERFORM pg_stat_clear_snapshot(); IF ({sql}) THEN RETURN; END IF; PERFORM pg_sleep(0.1); "
        self.ask(wait + "END LOOP; RAISE 'never'; END $$", database="postgres")

    def clients(self) -> set[str]:
        self.ask("SELECT pg_sleep(0.3)")
        return set(self.ask("SELECT application_name FROM pg_stat_activity WHERE application_name <> 'psql'").split())

    def types(self, line: str, where: Path) -> subprocess.CompletedProcess[str]:
        """With a kubectl that leads `exec POD -- program` to the port of that pod; minutes are seconds, so that the test need not wait."""
        pods = "\n".join(f"  */{name}/*|*/{name}) port={port} ;;" for name, port in self.ports.items())
        script = f"""shift 3; [ "$1" = -i ] && shift
port=0; case "/$1/" in\n{pods}\nesac
shift 2
n=$#; while [ $n -gt 0 ]; do word=$(printf %s "$1" | sed "s/5 minutes/1 seconds/"); set -- "$@" "$word"; shift; n=$((n-1)); done
PGHOST=127.0.0.1 PGPORT=$port exec "$@" """
        return typed(line, where, {"kubectl": script})


def _as_owner(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True, timeout=60, user=OWNER, cwd="/")


@pytest.fixture(scope="module")
def databases() -> Iterator[Databases]:
    directory = Path(tempfile.mkdtemp(prefix="prepared-"))
    found = Databases(directory, {"postgres-0": free_port(), "postgres-1": free_port()})
    if OWNER:
        shutil.chown(directory, OWNER)
    primary, replica = directory / "primary", directory / "replica"
    try:
        _as_owner("initdb", "-D", str(primary), "-U", "postgres", "-A", "trust", "--no-sync")
        _start(primary, found.ports["postgres-0"], directory)
        found.ask("CREATE DATABASE workflow", database="postgres")
        found.ask("CREATE TABLE t AS SELECT 42 AS n")
        at = f"host=127.0.0.1 port={found.ports['postgres-0']} user=postgres application_name=replica"
        _as_owner("pg_basebackup", "-D", str(replica), "-R", "-X", "stream", "-c", "fast", "--no-sync", "-d", at)
        _start(replica, found.ports["postgres-1"], directory)
        yield found
    finally:
        for each in (replica, primary):
            if (each / "postmaster.pid").exists():
                _as_owner("pg_ctl", "-D", str(each), "-m", "immediate", "stop")
        shutil.rmtree(directory)


def _start(data: Path, port: int, directory: Path) -> None:
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off"
    _as_owner("pg_ctl", "-D", str(data), "-w", "-o", options, "-l", str(directory / f"{data.name}.log"), "start")


def lines(name: str, **values: str) -> tuple[str, ...]:
    return prepare(name, subject(given=values)).commands


def test_long_queries_are_ended_and_replication_dumps_and_others_are_spared(databases: Databases, tmp_path: Path) -> None:
    with databases.busy(application="old"), databases.busy(application="pg_dump"), databases.busy(application="b", database="postgres"):
        databases.ask("SELECT pg_sleep(1.5)")
        assert databases.clients() >= {"old", "pg_dump", "b", "replica"}
        listed = databases.types(lines("kill_queries")[0], tmp_path)
        ended = databases.types(lines("kill_queries")[1], tmp_path)
        assert (listed.returncode, ended.returncode) == (0, 0), ended.stderr
        left = databases.clients()
    assert "old" in listed.stdout
    assert "old" not in left
    assert left >= {"pg_dump", "b", "replica"}


def test_an_idle_session_is_no_long_query(databases: Databases, tmp_path: Path) -> None:
    done = databases.types(lines("long_queries")[0], tmp_path)
    assert done.returncode == 0
    assert "(0 rows)" in done.stdout


def test_vacuum_runs(databases: Databases, tmp_path: Path) -> None:
    assert databases.types(lines("vacuum")[0], tmp_path).returncode == 0


def test_a_dump_is_restored_beside_what_stands(databases: Databases, tmp_path: Path) -> None:
    assert databases.types(lines("dump_database")[0], tmp_path).returncode == 0
    (dump,) = tmp_path.glob("incident-7-dump_database-*.dump")
    prepared = prepare("restore_database", subject(given={"backup_file": dump.name}))
    done = databases.types(prepared.commands[0], tmp_path)
    assert done.returncode == 0, done.stderr
    assert databases.ask("SELECT n FROM t", database="workflow_incident_7") == "42"
    assert databases.ask("SELECT n FROM t") == "42"


def test_a_dump_that_was_cut_off_gets_no_name_and_is_not_restored(databases: Databases, tmp_path: Path) -> None:
    """`kubectl exec` may end early and say nothing of it: https://github.com/kubernetes/kubernetes/issues/60140"""
    databases.ask("CREATE TABLE big AS SELECT g, md5(g::text) AS m FROM generate_series(1, 50000) AS g")
    port = databases.ports["postgres-0"]
    cut = f"""shift 3; [ "$1" = -i ] && shift; shift 2; export PGHOST=127.0.0.1 PGPORT={port}
if [ "$1" = pg_dump ]; then "$@" | head -c 20000; exit 0; fi; exec "$@" """
    dump = prepare("dump_database", subject(label="cut"))
    assert typed(dump.commands[0], tmp_path, {"kubectl": cut}).returncode != 0
    assert not list(tmp_path.glob("*.dump"))
    (part,) = tmp_path.glob("*.part")
    restore = prepare("restore_database", subject(incident=8, given={"backup_file": part.name}))
    assert databases.types(restore.commands[0], tmp_path).returncode != 0
    assert "workflow_incident_8" not in databases.ask("SELECT datname FROM pg_database")


def test_only_a_replica_is_promoted(databases: Databases, tmp_path: Path) -> None:
    """Last of the file: nothing replicates afterwards."""
    on_primary = [databases.types(each, tmp_path) for each in lines("promote_replica", replica_pod="postgres-0")]
    assert [each.returncode for each in on_primary] == [0, 0]
    assert databases.ask("SELECT pg_is_in_recovery()", pod="postgres-1") == "t"
    assert [databases.types(each, tmp_path).returncode for each in lines("promote_replica")] == [0, 0]
    assert databases.ask("SELECT pg_is_in_recovery()", pod="postgres-1") == "f"
