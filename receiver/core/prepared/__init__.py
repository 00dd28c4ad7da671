"""Prepared commands: the steps of the runbooks that no machine may take, as exact command lines for a person.

Pure: a subject (target, catalogue, the rule's values) in, frozen `Prepared` out. Nothing here is ever run by us; alert text never enters
a line; Secrets are never read. A rule names them under `suggest:`; pages, the console, the API and `receiver show` show them.
"""

from receiver.core.prepared.making import RECIPES, prepare
from receiver.core.prepared.recipe import Prepared, Recipe
from receiver.core.prepared.values import KEYS, Key, Subject

__all__ = ["KEYS", "RECIPES", "Key", "Prepared", "Recipe", "Subject", "prepare"]
