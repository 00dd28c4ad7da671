"""Rule files: YAML to a `RuleSet`, or every error with file, line, column and what is allowed.

Law: a rule set is loaded whole or not at all; unknown keys, duplicate keys and a missing `default:` are errors; a rule may only tighten
what the policy allows. Called at start, on reload, by `receiver check` and by the simulation.
"""

from receiver.rulefiles.loading import RulesRefused, check, load
from receiver.yamlfile import Problem

__all__ = ["Problem", "RulesRefused", "check", "load"]
