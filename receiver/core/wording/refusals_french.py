"""What the bounds say in a refusal: the English of `bounds`, `verbs`, `budgets`, `offers` … and the French for it, in their order.

Law: a pattern takes out names, counts and gaps of time, never more; a test reads every text out of the bounds' sources and finds it here.
Used by `details.py`.
"""

from __future__ import annotations

SHORT = r"([0-9][0-9.a-z ]*)"
"""A gap or a number, as `ask.short` writes it."""

# fmt: off
REFUSALS: tuple[tuple[str, str], ...] = (
    # bounds
    (r"action (\S+) is not available here; available: none", "l'action {0} n'est pas disponible ici ; aucune ne l'est"),
    (r"action (\S+) is not available here; available: (.+)", "l'action {0} n'est pas disponible ici ; disponibles : {1}"),
    (r"service (\S+) is not in the catalogue", "le service {0} n'est pas au catalogue"),
    (r"the ledger could not be read", "le registre n'a pas pu être lu"),
    (r"bound (\S+) failed: (.+)", "la limite {0} a échoué : {1}"),
    (r"actions_file does not hold the word allowed, or cannot be read", "actions_file ne contient pas le mot allowed, ou est illisible"),
    (r"kill switch set by (\S+): (.*)", "arrêt d'urgence enclenché par {0} : {1}"),
    (r"frozen \(everywhere\) by (\S+): (.*)", "gelé partout par {0} : {1}"),
    (r"frozen \((.+)\) by (\S+): (.*)", "gelé ({0}) par {1} : {2}"),
    (r"mode is (\S+): (\S+) says what would be done", "le mode est {0} : {1} dit ce qui serait fait"),
    (
        r"symptom (\S+) is never acted on: it would destroy evidence",
        "on n'agit jamais sur le symptôme {0} : des preuves seraient perdues",
    ),
    (r"the alert's label cluster is not ours \((.*)\)", "le label cluster de l'alerte n'est pas le nôtre ({0})"),
    (r"the time of the start is unknown", "l'heure du démarrage est inconnue"),
    (rf"started {SHORT} ago", "démarré il y a {0}"),
    (r"acknowledged by (\S+)", "pris en charge par {0}"),
    (r"no alert of it fires any more", "aucune de ses alertes n'est plus active"),
    (rf"it has fired for {SHORT}, more than {SHORT}", "elle est active depuis {0}, plus de {1}"),
    (rf"it has fired for {SHORT}", "elle est active depuis {0}"),
    (r"the storm gate is shut: (.+)", "la tempête bloque tout : {0}"),
    (r"source (\S+) lists no namespaces", "la source {0} ne déclare aucun namespace"),
    (r"the target was not looked at yet", "la cible n'a pas encore été observée"),
    (r"no state: (.+)", "aucun état : {0}"),
    (
        r"the object was replaced since the incident began \(another uid\)",
        "l'objet a été remplacé depuis le début de l'incident (autre uid)",
    ),
    (r"the newest look saw the counts only", "le dernier relevé n'a vu que les nombres"),
    (rf"the newest look is {SHORT} old", "le dernier relevé date de {0}"),
    (
        r"the configured mode is observe: taking back is left to people",
        "le mode configuré est observe : le retour arrière revient aux personnes",
    ),
    # confirmation and places
    (r"the live target does not show the symptom", "la cible ne montre pas le symptôme"),
    (r"nothing shows the symptom, (?P<inner>.+)", "rien ne montre le symptôme, {inner}"),
    (r"query: no answer", "requête : aucune réponse"),
    (r"query: (\S+) \((?P<inner>.*)\)", "requête : {0} ({inner})"),
    (r"probe: no answer", "sonde : aucune réponse"),
    (r"probe: (\S+) \((?P<inner>.*)\)", "sonde : {0} ({inner})"),
    (r"(?:error )?no Prometheus is configured \(prometheus\.url\)", "aucun Prometheus n'est configuré (prometheus.url)"),
    (rf"seen once, a second look is due {SHORT} after the first", "constaté une fois, un second relevé est dû {0} après le premier"),
    (r"the alerts point at (.+) as well as at (.+)", "les alertes visent {0} aussi bien que {1}"),
    (
        r"namespace (\S+) is refused by the list of system namespaces(.*)",
        "le namespace {0} est refusé par la liste des namespaces du système{1}",
    ),
    (r"namespace (\S+) is refused by (.+)", "le namespace {0} est refusé par {1}"),
    (r"identity (\S+) may not (.+)", "l'identité {0} n'a pas le droit : {1}"),
    (r"the API server has not said yet which rights we have", "le serveur d'API n'a pas encore dit quels droits nous avons"),
    # dependencies
    (
        r"dependency (.+?) is down: its query gives (\S+); support: (.+)",
        "la dépendance {0} est en panne : sa requête donne {1} ; support : {2}",
    ),
    (r"dependency (.+?) is down: its query gives (\S+)", "la dépendance {0} est en panne : sa requête donne {1}"),
    (r"dependency (.+?) is down: (.*); support: (.+)", "la dépendance {0} est en panne : {1} ; support : {2}"),
    (r"dependency (.+?) is down: (.*)", "la dépendance {0} est en panne : {1}"),
    (
        r"dependency (.+?) cannot be told: no answer; support: (.+)",
        "l'état de la dépendance {0} est inconnu : aucune réponse ; support : {1}",
    ),
    (r"dependency (.+?) cannot be told: no answer", "l'état de la dépendance {0} est inconnu : aucune réponse"),
    (r"dependency (.+?) cannot be told: (?P<inner>.*); support: (.+)", "l'état de la dépendance {0} est inconnu : {inner} ; support : {2}"),
    (r"dependency (.+?) cannot be told: (?P<inner>.*)", "l'état de la dépendance {0} est inconnu : {inner}"),
    # offers
    (r"(\S+) waits for a yes \((receiver approve \S+)\)", "{0} attend un oui ({1})"),
    (r"(\S+) said no to (\S+)", "{0} a dit non à {1}"),
    (r"it was asked for (\d+) times, (\d+) are allowed", "elle a été demandée {0} fois, {1} permises"),
    (r"no alert fires any more", "plus aucune alerte n'est active"),
    (r"(\S+) approved it, and it could not be run in time", "{0} l'a approuvée, et elle n'a pas pu être exécutée à temps"),
    (r"nobody answered in time", "personne n'a répondu à temps"),
    # budgets
    (r"attempt (\S+) \((\S+)\) is open on it", "la tentative {0} ({1}) y est en cours"),
    (
        rf"last attempt on this target {SHORT} ago, {SHORT} must pass",
        "dernière tentative sur cette cible il y a {0}, {1} doivent s'écouler",
    ),
    (r"(\d+) actions were tried for this incident, (\d+) are allowed", "{0} actions tentées pour cet incident, {1} permises"),
    (r"it was tried already \((\S+): (.+)\)", "déjà tentée ({0} : {1})"),
    (r"rejected (\d+) times: (.*)", "rejetée {0} fois : {1}"),
    (r"(\d+) attempts on this target in 24 h, (\d+) are allowed", "{0} tentatives sur cette cible en 24 h, {1} permises"),
    (r"(\d+) attempts? (?:is|are) open in this namespace", "tentatives en cours dans ce namespace : {0}"),
    (r"(\d+) attempts? (?:is|are) open", "tentatives en cours : {0}"),
    (
        rf"the namespace's (\d+) tokens are spent, one comes back every {SHORT}",
        "les {0} jetons du namespace sont dépensés, un revient toutes les {1}",
    ),
    (rf"all (\d+) tokens are spent, one comes back every {SHORT}", "les {0} jetons sont dépensés, un revient toutes les {1}"),
    (r"(\d+) of the last (\d+) verifications failed", "vérifications en échec : {0} des {1} dernières"),
    (r"it fired and resolved (\d+) times within an hour", "active puis résolue {0} fois en une heure"),
    (
        rf"attempt (\S+) cured it {SHORT} ago and it fires again: the cure does not hold",
        "la tentative {0} l'a guérie il y a {1} et elle est de nouveau active : le remède ne tient pas",
    ),
    # verbs
    (rf"(.+) changed it {SHORT} ago", "{0} l'a modifié il y a {1}"),
    (r"it is scaled to 0; only a person starts it again", "il est à 0 replica ; seule une personne le relance"),
    (r"(\d+) replicas already; ceilings: (.+)", "déjà {0} replicas ; plafonds : {1}"),
    (r"(\d+) replicas, a restart needs (\d+)", "{0} replicas, un redémarrage en demande {1}"),
    (r"its strategy takes all of (\d+) pods down at once", "sa stratégie arrête les {0} pods à la fois"),
    (r"its strategy takes (\d+) of (\d+) pods down at once", "sa stratégie arrête {0} pods sur {1} à la fois"),
    (
        r"(\d+) of (\d+) available, and not all pods in the same state",
        "{0} sur {1} disponibles, et les pods ne sont pas tous dans le même état",
    ),
    (
        rf"a restart in this namespace was {SHORT} ago, {SHORT} must pass",
        "un redémarrage dans ce namespace il y a {0}, {1} doivent s'écouler",
    ),
    (r"attempt (\S+) \((\S+)\) has replaced its pods already", "la tentative {0} ({1}) a déjà remplacé ses pods"),
    (rf"its newest pod is {SHORT} old", "son pod le plus récent date de {0}"),
    (r"no pod of it is one that an eviction could cure", "aucun de ses pods ne guérirait d'une éviction"),
    (r"pod (\S+) is the only one", "le pod {0} est le seul"),
    (
        r"(\d+) pods beside (\S+) are not ready: this is no single bad pod",
        "pods non prêts à côté de {1} : {0} ; ce n'est pas un seul mauvais pod",
    ),
    (r"pod (\S+) is young", "le pod {0} est trop récent"),
    (rf"a pod of it was evicted {SHORT} ago", "un de ses pods a été évincé il y a {0}"),
    (r"a PodDisruptionBudget allows no disruption of (\S+) now", "un PodDisruptionBudget n'admet pas l'éviction de {0} maintenant"),
    (r"kubernetes\.nodes is not set to true", "kubernetes.nodes ne vaut pas true"),
    (r"it is a node of the control plane", "c'est un nœud du plan de contrôle"),
    (r"it is cordoned already", "il est déjà mis à l'écart"),
    (r"it is not cordoned by us", "ce n'est pas nous qui l'avons mis à l'écart"),
    (r"it is not cordoned", "il n'est pas mis à l'écart"),
    (r"(\d+) of (\d+) nodes are cordoned, (\d+) may be", "{0} nœuds sur {1} sont mis à l'écart, {2} au plus"),
    (r"(\d+) of (\d+) nodes would take pods, (\S+) must", "{0} nœuds sur {1} accepteraient des pods, {2} au moins"),
    (r"(\d+) pods wait for a node already", "{0} pods attendent déjà un nœud"),
    (r"the node is not well: not ready", "le nœud va mal : pas prêt"),
    (r"the node is not well: (.+)", "le nœud va mal : {0}"),
    (r"kubernetes\.undo_token_file is not set", "kubernetes.undo_token_file n'est pas renseigné"),
    (r"revision (\S+) was never seen healthy: (?P<inner>.+)", "la révision {0} n'a jamais été vue saine : {inner}"),
    (r"the age of the present revision is unknown", "l'âge de la révision en place est inconnu"),
    (rf"the rollout is {SHORT} old, at most {SHORT} is allowed", "le déploiement date de {0}, {1} au plus"),
    (rf"the alert began {SHORT} before the rollout", "l'alerte a commencé {0} avant le déploiement"),
    (
        r"revision (\S+) is known bad: attempt (\S+) rolled away from it",
        "la révision {0} est connue pour mauvaise : la tentative {1} l'a quittée",
    ),
    (r"attempt (\S+) has rolled away from this very template already", "la tentative {0} a déjà quitté ce même modèle"),
    (
        r"attempt (\S+) has brought the present revision back: nothing older is tried",
        "la tentative {0} a remis la révision actuelle : rien de plus ancien n'est tenté",
    ),
    # why there is nothing to undo
    (r"a (\S+) is not undone", "un {0} n'est pas ramené en arrière"),
    (
        r"no earlier revision differs from the current one by more than a restart",
        "aucune révision antérieure ne diffère de l'actuelle par plus qu'un redémarrage",
    ),
    (r"no (\S+) of the current template with the current revision", "aucun {0} du modèle en place avec la révision en place"),
    (
        r"no pod of it is available, and it stood for (\d+) min",
        "aucun de ses pods n'est disponible, et elle a tenu {0} min",
    ),
    (
        r"no pod of it is available, and nothing shows how long it stood",
        "aucun de ses pods n'est disponible, et rien ne montre combien de temps elle a tenu",
    ),
    (r"the controller has not observed the newest template yet", "le contrôleur n'a pas encore vu le dernier modèle"),
    (r"the Deployment is paused", "le Deployment est en pause"),
    (r"revisionHistoryLimit is 0: no history is kept", "revisionHistoryLimit vaut 0 : aucun historique"),
)
# fmt: on
