"""`python -m bench [--quick] [GOAL …]`: each goal against its yardstick in the same run; `--quick` shows the shape within two minutes."""

from __future__ import annotations

import sys
import time
from collections.abc import Awaitable, Callable, Mapping

from bench.accepting import p1, p2
from bench.alone import p6, p7, p10
from bench.comparing import QUICK, Pace, hold_to_load_core
from bench.draining import drained
from bench.figures import Figure, table
from bench.growing import p4
from bench.holding import p9
from bench.paging import p3
from bench.remediating import remediate
from bench.serving import LOAD_CORE, SERVER_CORE
from bench.signing import delivered
from tests.real.tools import MissingError

GOALS: Mapping[str, Callable[[Pace], Awaitable[list[Figure]]]] = {
    "P1": p1,
    "P2": p2,
    "P3": p3,
    "P4": p4,
    "P6": p6,
    "P7": p7,
    "P9": p9,
    "P10": p10,
    "K": remediate,
    "Q": drained,
    "S": delivered,
}


async def main(names: list[str], pace: Pace) -> None:
    """Those goals, or all."""
    hold_to_load_core()
    print(
        f"server on core {SERVER_CORE}, load on core {LOAD_CORE}; uvloop on both sides; {pace.rounds} rounds, slices of {pace.seconds:g} s"
        " anchor-candidate-anchor;\nmedian (min-max) of the ratio to the mean of the neighbouring anchors; bodies of 4 alerts, SQLite FULL"
    )
    found: list[Figure] = []
    began = time.monotonic()
    for name in names or list(GOALS):
        print(f"{name}  {(GOALS[name].__doc__ or '').strip()}", flush=True)
        try:
            found += await GOALS[name](pace)
        except MissingError as missing:
            print(f"  not measured: {missing}")
    if found:
        print(f"\n{table(found)}, {time.monotonic() - began:.0f} s")


def run() -> None:
    """Checks the names first."""
    import uvloop

    names = [each for each in sys.argv[1:] if each != "--quick"]
    if unknown := [each for each in names if each not in GOALS]:
        sys.exit(f"no such benchmark: {', '.join(unknown)}; there are {', '.join(GOALS)}, and --quick")
    uvloop.run(main(names, QUICK if "--quick" in sys.argv else Pace()))


if __name__ == "__main__":
    run()
