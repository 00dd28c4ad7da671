"""What is said of an ECS service in a refusal: the English of `receiver/observe` and the French for it. Used by `details.py`."""

from __future__ import annotations

# fmt: off
ECS: tuple[tuple[str, str], ...] = (
    # dangers
    (r"its tag (\S+) is disabled", "son tag {0} vaut disabled"),
    (r"it has no tag (\S+) = (\S+)", "le tag {0} = {1} lui manque"),
    (r"the service is (\S+)", "le service est {0}"),
    (r"its deployment controller is (\S+)", "son contrôleur de déploiement est {0}"),
    (r"its deployment strategy is (\S+)", "sa stratégie de déploiement est {0}"),
    (
        r"its scheduling strategy is DAEMON: its count is that of its instances",
        "sa stratégie de placement est DAEMON : son nombre est celui de ses instances",
    ),
    (r"Application Auto Scaling keeps its count from (\S+) to (\S+)", "Application Auto Scaling tient son nombre entre {0} et {1}"),
    (r"deployment (\S+), one of (\S+), is (\S+)", "le déploiement {0} (sur {1}) est {2}"),
    (r"service deployment (\S+) is (\S+)", "le service deployment {0} est {1}"),
    (
        r"a deployment is under way, and its (\S+) rolls it back if it fails",
        "un déploiement est en cours, et son réglage {0} reviendra en arrière s'il échoue",
    ),
    # the way back
    (r"ECS tells of no service deployment", "ECS ne connaît aucun service deployment"),
    (r"the newest service deployment is (\S+)", "le dernier service deployment est {0}"),
    (
        r"the newest service deployment was rolled back: (\S+) is what ECS went back to",
        "le dernier service deployment est revenu en arrière : {0} est ce qu'ECS a remis",
    ),
    (
        r"nothing shows that the newest service deployment brought (\S+)",
        "rien ne montre que le dernier service deployment a apporté {0}",
    ),
    (
        r"(\S+) had stood before its newest service deployment: that one went back to it",
        "{0} était déjà en place avant son dernier service deployment : celui-ci y est revenu",
    ),
    (
        r"the revision that the deployment in flight came from was never deployed successfully",
        "la révision d'où vient le déploiement en cours n'a jamais été déployée avec succès",
    ),
    (
        r"no successful service deployment had another task definition",
        "aucun service deployment réussi n'avait une autre task definition",
    ),
    (
        r"the deployment in flight is of the task definition that it came from \((\S+)\)",
        "le déploiement en cours porte la task definition d'où il vient ({0})",
    ),
    (r"task definition (\S+) is (\S+): it cannot be set", "la task definition {0} est {1} : impossible de la remettre"),
    (
        r"(\S+) and (\S+) ask for the same: its tag points at another image now, and going back would not change that",
        "{0} et {1} demandent la même chose : son tag pointe maintenant vers une autre image, et revenir en arrière n'y changerait rien",
    ),
    (r"(\S+) and (\S+) ask for the same: there is nothing to go back to", "{0} et {1} demandent la même chose : rien à remettre"),
    (
        r"(\S+) of (\S+) points at another image now, and (\S+) asks for it by that tag: setting it would not bring the old image back",
        "{0} de {1} pointe maintenant vers une autre image, et {2} la demande par ce tag : remettre {2} ne ramènerait pas l'ancienne",
    ),
    # the target
    (r"it acts on (\S+), the target is (\S+)", "elle agit sur {0}, la cible est {1}"),
)
# fmt: on
