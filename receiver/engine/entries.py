"""The timeline sentences of folding, in French and English: what fired, what it was judged to be, what came back, what is over.

Law: alert text enters cut and cleaned (`dedup.plain`), as an argument and never as a format; however many alerts a batch holds, an
incident gets one sentence a kind. Called by `folding`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum

from receiver.core.dedup import TITLE_LIMIT, plain, title
from receiver.core.model import OWN_SOURCE, Alert, Classification, Naming, Priority, Service
from receiver.core.wording import detail_text, trouble_text
from receiver.core.wording.say import Tongue
from receiver.core.wording.sections import reason_words
from receiver.ports import Entry

NAMED = 5
"""Alerts named in one sentence; the rest is counted."""


class Said(StrEnum):
    """The `because` of these entries."""

    first_alert = "first_alert"
    classified = "classified"
    more_alerts = "more_alerts"
    fires_again = "fires_again"
    resolved = "alert_resolved"
    priority_rose = "priority_rose"
    truncated = "truncated"
    no_action = "no_action"
    found = "found_by_reconciling"
    unproven = "ended_without_recovery"


_TEXTS: dict[str, dict[Said, str]] = {
    "en": {
        Said.first_alert: "{what} fires since {since} (source {source})",
        Said.classified: "{priority}: {trace} (rule {rule})",
        Said.more_alerts: "also fires: {what}",
        Said.fires_again: "fires again: {what} (flaps: {flaps})",
        Said.resolved: "reported over: {what}",
        Said.priority_rose: "raised from {before} to {priority}: {trace} (rule {rule})",
        Said.truncated: "the sender left out members of its group: nothing is concluded from what is absent",
        Said.no_action: "nothing will be done here by itself: {why}",
        Said.found: "found by reconciling, no delivery told it: {what}",
        Said.unproven: "ended by its sender without a recovery, so it stays open: {what}",
    },
    "fr": {
        Said.first_alert: "{what} se déclenche depuis {since} (source {source})",
        Said.classified: "{priority} : {trace} (règle {rule})",
        Said.more_alerts: "se déclenche aussi : {what}",
        Said.fires_again: "se déclenche de nouveau : {what} (bascules : {flaps})",
        Said.resolved: "annoncée terminée : {what}",
        Said.priority_rose: "passe de {before} à {priority} : {trace} (règle {rule})",
        Said.truncated: "l'expéditeur a omis des membres de son groupe : rien n'est conclu de ce qui manque",
        Said.no_action: "rien ne sera fait ici automatiquement : {why}",
        Said.found: "trouvée par rapprochement, aucune livraison ne l'a dit : {what}",
        Said.unproven: "terminée par son émetteur sans rétablissement, elle reste ouverte : {what}",
    },
}
_AND_MORE = {"en": "{names} and {more} more", "fr": "{names} et {more} de plus"}


class Words:
    """Makes entries in one language (an unknown one is English), priorities shown as `naming` says."""

    def __init__(self, locale: str, naming: Naming) -> None:
        self._locale = locale if locale in _TEXTS else "en"
        self._naming = naming

    def first_alert(self, alert: Alert, *, at: datetime) -> Entry:
        """The alert that opened the incident."""
        said = {"what": name_of(alert), "since": _shown(alert.starts_at), "source": plain(alert.source)}
        return self._entry(Said.first_alert, at, said, {"fingerprint": alert.fingerprint})

    def classified(self, judged: Classification, rule: str, *, ruleset_hash: str, at: datetime) -> Entry:
        """With the trace: which input gave which cell of the matrix."""
        said = {"priority": self._naming.show(judged.priority), "trace": self._trace(judged), "rule": rule}
        return self._entry(Said.classified, at, said, {"trace": _trace_data(judged), "rule": rule, "ruleset": ruleset_hash})

    def priority_rose(self, before: Priority, judged: Classification, rule: str, *, at: datetime) -> Entry:
        """An open incident got worse."""
        said = {
            "before": self._naming.show(before),
            "priority": self._naming.show(judged.priority),
            "trace": self._trace(judged),
            "rule": rule,
        }
        return self._entry(Said.priority_rose, at, said, {"trace": _trace_data(judged), "rule": rule})

    def alerts(self, said: Said, alerts: Sequence[Alert], *, at: datetime, flaps: int = 0) -> Entry:
        """Several alerts of which the same is to be said."""
        shown = ", ".join(f"{name_of(each)}{_reason(each) if said is Said.unproven else ''}" for each in alerts[:NAMED])
        if len(alerts) > NAMED:
            shown = _AND_MORE[self._locale].format(names=shown, more=len(alerts) - NAMED)
        return self._entry(said, at, {"what": shown, "flaps": str(flaps)}, {"alerts": len(alerts)})

    def truncated(self, *, at: datetime) -> Entry:
        """The sender's group was cut."""
        return self._entry(Said.truncated, at, {}, {})

    def no_action(self, why: str, *, at: datetime) -> Entry:
        """Why the incident is for people only."""
        return self._entry(Said.no_action, at, {"why": detail_text(plain(why), self._locale)}, {})

    def title(self, alert: Alert, service: Service | None) -> str:
        """Of an incident that begins with this alert; one about ourselves is called by its trouble."""
        if alert.source != OWN_SOURCE:
            return title(alert, service)
        about = plain(alert.labels.get("subject", ""), limit=TITLE_LIMIT // 2)
        what = trouble_text(alert.labels.get("kind", ""), self._locale).title
        return f"{what}{Tongue(self._locale).colon}{about}" if about else what

    def _trace(self, judged: Classification) -> str:
        say, last = Tongue(self._locale), {each.axis: each for each in judged.trace}
        found = (reason_words(each, say) for each in last.values())
        return ", ".join(f"{cell} ({by}{say.colon}{plain(detail, limit=120)})" for cell, by, detail in found)

    def _entry(self, said: Said, at: datetime, arguments: dict[str, str], data: dict[str, object]) -> Entry:
        return Entry(at=at, because=said.value, text=_TEXTS[self._locale][said].format(**arguments), data=data)


def name_of(alert: Alert) -> str:
    """An alert in a sentence: its name and what tells it from its neighbours."""
    place = next((alert.labels[label] for label in ("pod", "instance", "node", "service", "namespace") if alert.labels.get(label)), "")
    name = plain(alert.name, limit=100) or "(alertname missing)"
    return f"{name} [{plain(place, limit=60)}]" if place else name


def _reason(alert: Alert) -> str:
    return f" ({plain(alert.unproven, limit=60)})"


def _shown(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ") if at.year > 1 else "?"


def _trace_data(judged: Classification) -> list[dict[str, str]]:
    return [{"axis": each.axis, "level": each.level.value, "by": each.by.value, "detail": plain(each.detail)} for each in judged.trace]
