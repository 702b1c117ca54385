"""The alert rules and the dashboard: well formed, and of metrics that there are."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from typing import Any

import pytest
import yaml

from app.telemetry.catalogue import HISTOGRAM, METRICS
from app.telemetry.totals import REFUSED
from app.web.contract import OPERATIONS
from app.web.recording import UNMATCHED
from tests.support import ROOT

FOLDER = ROOT / "docs" / "monitoring"
RULES = FOLDER / "windlass.rules.yml"
DASHBOARD = FOLDER / "grafana-dashboard.json"
PROMTOOL = shutil.which("promtool")
NAME = re.compile(r"(?<![:\w])(?:windlass|process)_[a-z0-9_]+")


def rules() -> list[dict[str, Any]]:
    return [
        rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]
    ]


def expressions() -> list[str]:
    found = [str(rule["expr"]) for rule in rules()]
    dashboard = json.loads(DASHBOARD.read_text())
    found += [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    found += [entry["expr"] for entry in dashboard["annotations"]["list"]]
    return found


def series_of_all_metrics() -> set[str]:
    found = set(METRICS)
    for metric in METRICS.values():
        if metric.kind == HISTOGRAM:
            found |= {f"{metric.name}_{end}" for end in ("bucket", "sum", "count")}
    return found


def test_every_metric_that_is_asked_for_exists() -> None:
    named = {name for text in expressions() for name in NAME.findall(text)}
    assert len(named) > 15
    assert named <= series_of_all_metrics()


def test_every_rule_that_is_asked_for_is_recorded() -> None:
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    named = {name for text in expressions() for name in re.findall(r"windlass:[\w:]+", text)}
    assert named <= recorded


def test_every_alert_says_what_is_wrong_and_what_to_do() -> None:
    alerts = [rule for rule in rules() if "alert" in rule]
    assert len(alerts) >= 8
    for alert in alerts:
        assert alert["labels"]["severity"] in {"page", "ticket"}
        assert {"summary", "description"} <= set(alert["annotations"])


def test_bounds_that_rules_name_are_bounds_of_buckets() -> None:
    bounds = {str(bound) for metric in METRICS.values() for bound in metric.bounds}
    named = {bound for text in expressions() for bound in re.findall(r'le="([^"]+)"', text)}
    assert named
    assert named <= bounds


def test_objective_is_of_what_users_ask() -> None:
    ratios = [str(rule["expr"]) for rule in rules() if "ratio" in rule.get("record", "")]
    counted = [name for text in ratios for name in NAME.findall(text)]
    left_out = [route for text in ratios for route in re.findall(r'route!~"([^"]+)"', text)]
    assert len(counted) == len(left_out), "a selector takes all routes"
    (pattern,) = set(left_out)
    routes = {operation.path for operation in OPERATIONS} | {REFUSED, UNMATCHED, "/statuses"}
    assert {route for route in routes if re.fullmatch(pattern, route)} == (
        {"/health", "/ready", REFUSED}
        | {operation.path for operation in OPERATIONS if operation.group == "Operation"}
    )


def test_panels_do_not_lie_upon_each_other() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + dx, at["y"] + dy) for dx in range(at["w"]) for dy in range(at["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells


@pytest.mark.skipif(PROMTOOL is None, reason="there is no promtool")
@pytest.mark.parametrize(
    "words",
    [("check", "rules", "windlass.rules.yml"), ("test", "rules", "windlass.rules.test.yml")],
)
def test_prometheus_takes_the_rules(words: tuple[str, ...]) -> None:
    done = subprocess.run(
        (str(PROMTOOL), *words), cwd=FOLDER, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
