"""Whole lines typed into a real shell, against programs that say what the real ones say: what is kept, what is sent, what stops it."""

from __future__ import annotations

import json
import shutil
import stat
from pathlib import Path

import pytest

from receiver.core.prepared import prepare
from tests.fakes.prepared import SHELLS, called, logging, subject, typed

kubectl = pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed: its templates need it")

RECORD = {"Name": "api.example.com.", "Type": "CNAME", "TTL": 300, "ResourceRecords": [{"Value": "old.example.com"}]}


@pytest.fixture(params=SHELLS)
def shell(request: pytest.FixtureRequest) -> str:
    return str(request.param)


# --- AWS -----------------------------------------------------------------------------------------------------------------


def ssm(log: Path, *, kind: str = "String", old: str = "db-1.example.com") -> dict[str, str]:
    answer = f"""case "$*" in *Parameter.Type*) echo '{kind}' ;; *Value:Value*) printf '%s\\n' '{json.dumps({"Value": old})}' ;; esac"""
    return {"aws": logging(log, answer)}


def test_a_parameter_is_kept_then_set_and_the_reverse_restores_it(tmp_path: Path, shell: str) -> None:
    prepared, log = prepare("put_parameter", subject()), tmp_path / "log"
    assert typed(prepared.commands[0], tmp_path, ssm(log), shell=shell).returncode == 0
    put = ["ssm", "put-parameter", "--name=/app/DB_HOST", "--overwrite", "--cli-input-json"]
    assert called(log)[-1] == [*put, '{"Value":"db-2.example.com"}']
    assert json.loads((tmp_path / "incident-7-put_parameter.json").read_text()) == {"Value": "db-1.example.com"}
    assert typed(prepared.reverse[0], tmp_path, ssm(log), shell=shell).returncode == 0
    assert called(log)[-1] == [*put, "file://incident-7-put_parameter.json"]


@pytest.mark.parametrize("old", ["line1\nline2\n\n", "file:///etc/passwd", 'a"b\\c\té', ""])
def test_a_parameter_is_kept_to_its_last_newline(tmp_path: Path, shell: str, old: str) -> None:
    assert typed(prepare("put_parameter", subject()).commands[0], tmp_path, ssm(tmp_path / "log", old=old), shell=shell).returncode == 0
    assert json.loads((tmp_path / "incident-7-put_parameter.json").read_text()) == {"Value": old}


def test_a_secure_string_is_neither_read_nor_set(tmp_path: Path, shell: str) -> None:
    log = tmp_path / "log"
    done = typed(prepare("put_parameter", subject()).commands[0], tmp_path, ssm(log, kind="SecureString"), shell=shell)
    assert done.returncode != 0
    assert len(called(log)) == 1


def test_what_is_kept_is_never_overwritten_by_a_second_run(tmp_path: Path, shell: str) -> None:
    line, log = prepare("put_parameter", subject()).commands[0], tmp_path / "log"
    typed(line, tmp_path, ssm(log), shell=shell)
    again = typed(line, tmp_path, ssm(log, old="db-2.example.com"), shell=shell)
    assert again.returncode != 0
    assert json.loads((tmp_path / "incident-7-put_parameter.json").read_text()) == {"Value": "db-1.example.com"}


def test_only_its_owner_reads_what_is_kept(tmp_path: Path, shell: str) -> None:
    typed(prepare("put_parameter", subject()).commands[0], tmp_path, ssm(tmp_path / "log"), shell=shell)
    assert stat.S_IMODE((tmp_path / "incident-7-put_parameter.json").stat().st_mode) == 0o600


def route53(log: Path, found: object) -> dict[str, str]:
    return {"aws": logging(log, f"""case "$*" in *list-resource*) printf '%s\\n' '{json.dumps(found, indent=1)}' ;; esac""")}


def test_a_dns_record_is_kept_as_the_change_that_brings_it_back(tmp_path: Path, shell: str) -> None:
    log = tmp_path / "log"
    assert typed(prepare("route53_failover", subject()).commands[0], tmp_path, route53(log, RECORD), shell=shell).returncode == 0
    kept = json.loads((tmp_path / "incident-7-route53_failover.json").read_text())
    sent = json.loads(called(log)[-1][-1])
    assert kept == {"Changes": [{"Action": "UPSERT", "ResourceRecordSet": RECORD}]}
    assert sent["Changes"][0]["ResourceRecordSet"]["ResourceRecords"] == [{"Value": "dr.example.com"}]


def test_a_dns_record_that_is_not_there_is_not_made(tmp_path: Path, shell: str) -> None:
    log = tmp_path / "log"
    assert typed(prepare("route53_failover", subject()).commands[0], tmp_path, route53(log, None), shell=shell).returncode != 0
    assert len(called(log)) == 1


def test_the_question_for_a_dns_record_is_a_query_that_means_one_simple_record(tmp_path: Path) -> None:
    jmespath = pytest.importorskip("jmespath")
    log = tmp_path / "log"
    typed(prepare("route53_failover", subject()).commands[0], tmp_path, route53(log, None))
    query = called(log)[0][called(log)[0].index("--query") + 1]
    sets = [{**RECORD, "SetIdentifier": "a"}, {**RECORD, "Type": "A"}, {**RECORD, "Name": "x."}, RECORD]
    assert jmespath.search(query, {"ResourceRecordSets": sets}) == RECORD
    assert jmespath.search(query, {"ResourceRecordSets": sets[:3]}) is None


# --- databases -----------------------------------------------------------------------------------------------------------


def test_a_dump_gets_its_name_only_when_it_can_be_read_back(tmp_path: Path, shell: str) -> None:
    good = """case "$*" in *pg_dump*) echo DUMP ;; *pg_restore*) cat > /dev/null ;; esac"""
    line = prepare("dump_database", subject()).commands[0]
    assert typed(line, tmp_path, {"kubectl": good}, shell=shell).returncode == 0
    (dump,) = tmp_path.glob("*.dump")
    assert (dump.read_text(), stat.S_IMODE(dump.stat().st_mode)) == ("DUMP\n", 0o600)


def test_a_broken_dump_gets_no_name(tmp_path: Path, shell: str) -> None:
    broken = """case "$*" in *pg_dump*) echo half ;; *pg_restore*) exit 1 ;; esac"""
    assert typed(prepare("dump_database", subject()).commands[0], tmp_path, {"kubectl": broken}, shell=shell).returncode != 0
    assert not list(tmp_path.glob("*.dump"))


# --- Kubernetes: kept by the real kubectl's templates, from an object in a file ---------------------------------------------


def cluster(log: Path, obj: Path) -> dict[str, str]:
    """`get` answers by the real kubectl from the file; everything else is written down."""
    real = shutil.which("kubectl")
    answer = f"""case "$3" in get) '{real}' annotate --local -f '{obj}' x=y "$5" "$6" ;; esac"""
    return {"kubectl": logging(log, answer)}


def workload(path: Path, *containers: object, init: tuple[object, ...] = ()) -> Path:
    spec = {"template": {"spec": {"containers": list(containers), "initContainers": list(init)}}}
    path.write_text(json.dumps({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec}))
    return path


def kept(name: str, directory: Path, obj: Path, **values: str) -> object:
    """What is written for the way back; None where the line stopped and nothing was sent."""
    log = directory / "log"
    prepared = prepare(name, subject(given=values))
    done = typed(prepared.commands[0], directory, cluster(log, obj))
    if done.returncode != 0:
        assert all(each[2] == "get" for each in called(log)), "something was sent all the same"
        return None
    return json.loads((directory / f"incident-7-{name}.json").read_text())


def refused(name: str, directory: Path, obj: Path, **values: str) -> str:
    """Why nothing was sent."""
    done = typed(prepare(name, subject(given=values)).commands[0], directory, cluster(directory / "log", obj))
    assert done.returncode != 0
    assert all(each[2] == "get" for each in called(directory / "log")), "something was sent all the same"
    assert not list(directory.glob("incident-*")), "a file stands in the way of the next try"
    return done.stderr


def of_env(patch: object) -> object:
    return patch["spec"]["template"]["spec"]["containers"][0]["env"][0] if isinstance(patch, dict) else patch


@kubectl
@pytest.mark.parametrize(
    "env,back",
    [
        ([], {"name": "FLAG", "$patch": "delete"}),
        ([{"name": "OTHER", "value": "1"}], {"name": "FLAG", "$patch": "delete"}),
        ([{"name": "FLAG", "value": 'o"ld é'}], {"name": "FLAG", "value": 'o"ld é'}),
        ([{"name": "FLAG"}], {"name": "FLAG", "value": ""}),
        ([{"name": "FLAG", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}], None),
    ],
)
def test_a_variable_is_kept_as_it_was_and_one_from_a_secret_is_left_alone(tmp_path: Path, env: list[object], back: object) -> None:
    obj = workload(tmp_path / "o.json", {"name": "web", "env": env})
    assert of_env(kept("set_env", tmp_path, obj)) == back


@kubectl
def test_one_of_several_containers_has_to_be_named(tmp_path: Path) -> None:
    obj = workload(tmp_path / "o.json", {"name": "proxy"}, {"name": "web", "env": [{"name": "FLAG", "value": "1"}]})
    assert kept("set_env", tmp_path, obj) is None
    assert of_env(kept("set_env", tmp_path, obj, container="web")) == {"name": "FLAG", "value": "1"}


@kubectl
@pytest.mark.parametrize("name", ["set_env", "raise_limits", "pool_size"])
def test_a_change_names_the_one_container_and_never_an_init_container(tmp_path: Path, name: str) -> None:
    """Without `-c`, kubectl changes the init containers as well, which the way back does not know."""
    assert kept(name, tmp_path, workload(tmp_path / "o.json", {"name": "app"}, init=({"name": "migrate"},))) is not None
    sent = called(tmp_path / "log")[-1]
    assert sent[sent.index("-c") + 1] == "app"


@kubectl
@pytest.mark.parametrize(
    "containers,why",
    [
        (({"name": "a"}, {"name": "b"}), "several containers"),
        (({"name": "a", "env": [{"name": "FLAG", "valueFrom": {"configMapKeyRef": {"name": "m", "key": "k"}}}]},), "valueFrom"),
    ],
)
def test_what_a_change_of_a_variable_refuses_is_said(tmp_path: Path, containers: tuple[object, ...], why: str) -> None:
    assert why in refused("set_env", tmp_path, workload(tmp_path / "o.json", *containers))


@kubectl
def test_an_init_container_is_never_meant(tmp_path: Path) -> None:
    obj = workload(tmp_path / "o.json", {"name": "app"}, init=({"name": "migrate"},))
    assert "no container" in refused("raise_limits", tmp_path, obj, container="migrate")


@kubectl
def test_a_container_that_is_not_there_changes_nothing(tmp_path: Path) -> None:
    assert kept("raise_limits", tmp_path, workload(tmp_path / "o.json", {"name": "web"}), container="app") is None


@kubectl
@pytest.mark.parametrize(
    "resources,back",
    [
        ({"limits": {"memory": "1Gi"}}, {"limits": {"cpu": None, "memory": "1Gi"}, "requests": {"cpu": None, "memory": None}}),
        (
            {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "100m"}},
            {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "100m", "memory": None}},
        ),
        ({}, {"limits": {"cpu": None, "memory": None}, "requests": {"cpu": None, "memory": None}}),
    ],
)
def test_limits_are_kept_as_they_were(tmp_path: Path, resources: object, back: object) -> None:
    patch = kept("raise_limits", tmp_path, workload(tmp_path / "o.json", {"name": "web", "resources": resources}))
    assert patch == {"spec": {"template": {"spec": {"containers": [{"name": "web", "resources": back}]}}}}


def configmap(path: Path, data: dict[str, str] | None) -> Path:
    obj = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "web-config"}}
    path.write_text(json.dumps(obj if data is None else obj | {"data": data}))
    return path


@kubectl
@pytest.mark.parametrize("data,back", [({"READ_ONLY_MODE": 'f"al\nse'}, 'f"al\nse'), ({"OTHER": "x"}, None), (None, None)])
def test_read_only_keeps_the_whole_configmap_and_takes_its_one_key_back(tmp_path: Path, data: dict[str, str] | None, back: object) -> None:
    assert kept("read_only", tmp_path, configmap(tmp_path / "o.json", data)) == {"data": {"READ_ONLY_MODE": back}}
    assert "kind: ConfigMap" in (tmp_path / "incident-7-read_only.yaml").read_text()


def ingress(path: Path, *rules: object, annotations: dict[str, str] | None = None) -> Path:
    meta = {"name": "web", "annotations": annotations or {}}
    path.write_text(json.dumps({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": meta, "spec": {"rules": list(rules)}}))
    return path


def backend(path: str, service: str, **port: object) -> dict[str, object]:
    return {"path": path, "pathType": "Prefix", "backend": {"service": {"name": service, "port": port}}}


def host(name: str | None, *paths: object) -> dict[str, object]:
    return {"http": {"paths": list(paths)}} | ({"host": name} if name else {})


RULES = (
    host(None, backend("/", "any", number=80)),
    host("other.example.com", backend("/", "other", number=80)),
    host("api.example.com", backend("/v2", "v2", number=80), backend("/", "web", name="http")),
)


@kubectl
def test_repointing_patches_the_one_backend_that_is_meant(tmp_path: Path) -> None:
    obj = ingress(tmp_path / "o.json", *RULES)
    back = kept("repoint", tmp_path, obj)
    sent = json.loads(called(tmp_path / "log")[-1][-1])
    at = "/spec/rules/2/http/paths/1/backend/service"
    new, old = {"name": "web-backup", "port": {"number": 8000}}, {"name": "web", "port": {"name": "http"}}
    same_host = {"op": "test", "path": "/spec/rules/2/host", "value": "api.example.com"}
    assert sent == [same_host, {"op": "test", "path": at, "value": old}, {"op": "replace", "path": at, "value": new}]
    assert back == [same_host, {"op": "test", "path": at, "value": new}, {"op": "replace", "path": at, "value": old}]


@kubectl
def test_a_host_that_is_not_there_is_repointed_nowhere(tmp_path: Path) -> None:
    assert kept("repoint", tmp_path, ingress(tmp_path / "o.json", *RULES[:2])) is None


@kubectl
@pytest.mark.parametrize(
    "rules,why",
    [
        ((host("api.example.com", backend("/", "web", number=80)), host("api.example.com", backend("/", "two", number=80))), "several"),
        ((host("api.example.com", backend("/", "exact", number=80), backend("/", "web", number=80)),), "several"),
        (RULES[:2], "no backend"),
    ],
)
def test_none_or_several_backends_are_refused_and_said(tmp_path: Path, rules: tuple[object, ...], why: str) -> None:
    """The same path twice: once Exact, once Prefix, or under the same host twice."""
    assert why in refused("repoint", tmp_path, ingress(tmp_path / "o.json", *rules))


# --- nodes ---------------------------------------------------------------------------------------------------------------


def node(path: Path, spec: object) -> Path:
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-1"}, "spec": spec}))
    return path


def on_nodes(log: Path, obj: Path) -> dict[str, str]:
    real = shutil.which("kubectl")
    return {"kubectl": logging(log, f"""case "$1" in get) '{real}' annotate --local -f '{obj}' x=y "$3" "$4" ;; esac""")}


@kubectl
@pytest.mark.parametrize("spec,back", [({}, True), ({"unschedulable": True}, False), ({"unschedulable": False}, True)])
def test_only_a_node_that_took_pods_before_takes_them_again(tmp_path: Path, shell: str, spec: object, back: bool) -> None:
    prepared, log = prepare("drain_node", subject()), tmp_path / "log"
    programs = on_nodes(log, node(tmp_path / "o.json", spec))
    done = [typed(each, tmp_path, programs, shell=shell) for each in (*prepared.commands, *prepared.reverse)]
    assert [each.returncode for each in done] == [0, 0, 0]
    assert (["uncordon", "node-1"] in called(log)) is back
    assert ("was cordoned before" in done[-1].stderr) is not back


@kubectl
def test_a_drain_that_stopped_can_be_typed_again_and_needs_what_was_kept(tmp_path: Path, shell: str) -> None:
    prepared, log = prepare("drain_node", subject()), tmp_path / "log"
    programs = on_nodes(log, node(tmp_path / "o.json", {}))
    for each in (prepared.commands[1], prepared.reverse[0]):
        assert typed(each, tmp_path, programs, shell=shell).returncode != 0
    assert called(log) == []
    for each in (*prepared.commands, prepared.commands[1]):
        assert typed(each, tmp_path, programs, shell=shell).returncode == 0


@kubectl
@pytest.mark.parametrize(
    "before,errors,default",
    [({}, None, None), ({"nginx.ingress.kubernetes.io/default-backend": "own"}, None, "own")],
)
def test_the_maintenance_page_keeps_both_annotations(tmp_path: Path, before: dict[str, str], errors: object, default: object) -> None:
    back = kept("maintenance_page", tmp_path, ingress(tmp_path / "o.json", *RULES, annotations=before))
    prefix = "nginx.ingress.kubernetes.io"
    assert back == {"metadata": {"annotations": {f"{prefix}/custom-http-errors": errors, f"{prefix}/default-backend": default}}}
