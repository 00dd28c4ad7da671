"""Changes of a workload's pod template: environment variables and limits, each kept in a file that takes it back.

The way back is a strategic patch made by the API server's own answer: the old value, or the removal of what was not there. A variable
that comes from a ConfigMap or Secret (`valueFrom`) is left alone: replacing it could not be taken back without reading it.
"""

from __future__ import annotations

from receiver.core.prepared.recipe import Both, Draft, Recipe, kubectl
from receiver.core.prepared.shell import Part, Word, chain, filled, in_json, joined, keep, run, tried, write
from receiver.core.prepared.values import Subject

_SOLE = "go-template={{with .spec.template.spec.containers}}{{if eq (len .) 1}}{{(index . 0).name}}{{end}}{{end}}"
_OPEN = "{{range .spec.template.spec.containers}}{{if eq .name @container@}}"
_ONLY = "{{$n := len .spec.template.spec.containers}}{{range .spec.template.spec.containers}}{{if eq $n 1}}"
_HEAD = '{"spec":{"template":{"spec":{"containers":[{"name":{{printf "%q" .name}},'
_TAIL = "}]}}}}{{end}}{{end}}"
_ENV = (
    '{{$old := "\\"$patch\\":\\"delete\\""}}{{range .env}}{{if eq .name "@variable@"}}{{if .valueFrom}}{{$old = ""}}{{else}}'
    '{{with .value}}{{$old = printf "\\"value\\":%q" .}}{{else}}{{$old = "\\"value\\":\\"\\""}}{{end}}{{end}}{{end}}{{end}}'
    "{{if $old}}" + _HEAD + '"env":[{"name":"@variable@",{{$old}}}]}]}}}}{{end}}{{end}}{{end}}'
)
_LIMITS = (
    '{{$c := "null"}}{{$m := "null"}}{{$rc := "null"}}{{$rm := "null"}}{{with .resources}}'
    '{{range $k, $v := .limits}}{{if eq $k "cpu"}}{{$c = printf "%q" (print $v)}}{{end}}'
    '{{if eq $k "memory"}}{{$m = printf "%q" (print $v)}}{{end}}{{end}}'
    '{{range $k, $v := .requests}}{{if eq $k "cpu"}}{{$rc = printf "%q" (print $v)}}{{end}}'
    '{{if eq $k "memory"}}{{$rm = printf "%q" (print $v)}}{{end}}{{end}}{{end}}'
    + _HEAD
    + '"resources":{"limits":{"cpu":{{$c}},"memory":{{$m}}},"requests":{"cpu":{{$rc}},"memory":{{$rm}}}}'
    + _TAIL
)


def set_env(s: Subject, *, variable: Part, value: Part) -> Draft:
    """One variable of one container."""
    file, container = s.file("json"), s.maybe("container")
    before = filled(_of(container) + _ENV, in_json, variable=variable, container=container or "")
    why = s.say(
        "nothing was changed: no container of that name, or the variable is set by valueFrom",
        "rien n'a été changé : aucun conteneur de ce nom, ou la variable vient de valueFrom",
    )
    change = _change(s, "env", container, joined(variable, "=", value))
    return Draft((chain(*_sole(s, container), _kept(s, before, file, why), change),), (_back(s, file),), (*_rollout(s), _BY_REFERENCE))


def raise_limits(s: Subject) -> Draft:
    """Limits, and requests where they are said."""
    file, container = s.file("json"), s.maybe("container")
    before = filled(_of(container) + _LIMITS, in_json, container=container or "")
    limits = joined("--limits=cpu=", s.value("cpu_limit"), ",memory=", s.value("memory_limit"))
    asked = [joined(name, "=", value) for name in ("cpu", "memory") if (value := s.maybe(f"{name}_request")) is not None]
    requests = (joined("--requests=", asked[0], *(joined(",", each) for each in asked[1:])),) if asked else ()
    why = s.say("nothing was changed: no container of that name", "rien n'a été changé : aucun conteneur de ce nom")
    change = _change(s, "resources", container, limits, *requests)
    return Draft((chain(*_sole(s, container), _kept(s, before, file, why), change),), (_back(s, file),), (*_rollout(s), _HIGHER))


def _of(container: Part | None) -> str:
    return _ONLY if container is None else _OPEN.replace("@container@", '"@container@"')


def _sole(s: Subject, container: Part | None) -> tuple[str, ...]:
    """The name of the only container, where none is given."""
    if container is not None:
        return ()
    why = s.say(
        "nothing was changed: several containers, say which in values.container",
        "rien n'a été changé : plusieurs conteneurs, dire lequel dans values.container",
    )
    return (keep("ONLY", kubectl(s.namespace, "get", s.workload, "-o", _SOLE), why),)


def _change(s: Subject, what: str, container: Part | None, *words: Word) -> str:
    """Always of one container by its name: without `-c`, kubectl changes every container, and every init container."""
    name = '"$ONLY"' if container is None else run(container)
    return " ".join((kubectl(s.namespace, "set", what, s.workload, "-c"), name, run(*words)))


def _kept(s: Subject, before: tuple[Part, ...], file: str, why: str) -> str:
    """In the file, and taken by the server as the way back."""
    reading = kubectl(s.namespace, "get", s.workload, "-o", joined("go-template=", before))
    return chain(keep("SAVED", reading, why), write("SAVED", file), tried(_back(s, file)))


def _back(s: Subject, file: str) -> str:
    return kubectl(s.namespace, "patch", s.workload, "--type=strategic", "--patch-file", file)


_BY_REFERENCE: Both = (
    "Refuses where the variable comes from a ConfigMap or Secret, or where the container is not clear (values.container).",
    "Refuse si la variable vient d'un ConfigMap ou d'un Secret, ou si le conteneur n'est pas évident (values.container).",
)
_HIGHER: Both = (
    "The file it writes shows what stood before: only go on where that is lower, and where nodes and quota have room.",
    "Le fichier écrit montre l'état d'avant : ne continuer que s'il est plus bas, et si nœuds et quota ont la place.",
)


def _rollout(s: Subject) -> tuple[Both, ...]:
    rolls: Both = ("It is a rollout: all pods are replaced.", "C'est un déploiement : tous les pods sont remplacés.")
    return (rolls, *owned(s))


def owned(s: Subject) -> tuple[Both, ...]:
    """Where another controller would take the change back."""
    return tuple((f"{each}: change it there, or it is undone.", f"{each} : le changer là-bas, sinon c'est annulé.") for each in s.owners)


# --- the variables of the seeds ------------------------------------------------------------------------------------------


def _preset(variable: str, value: str, *notes: Both) -> Recipe:
    def make(s: Subject) -> Draft:
        draft = set_env(s, variable=_own(s, "variable", variable), value=_own(s, "value", value))
        return Draft(draft.commands, draft.reverse, (*draft.notes, *notes))

    name = {"ENABLE_CACHE": "enable_cache", "CACHE_TTL": "cache_ttl", "LOG_LEVEL": "debug_log", "NODE_OPTIONS": "node_heap"}[variable]
    return Recipe(name, _TITLES[name], make, ("variable", "value", "container"))


def _own(s: Subject, key: str, preset: str) -> Part:
    """The rule's, else the seeds'; never the catalogue's, which is meant for `set_env`."""
    return s.value(key) if key in s.given else preset


_TITLES: dict[str, Both] = {
    "enable_cache": ("Switch the cache on", "Activer le cache"),
    "cache_ttl": ("Shorten the life of the cache", "Réduire la durée du cache"),
    "debug_log": ("Log in detail", "Activer le journal détaillé"),
    "node_heap": ("Bound the heap of Node.js", "Borner le tas de Node.js"),
}


def _given(s: Subject) -> Draft:
    return set_env(s, variable=s.value("variable"), value=s.value("value"))


def _feature(s: Subject) -> Draft:
    return set_env(s, variable=s.value("feature_variable"), value=s.value("feature_value"))


def _pool(s: Subject) -> Draft:
    size = _own(s, "value", "50")
    draft = set_env(s, variable=_own(s, "variable", "DATABASE_POOL_SIZE"), value=size)
    if s.replicas is None or not isinstance(size, str) or not size.isdecimal():
        return draft
    total = f"{size} × {s.replicas} replicas = {int(size) * s.replicas}"
    note: Both = (
        f"{total} connections: compare with SHOW max_connections first.",
        f"{total} connexions : comparer d'abord à SHOW max_connections.",
    )
    return Draft(draft.commands, draft.reverse, (*draft.notes, note))


# Node.js refuses to start on --gc-interval in NODE_OPTIONS, which one runbook sets: https://nodejs.org/api/cli.html#node_optionsoptions
_HEAP_NOTE: Both = (
    "Replaces NODE_OPTIONS whole. --gc-interval, as in the runbook, is not allowed there: Node.js would not start.",
    "Remplace NODE_OPTIONS en entier. --gc-interval, comme dans le runbook, n'y est pas permis : Node.js ne démarrerait pas.",
)

RECIPES: tuple[Recipe, ...] = (
    Recipe("set_env", ("Set an environment variable", "Définir une variable d'environnement"), _given, ("variable", "value", "container")),
    _preset("ENABLE_CACHE", "true"),
    _preset("CACHE_TTL", "60"),
    _preset(
        "LOG_LEVEL",
        "debug",
        (
            "Debug logs may hold personal data, and cost disk.",
            "Ces journaux coûtent du disque, et peuvent contenir des données personnelles.",
        ),
    ),
    _preset("NODE_OPTIONS", "--max-old-space-size=2048", _HEAP_NOTE),
    Recipe("pool_size", ("Enlarge the connection pool", "Agrandir le pool de connexions"), _pool, ("variable", "value", "container")),
    Recipe(
        "feature_switch",
        ("Switch a feature", "Basculer une fonctionnalité"),
        _feature,
        ("feature_variable", "feature_value", "container"),
    ),
    Recipe(
        "raise_limits",
        ("Raise the limits", "Augmenter les limites"),
        raise_limits,
        ("memory_limit", "cpu_limit", "memory_request", "cpu_request", "container"),
    ),
)
