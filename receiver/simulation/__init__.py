"""What the rules would do, over virtual time and in memory: no network, no store, no sleep.

Law: it decides with the very functions of the service (`core.plan.decide`, `core.classify`, `core.dedup`) and only plays the edges: a
world that answers looks and takes actions. `loop` plays, `scene` is a scripted world, `cases` reads rule tests, `running` runs and
compares them. Called by `receiver test` and by our own tests.
"""

from receiver.simulation.loop import Moment, Simulation, World
from receiver.simulation.running import CaseResult, run_files

__all__ = ["CaseResult", "Moment", "Simulation", "World", "run_files"]
