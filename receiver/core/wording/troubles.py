"""Our own troubles in words (`house.md` 6.15): what each means for the people who rely on us, and what to do about it.

Keyed by the alert's label `kind`, which holds a `ports.TroubleKind`; a test keeps the two together. A kind that is not here (an older
process wrote it, a newer one reads it) is worded in general.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Trouble:
    """In one language."""

    title: str
    meaning: str
    to_do: str


_Both = tuple[Trouble, Trouble]

TROUBLES: Mapping[str, _Both] = {
    "heartbeat_overdue": (
        Trouble(
            "heartbeat overdue",
            "No heartbeat came in time: alerts may not be reaching us at all.",
            "Check that Prometheus evaluates its rules, that Alertmanager routes the heartbeat here, and the network between them.",
        ),
        Trouble(
            "signal de vie en retard",
            "Aucun signal de vie n'est arrivé à temps : les alertes ne nous parviennent peut-être plus du tout.",
            "Vérifier que Prometheus évalue ses règles, qu'Alertmanager tourne et route le signal de vie ici, et le réseau entre les deux.",
        ),
    ),
    "quarantine": (
        Trouble(
            "alerts in quarantine",
            "Something arrived that could not be read as an alert. It is kept; nobody else will look at it.",
            "Read it in the console under Quarantine, and correct the sender or its template.",
        ),
        Trouble(
            "alertes en quarantaine",
            "Un message reçu n'a pas pu être lu comme une alerte. Il est conservé ; personne d'autre ne le verra.",
            "Le lire dans la console, page Quarantaine, puis corriger l'émetteur ou son modèle.",
        ),
    ),
    "odd_version": (
        Trouble(
            "unknown payload version",
            "A source sends a payload version that we do not know. Its alerts are paged, but never acted on.",
            "Compare the version of the source with the ones that this receiver supports, and upgrade the older of the two.",
        ),
        Trouble(
            "version de message inconnue",
            "Une source envoie une version de message inconnue. Ses alertes appellent une personne, mais rien n'est jamais exécuté.",
            "Comparer la version de la source à celles que ce receiver connaît, et mettre à jour le plus ancien des deux.",
        ),
    ),
    "refused_delivery": (
        Trouble(
            "delivery refused",
            "A sender with good credentials sends what we must refuse (400, 403, 413 or 415). It drops them silently: alerts are lost.",
            "Look at the sender's template, at its max_alerts and at limits.body; then check by hand what is firing at the sender.",
        ),
        Trouble(
            "livraison refusée",
            "Un émetteur authentifié envoie ce que nous devons refuser (400, 403, 413, 415). Il les jette : des alertes se perdent.",
            "Vérifier le modèle de l'émetteur, son max_alerts et limits.body ; puis contrôler à la main ce qui est actif chez l'émetteur.",
        ),
    ),
    "unauthorized": (
        Trouble(
            "only failed logins",
            "For minutes a source has been answered nothing but 401. Its alerts are lost: the sender does not repeat them.",
            "Compare the token of the sender with ours (was it rotated?), and check by hand what is firing at the sender.",
        ),
        Trouble(
            "authentification en échec",
            "Depuis plusieurs minutes une source ne reçoit que des 401. Ses alertes se perdent : l'émetteur ne les renvoie pas.",
            "Comparer le jeton de l'émetteur au nôtre (a-t-il été renouvelé ?), et contrôler à la main ce qui est actif chez l'émetteur.",
        ),
    ),
    "door_full": (
        Trouble(
            "a door is full",
            "For minutes large deliveries have been answered 503: those whose sender does not come back are lost.",
            "Find who sends so much (the peers in the proxy's log) and keep strangers away; check by hand what is firing at the sender.",
        ),
        Trouble(
            "une entrée est saturée",
            "Depuis plusieurs minutes de grandes livraisons reçoivent un 503 : celles que l'émetteur ne renvoie pas sont perdues.",
            "Chercher qui envoie autant (journal du proxy), écarter les inconnus ; contrôler à la main ce qui est actif chez l'émetteur.",
        ),
    ),
    "worker_failed": (
        Trouble(
            "a worker of ours fails",
            "A part of the receiver crashes or makes no progress. It is restarted; until it runs, incidents may be late.",
            "Read the receiver's log for the named worker; restart the receiver if it does not recover.",
        ),
        Trouble(
            "un de nos composants échoue",
            "Une partie du receiver plante ou n'avance plus. Elle est relancée ; d'ici là des incidents peuvent être en retard.",
            "Lire le journal du receiver pour le composant nommé ; redémarrer le receiver s'il ne se rétablit pas.",
        ),
    ),
    "rules_broken": (
        Trouble(
            "rules cannot be loaded",
            "The rule files on disk are not valid. The last good ones stay in force.",
            "Run `receiver check`, correct what it names, and deploy the rules again.",
        ),
        Trouble(
            "règles impossibles à charger",
            "Les fichiers de règles ne sont pas valides. Les dernières règles correctes restent en vigueur.",
            "Lancer `receiver check`, corriger ce qu'il signale, puis redéployer les règles.",
        ),
    ),
    "storm": (
        Trouble(
            "alert storm",
            "So much fires at once that no single cure can be right: nothing acts, and all but the first P1 share this page.",
            "Look for one common cause (node, network, DNS, database, a wide rollout); `receiver incidents` lists what is open.",
        ),
        Trouble(
            "tempête d'alertes",
            "Tant d'alertes à la fois qu'aucun remède isolé ne convient : rien n'agit, et tout sauf les premiers P1 partage cet appel.",
            "Chercher une cause commune (nœud, réseau, DNS, base, déploiement large) ; `receiver incidents` liste ce qui est ouvert.",
        ),
    ),
    "notifier_refused": (
        Trouble(
            "a page was refused",
            "A destination refused a page for good; the second road has it. The next pages will be refused as well.",
            "Check the routing key and the service behind it at the destination; read the refusal in the incident's messages.",
        ),
        Trouble(
            "un appel a été refusé",
            "Une destination a refusé un appel définitivement ; la seconde voie l'a reçu. Les prochains seront refusés aussi.",
            "Vérifier la clé d'intégration et le service chez la destination ; lire le refus dans les messages de l'incident.",
        ),
    ),
    "overdue_incident": (
        Trouble(
            "an incident is overdue",
            "The next step of an open incident is late, or its page was not delivered.",
            "Open the incident, act by hand if it still matters, and read the receiver's log.",
        ),
        Trouble(
            "un incident est en retard",
            "La prochaine étape d'un incident ouvert est en retard, ou son appel n'a pas été remis.",
            "Ouvrir l'incident, agir à la main si besoin, et lire le journal du receiver.",
        ),
    ),
    "unreachable_source": (
        Trouble(
            "a source does not answer",
            "A queue cannot be read, or a sender cannot be asked what is firing: alerts may be missing here, or incidents stay open.",
            "Read the detail (credentials, address, network); check by hand what is firing there until it answers again.",
        ),
        Trouble(
            "une source ne répond pas",
            "Une file ne peut pas être lue, ou un émetteur ne dit plus ce qui est actif : des alertes manquent peut-être ici.",
            "Lire le détail (identifiants, adresse, réseau) ; contrôler à la main ce qui y est actif tant que rien ne répond.",
        ),
    ),
    "poison_message": (
        Trouble(
            "a message cannot be read",
            "A message of the queue is no alarm that we can read, or keeps coming back. It is left there, for the dead-letter queue.",
            "Look into the dead-letter queue, compare its body with the forms that we read, and check that alarm by hand.",
        ),
        Trouble(
            "un message illisible",
            "Un message de la file n'est pas une alarme lisible, ou revient sans cesse. Il y reste, pour la file des rebuts (DLQ).",
            "Regarder la file des rebuts (DLQ), comparer son contenu aux formes que nous lisons, et contrôler cette alarme à la main.",
        ),
    ),
    "subscription": (
        Trouble(
            "a topic does not deliver",
            "A subscription of Amazon SNS waits to be confirmed, or was taken away: the alarms of its topic are not heard.",
            "Read the detail; confirm the subscription or make it anew, and check by hand which alarms of the topic are in ALARM.",
        ),
        Trouble(
            "un topic ne livre plus",
            "Un abonnement Amazon SNS attend sa confirmation, ou a été retiré : les alarmes de ce topic ne nous parviennent pas.",
            "Lire le détail ; confirmer l'abonnement ou le recréer, et contrôler à la main les alarmes du topic en état ALARM.",
        ),
    ),
    "rights_missing": (
        Trouble(
            "rights are missing",
            "Something that has to be looked at may not be read: no target can be judged, so everything is only paged.",
            "Ask `GET /api/v1/rights` which ones, and apply deploy/target/ to that namespace.",
        ),
        Trouble(
            "des droits manquent",
            "Ce qu'il faut relever ne peut pas être lu : aucune cible ne peut être jugée, tout est seulement appelé.",
            "Demander lesquels à `GET /api/v1/rights`, et appliquer deploy/target/ à ce namespace.",
        ),
    ),
}
_GENERAL: _Both = (
    Trouble(
        "trouble of the receiver itself", "The receiver reports something wrong with itself.", "Read the detail and the receiver's log."
    ),
    Trouble("problème du receiver lui-même", "Le receiver signale un problème le concernant.", "Lire le détail et le journal du receiver."),
)


def trouble_text(kind: str, locale: str) -> Trouble:
    """Total over any text."""
    return TROUBLES.get(kind, _GENERAL)[1 if locale == "fr" else 0]
