"""The details of refusals, traces and "people only" in French: core words them in English, they are stored so and put over when told.

Law: pure and total; a detail that is not ours, or that is not in the table, stays as it is. What a pattern takes out of a detail goes into
the French as an argument, never as a format. Called by pages, sentences, timeline and console.
"""

from __future__ import annotations

import re

from receiver.core.facts import Hazard
from receiver.core.wording.ecs_french import ECS
from receiver.core.wording.hazards_french import HAZARDS
from receiver.core.wording.refusals_french import REFUSALS

LONGEST = 1_000
"""A longer detail is not ours."""
DEPTH = 3
"""Details within details: a hazard, what it says, and what that quotes."""

_HAZARD = rf"(?:{'|'.join(Hazard)}): "
_NEXT_HAZARD = re.compile(rf"; (?={_HAZARD})")
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
        (r"no data, \S+ impact kept \((?P<inner>.*)\)", "pas de données, l'impact reste ({inner})"),
        (r"(?P<inner>.+): raises nothing", "{inner} : ne relève rien"),
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
        (r"an alert is for people only: (?P<inner>.+)", "une alerte est réservée aux personnes : {0}"),
        (r"source (\S+) only pages", "la source {0} appelle seulement"),
        (r"Grafana tells of data that it does not have \((.+)\)", "Grafana parle de données qu'il n'a pas ({0})"),
        (r"an alert came in a form that is not trusted", "une alerte est arrivée sous une forme qui n'inspire pas confiance"),
        (
            r"an alert came in a form that is not trusted: (?P<inner>.+)",
            "une alerte est arrivée sous une forme qui n'inspire pas confiance : {inner}",
        ),
        (r"payload version (.+) is not known", "version de message {0} inconnue"),
        (r"its status is neither firing nor resolved; read as firing", "son état n'est ni firing ni resolved ; lu comme firing"),
        (
            r"startsAt (.+) is no time that an alert can begin at; read as the time of arrival",
            "startsAt {0} n'est pas un début possible ; l'heure d'arrivée est retenue",
        ),
        (r"acknowledged by (.+) before incident (\d+) was merged into it", "pris par {0} avant que l'incident {1} n'y soit fondu"),
        (r"an alert is of cluster (.+), this is (.+)", "une alerte est du cluster {0}, ici c'est {1}"),
        *REFUSALS,
        *ECS,
        *HAZARDS,
    )
)


def detail_text(text: str, locale: str) -> str:
    """The detail in French where French is asked for and it is one of ours; else as it is."""
    return _put_over(text, depth=DEPTH) if locale == "fr" and len(text) <= LONGEST else text


def _put_over(text: str, *, depth: int) -> str:
    if not depth:
        return text
    if re.match(_HAZARD, text):
        return " ; ".join(_of_hazard(each, depth=depth - 1) for each in _NEXT_HAZARD.split(text))
    for english, french in _FRENCH:
        found = english.fullmatch(text)
        if found is not None:
            inner = {name: _put_over(each, depth=depth - 1) for name, each in found.groupdict(default="").items()}
            return french.format(*found.groups(default=""), **inner)
    return text


def _of_hazard(text: str, *, depth: int) -> str:
    """`hpa: …`: the word stays, as in the documentation."""
    word, _, detail = text.partition(": ")
    french = _put_over(detail, depth=depth)
    return text if french == detail else f"{word} : {french}"
