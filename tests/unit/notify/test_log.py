"""The page in the log."""

from __future__ import annotations

from structlog.testing import capture_logs

from receiver.notify.log import LogNotifier, block
from receiver.ports import MessageKind
from tests.kits.notifier_kit import HOSTILE, message


async def test_the_whole_page_is_one_structured_line() -> None:
    with capture_logs() as logs:
        await LogNotifier(pages=True).deliver(message(to="log"))
    assert len(logs) == 1
    assert (logs[0]["event"], logs[0]["log_level"], logs[0]["incident"]) == ("page trigger", "warning", 7)
    assert logs[0]["details"]["next command"] == "kubectl -n shop describe deployment/web"


async def test_the_block_reads_line_by_line() -> None:
    shown: list[str] = []
    await LogNotifier(pages=True, show=shown.append).deliver(message(to="log"))
    told = (
        "──── trigger ──── error ────\n"
        "[P2] checkout (shop): KubePodCrashLooping — undo refused\n"
        "  next command: kubectl -n shop describe deployment/web\n"
        "  tried:\n    a\n    b\n"
        "  dashboard: https://grafana.example.com/d/1\n"
    )
    assert shown == [told]


async def test_nothing_in_a_page_steers_the_terminal() -> None:
    told = block(message(MessageKind.resolve, summary=HOSTILE, details={HOSTILE: [HOSTILE, HOSTILE]}, links=((HOSTILE, HOSTILE),)))
    assert not [each for each in told if each != "\n" and not each.isprintable()]
