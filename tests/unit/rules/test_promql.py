"""As much of PromQL as the loader must read."""

from __future__ import annotations

import pytest

from receiver.rulefiles.promql import compares, unknown_placeholders


@pytest.mark.parametrize("query", ["up == 0", "rate(x[5m]) > bool 5", "a != b", "sum(x) by (y) <= 3", 'x{a="}"} < 1', "x # > \n > 1"])
def test_a_query_that_compares_is_seen(query: str) -> None:
    assert compares(query)


@pytest.mark.parametrize(
    "query",
    [
        'sum(rate(x{code=~"5.."}[5m])) / sum(rate(x[5m]))',
        'x{a!="b", c!~"d>e"}',
        "label_replace(up, 'a', '>', 'b', '==')",
        "x # > 5",
        "`>` and x",
        'x{a="\\"} > 1"}',
        'kube_pod_info{pod=~"$workload-[a-z0-9]{5}"}',
    ],
)
def test_what_stands_in_strings_selectors_and_comments_compares_nothing(query: str) -> None:
    assert not compares(query)


def test_only_the_targets_own_placeholders_are_known() -> None:
    query = 'x{namespace="$namespace", pod="$pod", c="$cluster", s="$service", w="$workload", p="$pod", i="${instance}"}'
    assert unknown_placeholders(query) == ["$pod", "${instance}"]
    assert unknown_placeholders('label_replace(x{a=~"b$"}, "a", "$1", "c", "(.*)")') == []
