"""What the observers say of a hazard: the English of `receiver/observe` and the French for it. Used by `details.py`.

A refusal for hazards names several, as `hpa: … owns the count …; paused: …`: each part is put over on its own, its word stays.
"""

from __future__ import annotations

_ANY = r"(\S+ \S+)"

# fmt: off
HAZARDS: tuple[tuple[str, str], ...] = (
    # the owner's consent
    (r"namespace (\S+) is never acted in", "on n'agit jamais dans le namespace {0}"),
    (r"neither (\S+) nor namespace (\S+) carries (\S+): (.+)", "ni {0} ni le namespace {1} ne porte {2}: {3}"),
    (r"neither (\S+) carries (\S+): (.+)", "{0} ne porte pas {1}: {2}"),
    (r"(.+) carries (\S+): (.+), which is no number", "{0} porte {1}: {2}, qui n'est pas un nombre"),
    (r"(.+) carries (\S+): (.+)", "{0} porte {1}: {2}"),
    (r"(.+) allows only (.+)", "{0} n'autorise que {1}"),
    # its state
    (r"(\S+): (\d+) of (\d+) updated, (\d+) available", "{0} : {1} sur {2} à jour, {3} disponibles"),
    (r"(\S+: )?generation (\d+) is not observed yet", "la génération {1} n'a pas encore été vue"),
    (r"the controller has not observed generation (\d+)", "le contrôleur n'a pas encore vu la génération {0}"),
    (r"Deployment (\S+) is paused", "le Deployment {0} est en pause"),
    (
        rf"{_ANY} has strategy OnDelete: a new template reaches no pod by itself",
        "{0} a la stratégie OnDelete : un nouveau modèle n'atteint aucun pod de lui-même",
    ),
    (
        rf"{_ANY} has partition (\d+): ordinals below it keep their revision",
        "{0} a la partition {1} : les ordinaux en dessous gardent leur révision",
    ),
    (r"DaemonSet (\S+): its count is that of its nodes", "DaemonSet {0} : son nombre est celui de ses nœuds"),
    (rf"{_ANY}: no node wants it", "{0} : aucun nœud ne le demande"),
    (rf"{_ANY}: it is scaled to 0, on purpose as far as we know", "{0} : à 0 replica, exprès pour autant que l'on sache"),
    (r"priorityClassName (\S+)", "classe de priorité {0}"),
    # who else has a say
    (
        r"HorizontalPodAutoscaler of KEDA (\S+) owns the count \((\S+) to (\S+), now (\S+)\)(?P<inner>.*)",
        "le HorizontalPodAutoscaler de KEDA {0} décide du nombre ({1} à {2}, {3} maintenant){inner}",
    ),
    (
        r"HorizontalPodAutoscaler (\S+) owns the count \((\S+) to (\S+), now (\S+)\)(?P<inner>.*)",
        "le HorizontalPodAutoscaler {0} décide du nombre ({1} à {2}, {3} maintenant){inner}",
    ),
    (r"; it does not scale now: (.+)", " ; il n'agit pas en ce moment : {0}"),
    (
        r"; it is at its maximum: a person may raise maxReplicas, to 1\.5 times at most",
        " ; il est à son maximum : une personne peut relever maxReplicas, 1,5 fois au plus",
    ),
    (r"ScaledObject (\S+) owns the count, paused on purpose \((.+)\)", "le ScaledObject {0} décide du nombre, en pause exprès ({1})"),
    (r"ScaledObject (\S+) owns the count", "le ScaledObject {0} décide du nombre"),
    (r"(.+): Flux leaves it alone \((.*)\)", "{0} : Flux n'y touche pas ({1})"),
    (
        r"(.+): it would be set back; revert the commit instead",
        "{0} : le changement serait défait ; annulez plutôt le commit",
    ),
    (
        r"release (\S+) is live in Helm's books \((.*)\): after an undo or a scale they say otherwise",
        "la release {0} est celle que Helm croit en place ({1}) : après un changement ce ne serait plus vrai",
    ),
    (rf"{_ANY} controls it", "{0} le pilote"),
    (r"Rollout (\S+): its own controller aborts and undoes it", "Rollout {0} : son propre contrôleur l'arrête et le défait"),
    (r"Canary (\S+) stands over it", "le Canary {0} s'en occupe"),
    (r"Rollout (\S+) refers to it", "le Rollout {0} s'y réfère"),
    # what its pods suffer from
    (r"(\d+) pods wait, as (\S+): (.+)", "pods en attente : {0}, comme {1} : {2}"),
    (
        r"(\d+) pods were killed for memory within an hour of their start, as (\S+)",
        "pods tués pour leur mémoire moins d'une heure après leur démarrage : {0}, comme {1}",
    ),
    (r"VerticalPodAutoscaler (\S+) sizes it: let it work", "le VerticalPodAutoscaler {0} règle sa taille : laissez-le faire"),
    (r"probes kill (\d+) pods, as (\S+) \((.*)\)", "les sondes tuent des pods : {0}, comme {1} ({2})"),
    (r"(\S+) says (.+): more pods would ask for more", "{0} dit {1} : plus de pods en demanderaient davantage"),
    # room
    (r"(\d+) pods cannot be scheduled, as (\S+)", "pods qu'aucun nœud ne prend : {0}, comme {1}"),
    (r"(\d+) pods of the namespace cannot be scheduled, as (\S+)", "pods du namespace qu'aucun nœud ne prend : {0}, comme {1}"),
    (r"(\d+) of (\d+) nodes are not well, as (.+)", "{0} nœuds sur {1} vont mal, comme {2}"),
    (
        r"(\d+) of (\d+) nodes are cordoned or not ready, as ([^;]+)",
        "{0} nœuds sur {1} sont mis à l'écart ou pas prêts, comme {2}",
    ),
    (r"ResourceQuota (\S+) has no room: (.+)", "le ResourceQuota {0} n'a plus de place : {1}"),
    (r"ResourceQuota (\S+) cannot be read: (.+)", "le ResourceQuota {0} est illisible : {1}"),
    (r"PodDisruptionBudget (\S+) is not observed yet", "le PodDisruptionBudget {0} n'a pas encore été vu par son contrôleur"),
    (
        r"PodDisruptionBudget (\S+) wants (\d+) healthy of now (\d+), a restart takes (\d+)",
        "le PodDisruptionBudget {0} en veut {1} sains, {2} le sont, un redémarrage en prend {3}",
    ),
    (r"(\d+) PodDisruptionBudgets select (\S+): it cannot be evicted", "{0} PodDisruptionBudgets visent {1} : il ne peut pas être évincé"),
    (r"LimitRange (\S+) admits no new pods: it cannot be read: (.+)", "le LimitRange {0} n'admet aucun nouveau pod : illisible : {1}"),
    (r"LimitRange (\S+) admits no new pods: (.+)", "le LimitRange {0} n'admet aucun nouveau pod : {1}"),
)
# fmt: on
