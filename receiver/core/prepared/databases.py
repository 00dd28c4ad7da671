"""PostgreSQL and queues: long queries, VACUUM, dumps, a restore beside what stands, promotion, purging.

Law: no terminal is asked for (`-t` turns the line ends of a dump), the database is always named, and what carries replication or a
backup is spared by every kill.
"""

from __future__ import annotations

import shlex

from receiver.core.prepared.recipe import Both, Draft, Recipe, kubectl
from receiver.core.prepared.shell import Gap, Part, Word, chain, filled, in_sql, joined, run
from receiver.core.prepared.values import Subject

# NAMEDATALEN - 1: https://www.postgresql.org/docs/current/sql-syntax-lexical.html#SQL-SYNTAX-IDENTIFIERS
LONGEST_NAME = 63

# pg_stat_activity.backend_type tells clients from walsenders, autovacuum and workers since PostgreSQL 10:
# https://www.postgresql.org/docs/current/monitoring-stats.html#MONITORING-PG-STAT-ACTIVITY-VIEW
_LONG = (
    "FROM pg_stat_activity WHERE backend_type = 'client backend' AND datname = current_database() AND pid <> pg_backend_pid()"
    " AND state <> 'idle' AND query_start < now() - interval '@minutes@ minutes'"
)
_LIST = (
    f"SELECT pid, usename, application_name, state, now() - query_start AS running, left(query, 80) AS query {_LONG} ORDER BY query_start"
)
_KILL = " AND ".join(
    (
        f"SELECT pid, usename, application_name, pg_terminate_backend(pid) AS ended {_LONG}",
        "pid NOT IN (SELECT pid FROM pg_stat_replication)",
        "application_name NOT IN ('pg_dump', 'pg_dumpall', 'pg_restore', 'pg_basebackup')",
    )
)
_LAG = "SELECT pg_is_in_recovery() AS is_replica, now() - pg_last_xact_replay_timestamp() AS behind"
_PROMOTE = "SELECT CASE WHEN pg_is_in_recovery() THEN pg_promote(true, 60) END AS promoted"


def _psql(s: Subject, sql: Word, *, pod: str = "database_pod") -> str:
    words = ("psql", "-X", "-v", "ON_ERROR_STOP=1", "-U", s.value("database_user"), "-d", s.value("database"), "-c", sql)
    return _inside(s, *words, pod=pod)


def _inside(s: Subject, *words: Word, pod: str = "database_pod", stdin: bool = False) -> str:
    flags = ("-i",) if stdin else ()
    return run("kubectl", "-n", s.namespace_of("database_namespace"), "exec", *flags, s.value(pod), "--", *words)


def _about_long(s: Subject, sql: str) -> tuple[Part, ...]:
    return filled(sql, in_sql, minutes=s.value("query_minutes"))


def long_queries(s: Subject) -> Draft:
    """What runs for too long; idle sessions are none."""
    return Draft((_psql(s, _about_long(s, _LIST)),))


def kill_queries(s: Subject) -> Draft:
    """The list first, then the end of what is on it."""
    note: Both = (
        "Ends clients of this database only. Replication, its senders, autovacuum and dumps are spared. Each transaction rolls back.",
        "N'arrête que les clients de cette base. Réplication, autovacuum et sauvegardes sont épargnés. Chaque transaction est annulée.",
    )
    return Draft((_psql(s, _about_long(s, _LIST)), _psql(s, _about_long(s, _KILL))), notes=(note,))


def vacuum(s: Subject) -> Draft:
    """Never FULL: it locks."""
    note: Both = (
        "Without FULL: reads and writes go on. It loads the disk.",
        "Sans FULL : lectures et écritures continuent. Le disque est sollicité.",
    )
    return Draft((_psql(s, "VACUUM (ANALYZE)"),), notes=(note,))


def dump(s: Subject) -> Draft:
    """Custom format, read back before it gets its name. The newest instant is part of the name: a dump never replaces another."""
    stem = s.file("").rstrip(".")
    name = f"DUMP={shlex.quote(stem)}-$(date -u +%Y%m%dT%H%M%SZ).dump"
    taking = _inside(s, "pg_dump", "-U", s.value("database_user"), "-Fc", "-d", s.value("database"))
    line = chain(
        name,
        f'(umask 077; set -C; {taking} > "$DUMP.part")',
        f'{_read_back(s)} < "$DUMP.part"',
        'mv "$DUMP.part" "$DUMP"',
        'echo "$DUMP"',
    )
    note: Both = (
        "The file holds all data in clear: keep it where the database itself would be allowed.",
        "Le fichier contient toutes les données en clair : le garder là où la base elle-même aurait le droit d'être.",
    )
    return Draft((line,), notes=(note,))


def _read_back(s: Subject) -> str:
    """To its end: `--list` reads the table of contents alone, which a dump that was cut off still has."""
    return _inside(s, "pg_restore", "-f", "/dev/null", stdin=True)


def _beside(s: Subject) -> Word:
    """The name of the new database; one that PostgreSQL would cut could be the name of the one that stands."""
    name, end = s.value("database"), f"_incident_{s.incident}"
    if isinstance(name, str) and len(name + end) > LONGEST_NAME:
        long = f"longer than {LONGEST_NAME} bytes, where PostgreSQL cuts it, choose a shorter name"
        return Gap("new_database", s.say(long, f"plus de {LONGEST_NAME} octets, PostgreSQL le couperait, choisir plus court"))
    return joined(name, end)


def restore(s: Subject) -> Draft:
    """Into a new database beside the one that stands. Dropping it is no way back: once it is in use, that would lose what is new in it."""
    user, new, file = s.value("database_user"), _beside(s), run(s.value("backup_file"))
    line = chain(
        f"{_read_back(s)} < {file}",
        _inside(s, "createdb", "-U", user, new),
        f"{_inside(s, 'pg_restore', '-U', user, '--no-owner', '--exit-on-error', '-d', new, stdin=True)} < {file}",
    )
    note: Both = (
        "Check the new database, then point the application to it. Where it stopped half-way, drop it by hand before another try.",
        "Vérifier la nouvelle base, puis y diriger l'application. En cas d'arrêt à mi-chemin, la supprimer à la main avant de recommencer.",
    )
    return Draft((line,), notes=(note,))


def restore_by_script(s: Subject) -> Draft:
    """The runbook's own script; what it overwrites is gone."""
    line = run(s.value("restore_script"), "restore", s.value("backup_file"), s.value("restore_environment"))
    note: Both = (
        "Run dump_database first: without a dump of now, what was written since the backup is lost.",
        "Lancer d'abord dump_database : sans copie de l'état actuel, tout ce qui suit la sauvegarde est perdu.",
    )
    return Draft((line,), notes=(note,))


def promote(s: Subject) -> Draft:
    """Only what is a replica is promoted."""
    notes: tuple[Both, ...] = (
        (
            "Stop all writes to the old primary first: two primaries lose data. Compare `behind` with what may be lost.",
            "Arrêter d'abord toute écriture sur l'ancien primaire : deux primaires perdent des données. Comparer `behind`.",
        ),
    )
    return Draft((_psql(s, _LAG, pod="replica_pod"), _psql(s, _PROMOTE, pod="replica_pod")), notes=notes)


def purge(s: Subject) -> Draft:
    """RabbitMQ: looks first."""
    vhost, queue = s.value("vhost"), s.value("queue")

    def rabbit(*words: Part) -> str:
        return kubectl(s.namespace_of("broker_namespace"), "exec", s.value("broker_pod"), "--", "rabbitmqctl", *words)

    return Draft((rabbit("list_queues", "--vhost", vhost, "name", "messages", "consumers"), rabbit("purge_queue", "--vhost", vhost, queue)))


_LOOKS: Both = ("it only looks", "lecture seule")
_GONE: Both = (
    "none: purged messages are gone. To keep them, move them to another queue (shovel) instead",
    "aucun : les messages purgés sont perdus. Pour les garder, les déplacer vers une autre file (shovel)",
)
_DATABASE = ("database_pod", "database_namespace", "database_user", "database")

RECIPES: tuple[Recipe, ...] = (
    Recipe("long_queries", ("Long queries", "Requêtes longues"), long_queries, (*_DATABASE, "query_minutes"), _LOOKS, changes=False),
    Recipe(
        "kill_queries",
        ("End long queries", "Arrêter les requêtes longues"),
        kill_queries,
        (*_DATABASE, "query_minutes"),
        (
            "none: an ended query cannot go on; its client has to ask again",
            "aucun : une requête arrêtée ne reprend pas ; le client doit la relancer",
        ),
    ),
    Recipe(
        "vacuum",
        ("VACUUM and ANALYZE", "VACUUM et ANALYZE"),
        vacuum,
        _DATABASE,
        ("none is needed: no data change, only space and statistics", "inutile : aucune donnée ne change, seulement place et statistiques"),
    ),
    Recipe(
        "dump_database",
        ("Dump the database", "Sauvegarder la base"),
        dump,
        _DATABASE,
        ("it changes nothing but the file that it writes", "rien ne change, sauf le fichier écrit"),
        changes=False,
    ),
    Recipe(
        "restore_database",
        ("Restore beside what stands", "Restaurer à côté de l'existant"),
        restore,
        (*_DATABASE, "backup_file"),
        (
            "none is needed: what stands is not touched; dropping the new database once it is in use would lose data",
            "inutile : l'existant n'est pas touché ; supprimer la nouvelle base une fois utilisée perdrait des données",
        ),
    ),
    Recipe(
        "restore_script",
        ("Restore by the script", "Restaurer par le script"),
        restore_by_script,
        ("restore_script", "backup_file", "restore_environment"),
        (
            "none: what it overwrites is gone; only a dump taken before brings it back",
            "aucun : ce qui est écrasé est perdu ; seule une sauvegarde prise avant le ramène",
        ),
    ),
    Recipe(
        "promote_replica",
        ("Promote the replica", "Promouvoir le réplica"),
        promote,
        ("replica_pod", "database_namespace", "database_user", "database"),
        (
            "none: a promoted replica starts a timeline of its own; the old primary comes back as its replica only",
            "aucun : un réplica promu ouvre sa propre timeline ; l'ancien primaire ne revient que comme son réplica",
        ),
    ),
    Recipe("purge_queue", ("Purge the queue", "Vider la file"), purge, ("broker_pod", "broker_namespace", "vhost", "queue"), _GONE),
)
