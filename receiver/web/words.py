"""Every word that the console says of its own, in English and French. Data, and the small change of times and gaps.

What incidents say of themselves (titles, timeline, pages) is worded elsewhere, in the language of the installation.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from receiver.core.wording import detail_text

WORDS: Mapping[str, tuple[str, str]] = {
    "incidents": ("Incidents", "Incidents"),
    "incident": ("Incident", "Incident"),
    "open": ("Open", "Ouverts"),
    "closed": ("Closed", "Clos"),
    "everything": ("All", "Tous"),
    "quarantine": ("Quarantine", "Quarantaine"),
    "log_in": ("Log in", "Se connecter"),
    "log_out": ("Log out", "Se déconnecter"),
    "token": ("Token", "Jeton"),
    "token_hint": (
        "The one from your configuration or your administrator. It stays on the server; your browser keeps a session only.",
        "Celui de votre configuration ou de votre administrateur. Il reste sur le serveur ; le navigateur ne garde qu'une session.",
    ),
    "token_wrong": ("This token is not known.", "Ce jeton est inconnu."),
    "form_stale": ("The form was too old. Please try again.", "Le formulaire avait expiré. Veuillez réessayer."),
    "too_many": ("Too many failures. Wait five minutes.", "Trop d'échecs. Attendez cinq minutes."),
    "go_on": ("Go on", "Continuer"),
    "main": ("Main", "Principale"),
    "skip": ("Skip to content", "Aller au contenu"),
    "refreshes": ("Refreshes every 15 s", "Actualisé toutes les 15 s"),
    "at": ("{0} UTC", "{0} UTC"),
    "by_priority": ("Open by priority", "Ouverts par priorité"),
    "none_open": ("Nothing is open.", "Rien n'est ouvert."),
    "none_found": ("No incident matches.", "Aucun incident ne correspond."),
    "all_quiet": ("All quiet", "Tout est calme"),
    "priority": ("Priority", "Priorité"),
    "title": ("Title", "Titre"),
    "target": ("Target", "Cible"),
    "since": ("Since", "Depuis"),
    "state": ("State", "État"),
    "next": ("What happens next", "La suite"),
    "picture": ("So far", "Déroulé"),
    "older": ("Older", "Plus anciens"),
    "newest": ("Newest", "Plus récents"),
    "shown_most": ("The first {0} are shown.", "Les {0} premiers sont affichés."),
    "ago": ("{0} ago", "il y a {0}"),
    "in": ("in {0}", "dans {0}"),
    "now": ("now", "maintenant"),
    "overdue": ("due", "attendu"),
    "unbound": ("not resolved yet", "pas encore résolue"),
    # states
    "s_watching": ("watching", "surveillé"),
    "s_acting": ("acting", "action en cours"),
    "s_verifying": ("verifying", "vérification"),
    "s_mitigated": ("mitigated", "atténué"),
    "s_called": ("person called", "personne appelée"),
    "s_acked": ("acknowledged", "pris en charge"),
    "s_closed": ("closed", "clos"),
    "s_merged": ("merged", "fusionné"),
    "by": ("by {0}", "par {0}"),
    # phases
    "detected": ("detected", "détecté"),
    "triaged": ("triaged", "trié"),
    "investigating": ("investigating", "en analyse"),
    "mitigated": ("mitigated", "atténué"),
    "resolved": ("resolved", "résolu"),
    "reviewed": ("reviewed", "revu"),
    # marks of the picture
    "m_page": ("person called", "personne appelée"),
    "m_ack": ("acknowledged by {0}", "pris en charge par {0}"),
    "m_act": ("action: {0}", "action : {0}"),
    "m_good": ("action that helped: {0}", "action efficace : {0}"),
    "m_bad": ("action that did not help: {0}", "action sans effet : {0}"),
    "m_shadow": ("would have run: {0}", "aurait exécuté : {0}"),
    "m_due": ("next step", "prochaine étape"),
    "legend": ("Legend", "Légende"),
    "l_page": ("person called", "personne appelée"),
    "l_ack": ("acknowledged", "pris en charge"),
    "l_act": ("action", "action"),
    "l_good": ("action that helped", "action efficace"),
    "l_bad": ("action that did not help", "action sans effet"),
    "l_shadow": ("would have acted (mode observe)", "aurait agi (mode observation)"),
    "strip": ("Phases of incident {0}", "Phases de l'incident {0}"),
    # detail
    "what_happens_next": ("What happens next", "La suite"),
    "nothing_due": ("Nothing is scheduled: it waits for a person.", "Rien n'est prévu : une personne doit agir."),
    "looked_at": ("Looked at again at {0} ({1}).", "Nouveau point à {0} ({1})."),
    "over": ("It is over.", "C'est terminé."),
    "next_commands": ("Commands to run next", "Commandes à lancer"),
    "asks_yes": ("Asks for your yes until {0}, else say no:", "Demande votre accord jusqu'à {0}, sinon refusez :"),
    "takes_back": ("Takes it back:", "Pour revenir en arrière :"),
    "prepared": ("Prepared commands, for people", "Commandes préparées, pour les personnes"),
    "gaps": ("gaps to fill in: {0}", "lacunes à combler : {0}"),
    "way_back": ("Takes it back:", "Retour :"),
    "done_then": ("Ran it? Say so:", "Exécutée ? Le dire :"),
    "standing": ("Done by hand, still to be taken back", "Fait à la main, reste à annuler"),
    "attempts": ("Actions", "Actions"),
    "no_attempts": ("Nothing was tried.", "Rien n'a été tenté."),
    "action": ("Action", "Action"),
    "before": ("Before", "Avant"),
    "after": ("After", "Après"),
    "not_looked": ("not looked at yet", "pas encore vérifié"),
    "outcome": ("Outcome", "Résultat"),
    "wanted": ("Aim", "But"),
    "when": ("When", "Quand"),
    "replicas": ("replicas", "réplicas"),
    "available": ("available", "disponibles"),
    "revision": ("revision", "révision"),
    "restarts": ("restarts", "redémarrages"),
    "refusals": ("What the bounds refused", "Ce que les bornes ont refusé"),
    "because": ("Because", "Raison"),
    "evidence": ("Collected for the page", "Recueilli pour l'appel"),
    "not_collected": ("Not collected:", "Non recueilli :"),
    "facts": ("What was seen", "Ce qui a été vu"),
    "no_facts": ("Nothing was looked at yet.", "Rien n'a encore été observé."),
    "found_by": ("Found by", "Trouvée par"),
    "rollout": ("Rollout", "Déploiement"),
    "dangers": ("Hazards", "Dangers"),
    "samples": ("Measured", "Mesuré"),
    "trouble": ("Trouble", "Difficulté"),
    "images": ("Images", "Images"),
    "pods_waiting": ("Pods waiting", "Pods en attente"),
    "alerts": ("Alerts", "Alertes"),
    "alert": ("Alert", "Alerte"),
    "firing": ("firing", "active"),
    "ended": ("ended", "terminée"),
    "labels": ("Labels", "Labels"),
    "annotations": ("Annotations", "Annotations"),
    "flaps": ("{0} flaps", "{0} oscillations"),
    "times": ("heard {0} times", "reçue {0} fois"),
    "pages": ("Pages and messages", "Appels et messages"),
    "no_pages": ("Nobody was called.", "Personne n'a été appelé."),
    "destination": ("Destination", "Destination"),
    "kind": ("Kind", "Genre"),
    "tries": ("Tries", "Essais"),
    "text": ("Text", "Texte"),
    "full_text": ("Full text", "Texte complet"),
    "timeline": ("Timeline", "Chronologie"),
    "chain_intact": ("The timeline is as it was written", "La chronologie est intacte"),
    "chain_broken": ("The timeline was changed after it was written", "La chronologie a été modifiée après coup"),
    "why_priority": ("Why this priority", "Pourquoi cette priorité"),
    "impact": ("Impact", "Impact"),
    "urgency": ("Urgency", "Urgence"),
    "rule": ("Rule", "Règle"),
    "service": ("Service", "Service"),
    "source": ("Source", "Source"),
    "symptom": ("Symptom", "Symptôme"),
    "accepted": ("Accepted", "Reçu"),
    "no_action": ("For people only", "Réservé aux personnes"),
    "previous": ("Came back after", "Fait suite à"),
    "merged_into": ("Merged into", "Fusionné dans"),
    "duration": ("Duration", "Durée"),
    # values of closed lists: looked up with `Words.of`
    "level_low": ("low", "faible"),
    "level_medium": ("medium", "moyen"),
    "level_high": ("high", "élevé"),
    "state_intent": ("about to run", "sur le point d'agir"),
    "state_applied": ("applied", "appliquée"),
    "state_rejected": ("not applied", "non appliquée"),
    "state_unknown": ("outcome unknown", "issue inconnue"),
    "state_abandoned": ("given up", "abandonnée"),
    "state_shadow": ("only said", "seulement annoncée"),
    "verdict_cured": ("cured", "guéri"),
    "verdict_not_yet": ("not cured yet", "pas encore guéri"),
    "verdict_failed": ("not cured", "pas guéri"),
    "verdict_cannot_tell": ("cannot tell", "indéterminé"),
    "verdict_deadline": ("not cured in its time", "pas guéri à temps"),
    "verdict_closed": ("closed by a person first", "clos avant par une personne"),
    "message_trigger": ("call", "appel"),
    "message_resolve": ("end of call", "fin d'appel"),
    "message_update": ("update", "mise à jour"),
    "sent_due": ("to be sent", "à envoyer"),
    "sent_accepted": ("taken", "remis"),
    "sent_refused": ("refused", "refusé"),
    "by_rule": ("rule", "règle"),
    "by_catalogue": ("catalogue", "catalogue"),
    "by_tag": ("tag", "étiquette"),
    "by_breadth": ("breadth", "étendue"),
    "by_label": ("label", "label"),
    "by_trend": ("trend", "tendance"),
    "by_default": ("default", "défaut"),
    "rollout_complete": ("complete", "terminé"),
    "rollout_progressing": ("progressing", "en cours"),
    "rollout_stuck": ("stuck", "bloqué"),
    "reverted": ("taken back", "annulée"),
    # holds
    "kill_switch_on": ("The kill switch is on: nothing acts anywhere", "L'arrêt d'urgence est actif : plus rien n'agit nulle part"),
    "storm_shut": ("A storm: nothing acts, and pages are gathered", "Tempête : rien n'agit, et les appels sont regroupés"),
    "frozen": ("Actions are frozen for {0}", "Les actions sont gelées pour {0}"),
    "until": ("until {0}", "jusqu'à {0}"),
    "until_thawed": ("until thawed", "jusqu'au dégel"),
    # quarantine
    "quarantine_hint": (
        "What arrived and could not be read. Nothing acts on it; correct its sender.",
        "Ce qui est arrivé et n'a pas pu être lu. Rien n'agit dessus ; corrigez l'expéditeur.",
    ),
    "quarantine_empty": ("Nothing is in quarantine.", "La quarantaine est vide."),
    "reason": ("Reason", "Raison"),
    "path": ("Where", "Où"),
    "raw": ("As it came", "Tel que reçu"),
    # problems
    "p_404": ("There is no such incident.", "Cet incident n'existe pas."),
    "p_400": ("This address was not understood.", "Cette adresse n'est pas comprise."),
    "p_403": ("This form does not come from this site, or is too old.", "Ce formulaire ne vient pas de ce site, ou a expiré."),
    "p_503": ("The store does not answer. Try again in a moment.", "Le stockage ne répond pas. Réessayez dans un instant."),
    "back": ("Back to the incidents", "Retour aux incidents"),
}


class Words:
    """One language; any locale but `fr` is English."""

    def __init__(self, locale: str) -> None:
        self.locale = "fr" if locale == "fr" else "en"
        self._at = 1 if self.locale == "fr" else 0

    def __call__(self, key: str, *values: object) -> str:
        """The text, with `{0}` and so on filled. The texts are ours; what fills them is never a format."""
        text = WORDS[key][self._at]
        return text.format(*values) if values else text

    def of(self, kind: str, value: str) -> str:
        """A value of a closed list in words; itself where an older page meets a newer value."""
        key = f"{kind}_{value}"
        return self(key) if key in WORDS else value

    def detail(self, text: str) -> str:
        """What core words in English, such as a refusal's detail."""
        return detail_text(text, self.locale)

    def gap(self, between: timedelta) -> str:
        """`45 s`, `3 min`, `5 h`, `2 d`."""
        seconds = max(0, int(between.total_seconds()))
        for size, unit in ((86400, "j" if self._at else "d"), (3600, "h"), (60, "min")):
            if seconds >= 2 * size:
                return f"{seconds // size} {unit}"
        return f"{seconds} s"

    def since(self, at: datetime, now: datetime) -> str:
        """`3 min ago`, `in 5 min`."""
        if abs((now - at).total_seconds()) < 1:
            return self("now")
        return self("ago", self.gap(now - at)) if at <= now else self("in", self.gap(at - now))


def clock_time(at: datetime, now: datetime) -> str:
    """`12:05:30`, with its date unless it is today's (UTC)."""
    moment = at.astimezone(UTC)
    return moment.strftime("%H:%M:%S" if moment.date() == now.astimezone(UTC).date() else "%Y-%m-%d %H:%M:%S")


def rfc3339(at: datetime) -> str:
    """For the `datetime` attribute."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
