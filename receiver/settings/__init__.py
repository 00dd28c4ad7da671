"""One frozen `Settings` from a YAML file and the environment.

Law: the only reader of the environment; unknown keys and variables are errors; every problem is reported at once, with its place; nothing
of a secret is ever in a message. Made once, at start, by the CLI; `app` hands its parts to the rooms.
"""

from receiver.settings.environment import environment
from receiver.settings.loading import Settings, SettingsRefused, load_settings
from receiver.settings.sections import Listen, Locale, OptIn, Scope
from receiver.yamlfile import Problem

__all__ = ["Listen", "Locale", "OptIn", "Problem", "Scope", "Settings", "SettingsRefused", "environment", "load_settings"]
