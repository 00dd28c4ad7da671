"""The shipped service as the benchmarks run it: `python -m bench.service CONFIG [--lift-page-budget] [--certificate=FILE]`.

Two hooks differ from `receiver serve`: room for the load generator's connections, which all come from one peer, and a route that runs a
full garbage collection and answers how long it took. With `--lift-page-budget` the client's own limit of events a minute is out of the
way as well (P3 only: 100 pages a second would break it on purpose). With `--certificate` SNS' certificate is read there, whatever its
address (S only).
"""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
import time
from pathlib import Path

from aiohttp import web

from receiver.app import Hooks, serve
from receiver.clients import pagerduty
from receiver.ingest.server import ServerLimits
from receiver.settings import load_settings
from receiver.telemetry.logs import configure_logging

COLLECT = "/bench/collect"


async def main(config: Path, certificate: bytes) -> None:
    """Until SIGTERM."""

    async def of_sns(_: str) -> bytes:
        return certificate

    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    limits = ServerLimits(connections=2048, connections_per_peer=2048)
    hooks = Hooks(server_limits=limits, extend=_extend, sns_certificates=of_sns)
    await serve(load_settings(config, {}), stop=stop, started=lambda _: gc.freeze(), hooks=hooks)  # as `receiver serve`


def _extend(app: web.Application) -> None:
    app.router.add_get(COLLECT, _collect)


async def _collect(_: web.Request) -> web.Response:
    began = time.perf_counter()
    gc.collect()
    return web.json_response({"ms": (time.perf_counter() - began) * 1e3, "objects": len(gc.get_objects())})


if __name__ == "__main__":
    import uvloop

    if "--lift-page-budget" in sys.argv:
        pagerduty.PER_MINUTE = 1_000_000
    configure_logging(sys.stderr, level="error")
    given = [Path(each.partition("=")[2]).read_bytes() for each in sys.argv if each.startswith("--certificate=")]
    uvloop.run(main(Path(sys.argv[1]), given[0] if given else b""))
