"""ConfigMaps and Ingresses: read-only mode, copies, the maintenance page, one backend to another Service.

Law: what stands is kept before it is changed, only what is meant is touched, and the way back restores exactly that. Secrets are never
read: no line here names one.
"""

from __future__ import annotations

from receiver.core.prepared.recipe import Both, Draft, Recipe, kubectl
from receiver.core.prepared.shell import Part, chain, filled, in_json, joined, keep, run, tried, unless, write
from receiver.core.prepared.values import Subject
from receiver.core.prepared.workloads import owned

_ERRORS = "nginx.ingress.kubernetes.io/custom-http-errors"
_BACKEND = "nginx.ingress.kubernetes.io/default-backend"

_ONE_KEY = (
    '{{$old := "null"}}{{range $k, $v := .data}}{{if eq $k "@key@"}}{{$old = printf "%q" $v}}{{end}}{{end}}{"data":{"@key@":{{$old}}}}'
)
_ANNOTATIONS = (
    '{{$e := "null"}}{{$b := "null"}}{{range $k, $v := .metadata.annotations}}'
    f'{{{{if eq $k "{_ERRORS}"}}}}{{{{$e = printf "%q" $v}}}}{{{{end}}}}'
    f'{{{{if eq $k "{_BACKEND}"}}}}{{{{$b = printf "%q" $v}}}}{{{{end}}}}{{{{end}}}}'
    f'{{"metadata":{{"annotations":{{"{_ERRORS}":{{{{$e}}}},"{_BACKEND}":{{{{$b}}}}}}}}}}'
)
_MAINTENANCE = f'{{"metadata":{{"annotations":{{"{_ERRORS}":"503","{_BACKEND}":"@service@"}}}}}}'

_STOOD = "go-template={{if .spec.unschedulable}}cordoned{{else}}schedulable{{end}}"

_FIND = (
    '{{range $i, $r := .spec.rules}}{{if eq (print $r.host) "@host@"}}{{range $j, $p := $r.http.paths}}'
    '{{if eq (print $p.path) "@path@"}}{{with $p.backend.service}}'
)
_AT = "/spec/rules/{{$i}}/http/paths/{{$j}}/backend/service"
_OLD = (
    '{"name":{{printf "%q" .name}},"port":{{if .port.number}}{"number":{{.port.number}}}{{else}}{"name":{{printf "%q" .port.name}}}{{end}}}'
)
_FOUND = "{{end}}{{end}}{{end}}{{end}}{{end}}"
_AWAY = (
    '[{"op":"test","path":"/spec/rules/{{$i}}/host","value":"@host@"},{"op":"test","path":"'
    + _AT
    + '","value":'
    + _OLD
    + '},{"op":"replace","path":"'
    + _AT
    + '","value":{"name":"@service@","port":{"number":@port@}}}]'
)
_HOME = (
    '[{"op":"test","path":"/spec/rules/{{$i}}/host","value":"@host@"},{"op":"test","path":"'
    + _AT
    + '","value":{"name":"@service@","port":{"number":@port@}}},{"op":"replace","path":"'
    + _AT
    + '","value":'
    + _OLD
    + "}]"
)
_BOTH = f"{_FIND}{_HOME}|{_AWAY}{_FOUND}"
"""Nothing in them holds a bar; several backends are several pairs."""


def read_only(s: Subject) -> Draft:
    """The whole ConfigMap is kept first; then one key of it is set."""
    named, key = joined("configmap/", s.value("configmap")), s.value("read_only_key")
    copy, file = s.file("yaml"), s.file("json")
    patch = filled('{"data":{"@key@":"@value@"}}', in_json, key=key, value=s.value("read_only_value"))
    line = chain(
        keep("COPY", kubectl(s.namespace, "get", named, "-o", "yaml")),
        keep("SAVED", kubectl(s.namespace, "get", named, "-o", joined("go-template=", filled(_ONE_KEY, in_json, key=key)))),
        write("COPY", copy),
        write("SAVED", file),
        tried(_merge(s, named, file)),
        kubectl(s.namespace, "patch", named, "--type=merge", "-p", patch),
    )
    restart = kubectl(s.namespace, "rollout", "restart", s.workload)
    return Draft((line,), (_merge(s, named, file),), (*owned(s), _restarts(restart)))


def _restarts(restart: str) -> Both:
    return (
        f"Pods that read it as environment see it, and its reverse, after a restart only: {restart}",
        f"Les pods qui la lisent comme environnement ne voient le changement, et son retour, qu'après redémarrage : {restart}",
    )


def _merge(s: Subject, named: tuple[Part, ...], file: str) -> str:
    return kubectl(s.namespace, "patch", named, "--type=merge", "--patch-file", file)


def copies(s: Subject) -> Draft:
    """ConfigMaps only."""
    line = chain(keep("COPY", kubectl(s.namespace, "get", "configmaps", "-o", "yaml")), write("COPY", s.file("yaml")))
    note: Both = (
        "Secrets are left out on purpose: a copy of them on a disk is a leak.",
        "Les Secrets sont laissés de côté : les copier sur un disque serait une fuite.",
    )
    return Draft((line,), notes=(note,))


def maintenance(s: Subject) -> Draft:
    """Both annotations are set, and both are taken back."""
    named, file = joined("ingress/", s.value("ingress")), s.file("json")
    patch = filled(_MAINTENANCE, in_json, service=s.value("maintenance_service"))
    line = chain(
        keep("SAVED", kubectl(s.namespace, "get", named, "-o", "go-template=" + _ANNOTATIONS)),
        write("SAVED", file),
        tried(_merge(s, named, file)),
        kubectl(s.namespace, "patch", named, "--type=merge", "-p", patch),
    )
    note: Both = (
        "For ingress-nginx: answers 503 of the service itself with the page of that Service, in the same namespace.",
        "Pour ingress-nginx : remplace les 503 du service par la page de ce Service, dans le même namespace.",
    )
    return Draft((line,), (_merge(s, named, file),), (note, *owned(s)))


def repoint(s: Subject) -> Draft:
    """One backend of one path; every other rule stays. Refuses when host and path name none, or several."""
    named, file = joined("ingress/", s.value("ingress")), s.file("json")
    meant = {
        "host": s.value("ingress_host"),
        "path": s.value("ingress_path"),
        "service": s.value("backup_service"),
        "port": s.value("backup_port"),
    }
    none = s.say("nothing was changed: no backend has this host and path", "rien n'a été changé : aucun backend avec cet hôte et ce chemin")
    several = s.say("nothing was changed: several backends have them", "rien n'a été changé : plusieurs backends les ont")
    change = kubectl(s.namespace, "patch", named, "--type=json")
    line = chain(
        keep("BOTH", kubectl(s.namespace, "get", named, "-o", joined("go-template=", filled(_BOTH, in_json, **meant))), none),
        unless('[ "${BOTH#*|}" = "${BOTH##*|}" ]', several),
        'SAVED="${BOTH%%|*}"',
        'PATCH="${BOTH##*|}"',
        write("SAVED", file),
        # there and back in one patch: each of its tests holds only after the other half
        tried(change + ' -p "${PATCH%?},${SAVED#?}"'),
        change + ' -p "$PATCH"',
    )
    back = kubectl(s.namespace, "patch", named, "--type=json", "--patch-file", file)
    note: Both = (
        "The way back refuses when somebody pointed it elsewhere since.",
        "Le retour refuse si quelqu'un l'a pointé ailleurs entre-temps.",
    )
    return Draft((line,), (back,), (note, *owned(s)))


def drain(s: Subject) -> Draft:
    """Evictions, so budgets hold; never forced. The second line can be typed again where it stopped."""
    node, file = s.node, s.file("txt")
    lines = (
        chain(
            keep("STOOD", run("kubectl", "get", joined("node/", node), "-o", _STOOD)),
            write("STOOD", file),
            run("kubectl", "cordon", node),
        ),
        chain(
            unless(run("test", "-f", file), s.say("type the line before it first: it keeps what stood", "taper d'abord la ligne d'avant")),
            run("kubectl", "drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=600s"),
        ),
    )
    stays = run("echo", s.say("it was cordoned before, and stays so", "il était déjà fermé avant, et le reste"))
    back = f'if [ "$STOOD" = schedulable ]; then {run("kubectl", "uncordon", node)}; else {stays} >&2; fi'
    notes: tuple[Both, ...] = (
        (
            "What pods keep in emptyDir is lost. Disruption budgets hold: it stops after 10 min rather than break one.",
            "Le contenu des emptyDir est perdu. Les budgets de perturbation tiennent : arrêt après 10 min plutôt que d'en violer un.",
        ),
        (
            "The way back lets pods in again where they were let in before; those that left stay away.",
            "Le retour rouvre le nœud s'il l'était avant ; les pods partis ne reviennent pas.",
        ),
    )
    return Draft(lines, (chain(keep("STOOD", run("cat", file)), back),), notes)


def recent_events(s: Subject) -> Draft:
    """The newest: sorted upwards, so the end is what counts. Those of a node are in no namespace that its name tells."""
    order = "--sort-by=.lastTimestamp"
    if s.ref is not None and s.ref.kind == "Node":
        about = joined("--field-selector=involvedObject.kind=Node,involvedObject.name=", s.node)
        line = run("kubectl", "get", "events", "--all-namespaces", about, order)
    else:
        line = kubectl(s.namespace, "get", "events", order)
    return Draft((f"{line} | tail -n 20",))


_LOOKS: Both = ("it only looks", "lecture seule")
_FILE: Both = ("it changes nothing but the file that it writes", "rien ne change, sauf le fichier écrit")

RECIPES: tuple[Recipe, ...] = (
    Recipe("recent_events", ("The newest events", "Derniers événements"), recent_events, (), _LOOKS, changes=False),
    Recipe(
        "read_only",
        ("Read-only mode by ConfigMap", "Mode lecture seule par ConfigMap"),
        read_only,
        ("configmap", "read_only_key", "read_only_value"),
    ),
    Recipe("backup_configmaps", ("Copy the ConfigMaps", "Sauvegarder les ConfigMaps"), copies, (), _FILE, changes=False),
    Recipe(
        "maintenance_page",
        ("Show the maintenance page", "Afficher la page de maintenance"),
        maintenance,
        ("ingress", "maintenance_service"),
    ),
    Recipe(
        "repoint",
        ("Point one backend to another Service", "Rediriger un backend vers un autre Service"),
        repoint,
        ("ingress", "ingress_host", "ingress_path", "backup_service", "backup_port"),
    ),
    Recipe("drain_node", ("Drain the node", "Vider le nœud"), drain, ("node",)),
)
