"""Every prepared command: it parses, it is portable, it has a way back or says why not, and it repeats no mistake of the runbooks."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import replace
from itertools import pairwise

import pytest

from receiver.core.model import TargetRef
from receiver.core.prepared import KEYS, RECIPES, Prepared, prepare
from tests.fakes.prepared import SHELLS, VALUES, everything, parses, subject

ALL = list(RECIPES)


def lines(prepared: Prepared) -> tuple[str, ...]:
    return (*prepared.commands, *prepared.reverse)


def one(name: str, **values: str) -> Prepared:
    return prepare(name, subject(given=values))


def text(name: str, **values: str) -> str:
    return "\n".join(lines(one(name, **values)))


# --- all of them ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("name", ALL)
def test_with_all_values_every_line_parses_and_has_no_gap(name: str, shell: str) -> None:
    prepared = one(name)
    assert prepared.gaps == ()
    assert all(parses(each, shell=shell) for each in lines(prepared))


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("name", sorted({name for name, recipe in RECIPES.items() if set(recipe.keys) & set(VALUES)}))
def test_without_any_value_no_line_parses(name: str, shell: str) -> None:
    prepared = prepare(name, subject(catalogue={}, ref=None))
    if prepared.gaps:
        assert not any(parses(each, shell=shell) for each in prepared.commands)


@pytest.mark.parametrize("name", ALL)
def test_each_missing_value_is_named_as_a_gap(name: str) -> None:
    for key in RECIPES[name].keys:
        prepared = prepare(name, subject(catalogue={each: value for each, value in VALUES.items() if each != key}))
        if key in prepared_without_default(name):
            assert f"{key.upper()}: not in the catalogue, set services.checkout.values.{key}" in prepared.gaps


def prepared_without_default(name: str) -> set[str]:
    """The keys of it that only a person can say."""
    optional = {"container", "memory_request", "cpu_request", "aws_region", "vercel_scope", "database_namespace", "broker_namespace"}
    presets = {"variable", "value"} if name != "set_env" else set()
    return {key for key in RECIPES[name].keys if not KEYS[key].default} - optional - presets


@pytest.mark.parametrize("name", ALL)
def test_a_value_of_another_shape_is_a_gap_and_never_enters_a_line(name: str) -> None:
    hostile = "$(reboot)`x`;\n\x1b[2J"
    for key in RECIPES[name].keys:
        prepared = one(name, **{key: hostile})
        assert not any("reboot" in each for each in (*lines(prepared), *prepared.notes))
        assert prepared.gaps


@pytest.mark.parametrize("name", ALL)
def test_no_value_is_taken_for_an_option(name: str) -> None:
    for key in set(RECIPES[name].keys) - {"value", "feature_value", "read_only_value"}:
        assert not any("--rm" in each for each in lines(one(name, **{key: "--rm"})))


@pytest.mark.parametrize("name", ALL)
def test_each_has_a_way_back_or_says_why_there_is_none(name: str) -> None:
    prepared = one(name)
    assert bool(prepared.reverse) is not bool(prepared.no_reverse)
    if prepared.changes:
        assert prepared.reverse or prepared.no_reverse.startswith("none")


@pytest.mark.parametrize("name", ALL)
def test_what_only_looks_changes_nothing(name: str) -> None:
    changing = r"\b(patch|set (env|resources)|drain|cordon|purge|terminate|promote|apply|put-|change-|createdb|delete)\b"
    if not RECIPES[name].changes:
        assert not re.search(changing, text(name))


@pytest.mark.parametrize("name", ALL)
def test_nothing_rests_on_one_system_only(name: str) -> None:
    """What GNU has and BSD has not, or the other way round."""
    bad = r"date (-d|-v|--date)|sed -[iEr]|grep -P|readlink -f|mktemp|stat -|xargs -r|head -\d|tail -\d|\[\[|<\(|base64|(?<!-)timeout "
    assert not re.search(bad, text(name))


@pytest.mark.parametrize("name", ALL)
def test_nothing_asks_for_a_terminal(name: str) -> None:
    """`-t` turns the line ends of a dump, and fails where there is none."""
    assert not re.search(r"exec (-it|-ti|-t|--tty)\b", text(name))


@pytest.mark.parametrize("name", ALL)
def test_no_secret_is_ever_read(name: str) -> None:
    assert not re.search(r"secret|with-decryption|state pull|PGPASSWORD|-o json\b", text(name), re.IGNORECASE)


@pytest.mark.parametrize("name", ALL)
def test_an_interactive_shell_expands_no_history(name: str) -> None:
    assert not re.search(r"!(?!=)", text(name))


@pytest.mark.parametrize("name", ALL)
def test_titles_and_notes_are_told_in_both_languages(name: str) -> None:
    french = prepare(name, subject(locale="fr"))
    assert french.title != one(name).title
    assert french.commands == one(name).commands or french.notes != one(name).notes


@pytest.mark.parametrize("name", ALL)
def test_json_in_a_line_is_json(name: str) -> None:
    """Where it is no template."""
    words = [word for each in lines(one(name)) for word in shlex.split(each, comments=False) if word.startswith('{"') and "{{" not in word]
    for word in words:
        json.loads(word.replace("%s", "{}").removesuffix(r"\n"))


def test_names_are_what_a_person_can_type() -> None:
    assert all(re.fullmatch(r"[a-z][a-z0-9_]+", each) for each in RECIPES)


def test_every_key_is_asked_for_by_some_command_and_every_default_fits() -> None:
    assert {key for recipe in RECIPES.values() for key in recipe.keys} == set(KEYS)
    assert all(not each.default or each.fits(each.default) for each in KEYS.values())


def test_the_rule_speaks_before_the_catalogue() -> None:
    assert "purge_queue --vhost / other" in text("purge_queue", queue="other")


def test_files_of_two_of_a_name_are_two() -> None:
    first, second = (prepare("set_env", subject(label=each)) for each in ("set_env", "set_env-2"))
    assert "incident-7-set_env.json" in first.reverse[0]
    assert "incident-7-set_env-2.json" in second.reverse[0]


def test_without_a_target_the_workload_is_a_gap() -> None:
    prepared = prepare("raise_limits", subject(ref=None))
    assert "WORKLOAD: the target is not known yet" in prepared.gaps


def test_a_node_that_is_the_target_needs_no_catalogue() -> None:
    ref = TargetRef("kubernetes", "default", "", "Node", "node-9")
    prepared = prepare("drain_node", subject(ref=ref, catalogue={}))
    assert prepared.commands[0].endswith("kubectl cordon node-9")
    assert prepared.commands[1].endswith("kubectl drain node-9 --ignore-daemonsets --delete-emptydir-data --timeout=600s")
    assert "kubectl uncordon node-9" in prepared.reverse[0]


@pytest.mark.parametrize("name", ALL)
def test_a_node_has_no_namespace_that_a_line_could_fall_back_from(name: str) -> None:
    """`kubectl -n ''` is the namespace of the shell's context: some other one."""
    ref = TargetRef("kubernetes", "default", "", "Node", "node-9")
    assert not any("-n ''" in each for each in lines(prepare(name, subject(ref=ref))))


def test_the_events_of_a_node_are_looked_for_by_its_name() -> None:
    ref = TargetRef("kubernetes", "default", "", "Node", "node-9")
    (line,) = prepare("recent_events", subject(ref=ref, catalogue={})).commands
    about = "--field-selector=involvedObject.kind=Node,involvedObject.name=node-9"
    assert line == f"kubectl get events --all-namespaces {about} --sort-by=.lastTimestamp | tail -n 20"


def test_an_ecs_target_fills_its_own_names() -> None:
    ref = TargetRef("ecs", "default", "blue", "Service", "pay")
    line = prepare("ecs_cpu", subject(ref=ref, catalogue={})).commands[0]
    assert "Name=ClusterName,Value=blue Name=ServiceName,Value=pay" in line


def test_a_service_outside_of_the_catalogue_is_said_to_be_so() -> None:
    assert "no service of the catalogue" in prepare("purge_queue", subject(service="", catalogue={})).gaps[0]


def test_who_owns_the_target_is_said_where_it_would_undo_the_change() -> None:
    assert any(each.startswith("gitops (argo)") for each in prepare("raise_limits", subject(owners=("gitops (argo)",))).notes)


# --- the runbooks' figures -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name,values,said",
    [
        ("raise_limits", {}, "--limits=cpu=2000m,memory=4Gi"),
        ("raise_limits", {"cpu_limit": "4000m", "memory_limit": "8Gi"}, "--limits=cpu=4000m,memory=8Gi"),
        ("raise_limits", {"cpu_request": "1000m", "memory_request": "2Gi"}, "--requests=cpu=1000m,memory=2Gi"),
        ("enable_cache", {}, 'set env deployment/web -c "$ONLY" ENABLE_CACHE=true'),
        ("cache_ttl", {}, 'set env deployment/web -c "$ONLY" CACHE_TTL=60'),
        ("debug_log", {}, 'set env deployment/web -c "$ONLY" LOG_LEVEL=debug'),
        ("node_heap", {}, 'set env deployment/web -c "$ONLY" NODE_OPTIONS=--max-old-space-size=2048'),
        ("pool_size", {}, 'set env deployment/web -c "$ONLY" DATABASE_POOL_SIZE=50'),
        ("feature_switch", {}, 'set env deployment/web -c "$ONLY" DISABLE_ANALYTICS=true'),
        ("set_env", {"value": "a b$c"}, """set env deployment/web -c "$ONLY" 'FLAG=a b$c'"""),
        ("set_env", {"container": "app"}, "set env deployment/web -c app FLAG=on"),
        ("read_only", {}, """patch configmap/web-config --type=merge -p '{"data":{"READ_ONLY_MODE":"true"}}'"""),
        ("purge_queue", {}, "exec rabbitmq-0 -- rabbitmqctl purge_queue --vhost / dead_letter"),
        ("vacuum", {}, "-d workflow -c 'VACUUM (ANALYZE)'"),
        ("promote_rds", {}, "aws rds promote-read-replica --db-instance-identifier app-replica"),
        ("purge_sqs", {"aws_region": "eu-west-3"}, "/dead --region eu-west-3"),
        ("restore_script", {}, "./scripts/db-backup.sh restore backup.dump prod"),
        ("vercel_rollback", {"vercel_scope": "acme"}, "vercel rollback shop-abc.vercel.app --timeout 3m --scope acme"),
        ("vercel_rollback", {}, "vercel promote shop-def.vercel.app --timeout 3m"),
        ("long_queries", {"query_minutes": "30"}, "30 minutes"),
        ("kill_queries", {"database_namespace": "data", "database_pod": "deployment/postgres"}, "-n data exec deployment/postgres -- psql"),
    ],
)
def test_a_step_of_the_runbooks_reads(name: str, values: dict[str, str], said: str) -> None:
    assert said in text(name, **values)


def test_a_larger_pool_is_shown_times_replicas() -> None:
    assert any("50 × 5 replicas = 250 connections" in each for each in one("pool_size").notes)


# --- the runbooks' mistakes ----------------------------------------------------------------------------------------------


def test_events_show_the_newest_not_the_oldest() -> None:
    assert one("recent_events").commands == ("kubectl -n shop get events --sort-by=.lastTimestamp | tail -n 20",)


def test_the_hour_of_metrics_needs_no_date_of_the_system() -> None:
    line = one("ecs_cpu").commands[0]
    assert "--start-time 2026-11-20T11:00:00Z --end-time 2026-11-20T12:00:00Z" in line
    assert "date" not in line


def test_the_maintenance_page_takes_both_annotations_back() -> None:
    kept = shlex.split(one("maintenance_page").commands[0])
    template = next(each for each in kept if each.startswith("go-template="))
    written = template.rpartition("{{end}}")[2]
    assert '"nginx.ingress.kubernetes.io/default-backend":{{$b}}' in written
    assert '"nginx.ingress.kubernetes.io/custom-http-errors":{{$e}}' in written


def test_a_query_killer_spares_replication_dumps_and_itself() -> None:
    kill = one("kill_queries").commands[-1]
    for spared in ("backend_type = ", "pg_stat_replication", "pg_basebackup", "pid <> pg_backend_pid()", "datname = current_database()"):
        assert spared in kill


def test_repointing_replaces_one_backend_and_no_list_of_rules() -> None:
    line = one("repoint").commands[0]
    assert "--type=json" in line
    assert '"rules":[' not in line


def test_a_heap_option_that_node_refuses_is_left_out() -> None:
    assert not any("gc-interval" in each for each in lines(one("node_heap")))


def test_vacuum_and_dump_name_the_database_and_never_fall_back_to_postgres() -> None:
    for name in ("vacuum", "dump_database", "kill_queries", "long_queries"):
        assert all("-d workflow" in each for each in one(name).commands)


def test_terraform_applies_the_very_plan_that_was_read() -> None:
    plan, apply = one("terraform_apply").commands
    file = "incident-7-terraform_apply.tfplan"
    assert f"-var-file=dr.tfvars -out={file}" in plan
    assert apply.endswith(f"apply -input=false -lock-timeout=60s {file}")
    assert "-auto-approve" not in plan + apply


@pytest.mark.parametrize(
    "name", ["read_only", "set_env", "raise_limits", "maintenance_page", "repoint", "put_parameter", "route53_failover"]
)
def test_what_stands_is_kept_before_it_is_changed(name: str) -> None:
    """In one chain: what cannot be kept is not changed."""
    (line,) = one(name).commands
    kept, change = line.rindex("set -C"), max(line.rindex(each) for each in (" patch ", " set ", " put-", " change-") if each in line)
    assert kept < change
    assert all(" && " in line[a:b] for a, b in pairwise((kept, change)))
    assert re.findall(r"> (incident-7-[a-z0-9_]+\.(?:json|txt))\)", line)[-1] in one(name).reverse[0]


@pytest.mark.parametrize("name", ["read_only", "set_env", "raise_limits", "maintenance_page", "repoint"])
def test_the_way_back_is_tried_on_the_server_before_anything_is_changed(name: str) -> None:
    """After it is kept: what is tried is what is kept."""
    (line,) = one(name).commands
    kept, tried = line.rindex("set -C"), line.index("--dry-run=server")
    change = max(line.rindex(each) for each in (" patch ", " set ") if each in line)
    assert kept < tried < change
    assert "--dry-run" not in line[change:]


@pytest.mark.parametrize("name", ALL)
def test_a_database_is_dropped_by_nobody(name: str) -> None:
    """Once an application writes to a restored database, dropping it would lose what it wrote."""
    assert not re.search(r"\bdropdb\b|\bdrop database\b", text(name), re.IGNORECASE)


def test_a_restore_beside_what_stands_waits_for_no_way_back() -> None:
    prepared = one("restore_database")
    assert prepared.reverse == ()
    assert prepared.no_reverse.startswith("none is needed: what stands is not touched")


@pytest.mark.parametrize("length,gaps", [(51, 0), (52, 0), (53, 1), (63, 1)])
def test_a_name_that_postgresql_would_cut_is_a_gap(length: int, gaps: int) -> None:
    """63 bytes: cut off there, it could be the name of the database that stands."""
    prepared = one("restore_database", database="d" * length)
    assert len(prepared.gaps) == gaps
    assert all(each.startswith("NEW_DATABASE: ") and "63 bytes" in each for each in prepared.gaps)


def test_a_backup_is_read_to_its_end_before_anything_rests_on_it() -> None:
    """`--list` reads the table of contents only, which stands at the beginning."""
    line = one("restore_database").commands[0]
    assert line.index("pg_restore -f /dev/null < backup.dump") < line.index("createdb")
    assert "pg_restore -f /dev/null" in one("dump_database").commands[0]
    assert "--list" not in text("dump_database")


def test_a_drain_is_never_forced() -> None:
    assert not re.search(r"--force|--disable-eviction|--grace-period", text("drain_node"))


def test_every_prepared_command_fits_on_a_screen_of_a_telephone_or_says_more() -> None:
    """Not a page of its own: the longest line is bounded."""
    assert max(len(line) for each in everything() for line in lines(each)) < 2_000


def test_the_same_subject_makes_the_same_command() -> None:
    assert everything() == [prepare(name, replace(subject())) for name in RECIPES]
