"""ConfigMaps and Ingresses: read-only mode, copies, the maintenance page, one backend to another Service.

Law: what stands is kept before it is changed, only what is meant is touched, and the way back restores exactly that. Secrets are never
read: no line here names one.
"""

from __future__ import annotations

import shlex

from receiver.core.prepared.recipe import Both, Draft, Recipe, kubectl
from receiver.core.prepared.shell import Part, as_it_is, chain, filled, in_json, joined, keep, run, write
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
    _FIND
    + '[{"op":"test","path":"/spec/rules/{{$i}}/host","value":"@host@"},{"op":"test","path":"'
    + _AT
    + '","value":'
    + _OLD
    + '},{"op":"replace","path":"'
    + _AT
    + '","value":{"name":"@service@","port":{"number":@port@}}}]'
    + _FOUND
)
_HOME = (
    _FIND
    + '[{"op":"test","path":"/spec/rules/{{$i}}/host","value":"@host@"},{"op":"test","path":"'
    + _AT
    + '","value":{"name":"@service@","port":{"number":@port@}}},{"op":"replace","path":"'
    + _AT
    + '","value":'
    + _OLD
    + "}]"
    + _FOUND
)


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

    def asked(template: str) -> str:
        return kubectl(s.namespace, "get", named, "-o", joined("go-template=", filled(template, in_json, **meant)))

    line = chain(
        keep("SAVED", asked(_HOME)),
        keep("PATCH", asked(_AWAY)),
        write("SAVED", file),
        kubectl(s.namespace, "patch", named, "--type=json") + ' -p "$PATCH"',
    )
    back = kubectl(s.namespace, "patch", named, "--type=json", "--patch-file", file)
    note: Both = (
        "The way back refuses when somebody pointed it elsewhere since.",
        "Le retour refuse si quelqu'un l'a pointé ailleurs entre-temps.",
    )
    return Draft((line,), (back,), (note, *owned(s)))


def drain(s: Subject) -> Draft:
    """Evictions, so budgets hold; never forced."""
    node = s.node
    line = chain(
        f"kubectl cordon {_word(node)}",
        f"kubectl drain {_word(node)} --ignore-daemonsets --delete-emptydir-data --timeout=600s",
    )
    notes: tuple[Both, ...] = (
        (
            "What pods keep in emptyDir is lost. Disruption budgets hold: it stops after 10 min rather than break one.",
            "Le contenu des emptyDir est perdu. Les budgets de perturbation tiennent : arrêt après 10 min plutôt que d'en violer un.",
        ),
        ("The way back lets pods in again; those that left stay away.", "Le retour rouvre le nœud ; les pods partis ne reviennent pas."),
    )
    return Draft((line,), (f"kubectl uncordon {_word(node)}",), notes)


def recent_events(s: Subject) -> Draft:
    """The newest: sorted upwards, so the end is what counts. Those of a node are in no namespace that its name tells."""
    order = "--sort-by=.lastTimestamp"
    if s.ref is not None and s.ref.kind == "Node":
        about = joined("--field-selector=involvedObject.kind=Node,involvedObject.name=", s.node)
        line = run("kubectl", "get", "events", "--all-namespaces", about, order)
    else:
        line = kubectl(s.namespace, "get", "events", order)
    return Draft((f"{line} | tail -n 20",))


def _word(part: Part) -> str:
    return shlex.quote(as_it_is(part)) if isinstance(part, str) else str(part)


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
