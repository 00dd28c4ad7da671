"""Every `Because` as a clause in both languages: one table, total over the enum (a test holds it to that)."""

from __future__ import annotations

from collections.abc import Mapping

from receiver.core.case import Because

B = Because

BECAUSE: Mapping[Because, tuple[str, str]] = {
    # steps
    B.need_target: ("the target is not known yet", "la cible n'est pas encore connue"),
    B.need_facts: ("a fresh look at the target is needed", "il faut un relevé récent de la cible"),
    B.need_confirmation: ("the symptom has to be seen a second time", "le symptôme doit être constaté une seconde fois"),
    B.need_verification: ("the effect of the action has to be verified", "l'effet de l'action doit être vérifié"),
    B.outcome_unknown: (
        "it is not known whether the last action was applied; it is never sent again blindly",
        "on ne sait pas si la dernière action a été appliquée ; elle n'est jamais renvoyée à l'aveugle",
    ),
    B.allowed: ("every bound allows it", "toutes les limites l'autorisent"),
    B.would_act: ("observe mode says what would be done", "le mode observation dit ce qui serait fait"),
    B.settling: ("the last action is given time to take effect", "on laisse à la dernière action le temps d'agir"),
    B.verified: ("the action worked, and this was verified", "l'action a fonctionné, c'est vérifié"),
    B.not_cured: ("the action did not cure it", "l'action n'a pas résolu le problème"),
    B.cannot_tell: ("it cannot be told whether the action helped", "impossible de dire si l'action a aidé"),
    B.lease_ended: ("a temporary change is due to be taken back", "un changement temporaire doit être annulé"),
    B.deadline: ("not solved in time", "pas résolu à temps"),
    B.no_action_listed: ("its rule lists no action", "sa règle ne prévoit aucune action"),
    B.ladder_ended: ("the actions of its rule were tried", "les actions de sa règle ont été tentées"),
    B.all_refused: ("no action of its rule may run", "aucune action de sa règle n'est permise"),
    B.needs_approval: ("a person has to approve the action", "une personne doit approuver l'action"),
    B.observe_mode: ("observe mode: nothing was done", "mode observation : rien n'a été fait"),
    B.priority_one: ("highest priority, a person is called at once", "priorité maximale, une personne est appelée immédiatement"),
    B.priority_rose: ("its priority rose", "sa priorité a augmenté"),
    B.fires_again: ("it fires again since the last call", "nouveau déclenchement depuis le dernier appel"),
    B.still_firing: ("verified as cured, but it still fires", "guérison vérifiée, mais l'alerte persiste"),
    B.undone_by_others: ("somebody undid our change", "quelqu'un a annulé notre changement"),
    B.storm_opened: ("the storm is over, and this is still open", "la tempête est passée, ceci reste ouvert"),
    B.stable: ("over for the whole stability window", "terminé pendant toute la fenêtre de stabilité"),
    B.resolved_itself: ("it ended without an action of ours", "terminé sans action de notre part"),
    B.closed_by_person: ("closed by a person", "clos par une personne"),
    B.merged: ("merged with another incident of the same target", "fusionné avec un autre incident de la même cible"),
    B.waiting_stability: ("the cure has to hold for a while", "la guérison doit tenir un moment"),
    B.waiting_page: ("nothing to do before a person is called", "rien à faire avant l'appel d'une personne"),
    B.waiting_bound: ("a bound refuses for now", "une limite refuse pour l'instant"),
    B.waiting_person: ("a person has been called", "une personne a été appelée"),
    B.heartbeat: ("a heartbeat is missing", "un signal de vie manque"),
    # refusals by the bounds
    B.page_only: ("it is for people only", "réservé aux personnes"),
    B.mode_ceiling: ("the mode does not allow it", "le mode ne le permet pas"),
    B.kill_switch: ("the kill switch is on", "l'arrêt d'urgence est enclenché"),
    B.frozen: ("actions are frozen", "les actions sont gelées"),
    B.boot_hold: ("we have only just started", "nous venons de démarrer"),
    B.acknowledged: ("a person has acknowledged it", "une personne l'a pris en charge"),
    B.not_firing: ("no alert fires any more", "plus aucune alerte n'est active"),
    B.alert_too_young: ("the alert is too young", "l'alerte est trop récente"),
    B.alert_too_old: ("the alert is too old", "l'alerte est trop ancienne"),
    B.not_confirmed: ("the symptom is not confirmed", "le symptôme n'est pas confirmé"),
    B.stale_facts: ("the last look is too old", "le dernier relevé est trop ancien"),
    B.no_target: ("the target could not be read", "la cible n'a pas pu être lue"),
    B.foreign_cluster: ("the alert is of another cluster", "l'alerte vient d'un autre cluster"),
    B.namespace_not_allowed: ("the namespace is not allowed", "le namespace n'est pas autorisé"),
    B.odd_version: ("the payload's version is unknown", "la version du message est inconnue"),
    B.untouchable_symptom: ("data and security are never acted on", "on n'agit jamais sur les données ni sur la sécurité"),
    B.target_busy: ("another action is under way on the target", "une autre action est en cours sur la cible"),
    B.cooldown: ("too soon after the last action on the target", "trop tôt après la dernière action sur la cible"),
    B.incident_budget: ("enough actions were tried for this incident", "assez d'actions tentées pour cet incident"),
    B.kind_once: ("this action was already tried", "cette action a déjà été tentée"),
    B.rejected_too_often: ("it was rejected too often", "elle a été rejetée trop souvent"),
    B.target_budget: ("too many actions on the target today", "trop d'actions sur la cible aujourd'hui"),
    B.namespace_budget: ("the namespace's budget is spent", "le budget du namespace est épuisé"),
    B.namespace_busy: ("another action is under way in the namespace", "une autre action est en cours dans le namespace"),
    B.global_budget: ("the overall budget is spent", "le budget global est épuisé"),
    B.global_busy: ("enough actions are under way", "assez d'actions sont en cours"),
    B.storm: ("too much is alight at once", "trop d'alertes à la fois"),
    B.breaker: ("the last actions failed too often", "les dernières actions ont trop souvent échoué"),
    B.someone_else: ("somebody else has just changed it", "quelqu'un d'autre vient de le modifier"),
    B.flapping: ("it comes and goes", "l'alerte va et vient"),
    B.hazard: ("the target's state forbids it", "l'état de la cible l'interdit"),
    B.unknown_action: ("the action is not available here", "l'action n'est pas disponible ici"),
    B.unknown_service: ("the service is not in the catalogue", "le service n'est pas au catalogue"),
    B.no_undo_identity: ("there is no identity for undo", "aucune identité n'est prévue pour le retour arrière"),
    B.nothing_to_undo: ("there is nothing to go back to", "il n'y a rien vers quoi revenir"),
    B.rollout_too_old: ("the rollout is too old", "le déploiement est trop ancien"),
    B.symptom_before_rollout: ("it began before the rollout", "cela a commencé avant le déploiement"),
    B.not_known_good: ("the earlier revision is not known to be good", "la révision précédente n'est pas réputée saine"),
    B.already_undone: ("it was rolled back already", "un retour arrière a déjà eu lieu"),
    B.at_maximum: ("the count is at its ceiling", "le nombre de replicas est au plafond"),
    B.too_few_replicas: ("too few replicas", "trop peu de replicas"),
    B.pods_too_young: ("its pods are still starting", "ses pods démarrent encore"),
    B.too_much_unavailable: ("too much of it would be down", "une trop grande part serait indisponible"),
    B.bound_failed: ("a bound could not be checked, and doubt refuses", "une limite n'a pas pu être vérifiée, et le doute refuse"),
}


def because_text(because: Because, locale: str) -> str:
    """The clause in `fr` or, for any other locale, English."""
    return BECAUSE[because][1 if locale == "fr" else 0]
