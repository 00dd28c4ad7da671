"""The details of refusals, traces and "people only" in French: core words them in English, they are stored so and put over when told.

Law: pure and total; a detail that is not ours, or that is not in the table, stays as it is. What a pattern takes out of a detail goes into
the French as an argument, never as a format. Called by pages, sentences, timeline and console.
"""

from __future__ import annotations

import re

LONGEST = 1_000
"""A longer detail is not ours."""

_SHORT = r"([0-9][0-9.a-z ]*)"
"""A gap or a number, as `ask.short` writes it."""
_FRENCH: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(english), french)
    for english, french in (
        # why a priority is what it is
        (r"rule (\S+)", "règle {0}"),
        (r"service (\S+) is tagged (\S+)", "le service {0} porte l'étiquette {1}"),
        (r"no service of the catalogue is named", "aucun service du catalogue n'est nommé"),
        (r"nobody else says", "rien d'autre ne le dit"),
        (r"no label and no rule says", "aucun label ni aucune règle ne le dit"),
        (r"label (\S+) is (.+)", "le label {0} vaut {1}"),
        (r"alerts of this incident at least doubled in 5 min", "les alertes de cet incident ont au moins doublé en 5 min"),
        (r"no data, \S+ impact kept \((?P<inner>.*)\)", "pas de données, l'impact reste ({0})"),
        (r"(?P<inner>.+): raises nothing", "{0} : ne relève rien"),
        (r"(\d+) of (\d+) replicas available", "{0} sur {1} replicas disponibles"),
        (r"(\d+) of (\d+) targets ready", "{0} sur {1} cibles prêtes"),
        (r"(\d+%) by the rule's query", "{0} selon la requête de la règle"),
        (r"the query was not asked", "la requête n'a pas été posée"),
        (r"the workload was not read", "le workload n'a pas été lu"),
        # why it is for people only
        (r"rule (\S+) is page-only", "la règle {0} appelle sans agir"),
        (r"rule (\S+) only pages", "la règle {0} appelle sans agir"),
        (
            r"symptom (\S+) \(rule (\S+)\): acting would destroy evidence or data",
            "symptôme {0} (règle {1}) : agir détruirait des preuves ou des données",
        ),
        (r"an alert came in a form that is not trusted", "une alerte est arrivée sous une forme qui n'inspire pas confiance"),
        (
            r"an alert came in a form that is not trusted: (?P<inner>.+)",
            "une alerte est arrivée sous une forme qui n'inspire pas confiance : {0}",
        ),
        (r"payload version (.+) is not known", "version de message {0} inconnue"),
        (r"its status is neither firing nor resolved; read as firing", "son état n'est ni firing ni resolved ; lu comme firing"),
        (
            r"startsAt (.+) is no time that an alert can begin at; read as the time of arrival",
            "startsAt {0} n'est pas un début possible ; l'heure d'arrivée est retenue",
        ),
        (r"an alert is of cluster (.+), this is (.+)", "une alerte est du cluster {0}, ici c'est {1}"),
        # what the bounds refuse most
        (r"mode is observe: (\S+) says what would be done", "le mode est observe : {0} dit ce qui serait fait"),
        (r"frozen \((.+)\) by (\S+): (.*)", "gelé ({0}) par {1} : {2}"),
        (r"kill switch set by (\S+): (.*)", "arrêt d'urgence enclenché par {0} : {1}"),
        (
            r"actions_file does not hold the word allowed, or cannot be read",
            "actions_file ne contient pas le mot allowed, ou est illisible",
        ),
        (r"acknowledged by (\S+)", "pris en charge par {0}"),
        (r"no alert of it fires any more", "aucune de ses alertes n'est plus active"),
        (rf"it has fired for {_SHORT}, more than {_SHORT}", "elle est active depuis {0}, plus de {1}"),
        (rf"it has fired for {_SHORT}", "elle est active depuis {0}"),
        (r"the alert's label cluster is not ours \((.*)\)", "le label cluster de l'alerte n'est pas le nôtre ({0})"),
        (
            r"symptom (\S+) is never acted on: it would destroy evidence",
            "on n'agit jamais sur le symptôme {0} : des preuves seraient perdues",
        ),
        (r"the storm gate is shut: (.+)", "la tempête bloque tout : {0}"),
        (r"source (\S+) lists no namespaces", "la source {0} ne déclare aucun namespace"),
        (r"namespace (\S+) is refused by (.+)", "le namespace {0} est refusé par {1}"),
        (r"service (\S+) is not in the catalogue", "le service {0} n'est pas au catalogue"),
        (r"action (\S+) is not available here; available: (.+)", "l'action {0} n'est pas disponible ici ; disponibles : {1}"),
        (r"the target was not looked at yet", "la cible n'a pas encore été observée"),
        (
            r"the object was replaced since the incident began \(another uid\)",
            "l'objet a été remplacé depuis le début de l'incident (autre uid)",
        ),
        (rf"the newest look is {_SHORT} old", "le dernier relevé date de {0}"),
        (r"the live target does not show the symptom", "la cible ne montre pas le symptôme"),
        (
            rf"seen once, a second look is due {_SHORT} after the first",
            "constaté une fois, un second relevé est dû {0} après le premier",
        ),
        (r"(\d+) actions were tried for this incident, (\d+) are allowed", "{0} actions tentées pour cet incident, {1} permises"),
        (r"it was tried already \((\S+): (.+)\)", "déjà tentée ({0} : {1})"),
        (r"(\d+) attempts on this target in 24 h, (\d+) are allowed", "{0} tentatives sur cette cible en 24 h, {1} permises"),
        (
            rf"last attempt on this target {_SHORT} ago, {_SHORT} must pass",
            "dernière tentative sur cette cible il y a {0}, {1} doivent s'écouler",
        ),
        (r"kubernetes\.undo_token_file is not set", "kubernetes.undo_token_file n'est pas renseigné"),
        (rf"the rollout is {_SHORT} old, at most {_SHORT} is allowed", "le déploiement date de {0}, {1} au plus"),
        (rf"the alert began {_SHORT} before the rollout", "l'alerte a commencé {0} avant le déploiement"),
    )
)


def detail_text(text: str, locale: str) -> str:
    """The detail in French where French is asked for and it is one of ours; else as it is."""
    return _put_over(text, depth=2) if locale == "fr" and len(text) <= LONGEST else text


def _put_over(text: str, *, depth: int) -> str:
    if not depth:
        return text
    for english, french in _FRENCH:
        found = english.fullmatch(text)
        if found is not None:
            named = found.groupdict().get("inner")
            return french.format(*found.groups()) if named is None else french.format(_put_over(named, depth=depth - 1))
    return text
