"""Metrics, the board, logs and traces of a whole stack, asked through Nginx."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

import httpx
import msgspec
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from app.telemetry.board import Board
from app.telemetry.catalogue import METRICS
from tests.support import HTML, ROOT, Stack, wait_for
from tests.telemetry_load import adds_up, requests_in, scrape

if TYPE_CHECKING:
    from collections.abc import Callable

PROMTOOL = shutil.which("promtool")
PAYLOAD = ROOT / "tests" / "data" / "powerplant" / "payload3.json"
TOKEN = "a-token-of-operators"
TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
UPGRADES = int(os.environ.get("TELEMETRY_UPGRADES", "2"))
KILLS = int(os.environ.get("TELEMETRY_KILLS", "1"))


def board_of(stack: Stack) -> Board:
    answer = stack.get("/status/data")
    assert answer.status_code == 200, answer.text
    return msgspec.json.decode(answer.content, type=Board)


def lines_of(stack: Stack, **wanted: Any) -> list[dict[str, Any]]:  # noqa: ANN401
    lines = [json.loads(line) for line in stack.log("web").splitlines() if line.startswith("{")]
    return [line for line in lines if wanted.items() <= line.items()]


# ---- metrics


@pytest.mark.timeout(120 + 60 * max(UPGRADES, KILLS))
def test_what_is_counted_is_what_was_sent_across_reloads_and_killed_workers(
    make_stack: Callable[..., Stack],
) -> None:
    """`TELEMETRY_UPGRADES=10 TELEMETRY_KILLS=5` is the long form."""
    stack = make_stack(ACCESS_LOG="no", START_TIMEOUT_S="120")
    stack.up()
    account = adds_up(stack, upgrades=UPGRADES, kills=KILLS)
    sys.stdout.write(f"{account}\n")
    assert sum(account.sent.values()) > 100
    assert account.fallen == [], "a counter went back"
    assert min(account.excess.values()) >= 0, "answers were lost"
    # A worker counts before its answer leaves: one that was killed in between had its request
    # answered by another, which counts it too, or not at all.
    assert sum(account.excess.values()) <= account.again + account.broken


def test_scrape_is_what_prometheus_reads(service: Stack) -> None:
    for path in ("/", "/calculator", "/nowhere"):
        service.get(path, headers=HTML)
    answer = service.get("/metrics")
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    families = {family.name: family for family in text_string_to_metric_families(answer.text)}
    for name, metric in METRICS.items():
        family = families.get(name.removesuffix("_total") if metric.kind == "counter" else name)
        if family is not None:
            assert family.type == metric.kind, name
            assert family.documentation == metric.meaning
    for family in families.values():
        assert re.fullmatch(r"(windlass|process)_[a-z0-9_]+", family.name)
        for sample in family.samples:
            route = sample.labels.get("route", "/")
            assert route.startswith(("/", "(")), sample
            assert "nowhere" not in route
    lines = answer.text.splitlines()
    assert len(lines) == len(set(lines)), "a series is there twice"


def test_buckets_agree_with_their_count(service: Stack) -> None:
    service.get("/calculator")
    samples = scrape(service)
    histograms = {key for key in samples if key[0].endswith("_count")}
    assert histograms
    for name, labels in histograms:
        bucket = name.removesuffix("_count") + "_bucket"
        buckets = [
            (float(dict(pairs)["le"]), value)
            for (other, pairs), value in samples.items()
            if other == bucket and tuple(p for p in pairs if p[0] != "le") == labels
        ]
        values = [value for _, value in sorted(buckets)]
        assert values == sorted(values)
        assert values[-1] == samples[name, labels]


def test_what_is_no_http_is_counted_too(service: Stack) -> None:
    refused = ("OTHER", "(refused)", "4xx")
    before = requests_in(scrape(service))[refused]
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(service.state / "run" / "worker-0.sock"))
        client.sendall(b"GET / HTTP/1.1\r\nno colon\r\n\r\n")
        assert client.recv(4096).startswith(b"HTTP/1.1 400 ")
    assert requests_in(scrape(service))[refused] == before + 1


def test_a_shortcut_and_its_handler_count_alike(service: Stack) -> None:
    route = ("GET", "/metadata", "2xx")
    before = requests_in(scrape(service))[route]
    service.get("/metadata")
    service.get("/metadata?query=1")
    service.get("/metadata", headers={"Content-Length": "0"})
    assert requests_in(scrape(service))[route] == before + 3


def test_without_metrics_nothing_is_counted_and_all_else_works(
    make_stack: Callable[..., Stack],
) -> None:
    stack = make_stack(METRICS="no", WORKERS="1")
    stack.up()
    assert stack.get("/").status_code == 200
    assert not requests_in(scrape(stack))
    board = board_of(stack)
    assert not board.metrics
    assert [worker.state for worker in board.workers] == ["ready"]


# ---- who may see it


def ask(stack: Stack, path: str = "/status/data", **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return stack.get(path, headers=named)


@pytest.mark.parametrize("path", ["/metrics", "/status/data", "/status/events"])
def test_strangers_see_nothing(service: Stack, path: str) -> None:
    for headers in (
        {"X_Forwarded_For": "203.0.113.7"},
        {"Forwarded": "for=203.0.113.7"},
        {"Via": "1.1 proxy"},
        {"Host": "evil.example"},
        {"Host": "evil.example", "Authorization": "Bearer x"},
    ):
        answer = ask(service, path, **headers)
        assert answer.status_code == 403, headers
        assert answer.json()["type"] == "urn:problem-type:windlass:operators-only"


def test_who_is_here_or_has_the_token_sees_it(make_stack: Callable[..., Stack]) -> None:
    stack = make_stack(WORKERS="1", OPERATOR_TOKEN=TOKEN, TRUSTED_PROXIES="127.0.0.1")
    stack.up()
    away = {"X-Forwarded-For": "203.0.113.7"}
    refused = ask(stack, **away)
    assert refused.status_code == 401
    assert refused.headers["WWW-Authenticate"].startswith("Basic realm=")
    assert ask(stack, **away, Authorization="Bearer wrong-token-wrong").status_code == 401
    assert ask(stack, **away, Authorization=f"Bearer {TOKEN}").status_code == 200
    basic = httpx.get(stack.url + "/metrics", headers=away, auth=("anybody", TOKEN))
    assert basic.status_code == 200
    assert ask(stack).status_code == 200, "this machine itself"
    assert ask(stack, **{"X-Forwarded-For": "127.0.0.1"}).status_code == 200
    done = stack.run("config", "--json")
    assert TOKEN not in done.stdout


# ---- the board


def test_board_shows_what_runs_and_what_happened(service: Stack) -> None:
    service.get("/calculator")
    board = board_of(service)
    assert [worker.state for worker in board.workers] == ["ready", "ready"]
    status = service.status()
    for worker in board.workers:
        (entry,) = [p for p in status["processes"] if p["name"] == f"web/{worker.slot}"]
        assert worker.pid == entry["pid"]
        assert worker.release == entry["release"]
        assert worker.commit == service.get("/metadata").json()["last_commit_sha"]
    assert board.environment == "TESTING"
    assert board.redis.state == "up"
    assert board.redis.ping_ms is not None
    assert board.events[-1].kind == "started"
    assert board.traffic.requests >= 1
    assert len(board.series.time) in {0, 120}


def test_sample_of_the_board_is_of_its_form() -> None:
    sample = (ROOT / "tests" / "data" / "board.json").read_bytes()
    board = msgspec.json.decode(sample, type=Board)
    assert msgspec.to_builtins(board) == json.loads(sample)


def test_events_come_about_once_a_second(service: Stack) -> None:
    boards: list[Board] = []
    with service_stream(service) as answer:
        assert answer.headers["Content-Type"] == "text/event-stream"
        for line in answer.iter_lines():
            if line.startswith("data: "):
                boards.append(msgspec.json.decode(line.removeprefix("data: "), type=Board))
            if len(boards) == 3:
                break
    assert boards[0].at < boards[1].at < boards[2].at

    def streams() -> float:
        return sum(v for (name, _), v in scrape(service).items() if name == "windlass_http_streams")

    wait_for(lambda: streams() == 0, "the end of the stream")
    assert "handler failed" not in service.log("web")
    assert "Uncaught" not in service.log("web")


def service_stream(stack: Stack) -> Any:  # noqa: ANN401 - a context manager of httpx
    return httpx.stream("GET", stack.url + "/status/events", timeout=10)


def test_top_shows_the_board(service: Stack) -> None:
    shown = service.run("top", "--once")
    assert shown.returncode == 0, shown.stderr
    assert "TESTING" in shown.stdout
    assert "worker" in shown.stdout
    done = service.run("top", "--json")
    assert done.returncode == 0, done.stderr
    assert len(msgspec.json.decode(done.stdout, type=Board).workers) == 2


def test_top_says_when_there_is_nothing_to_show(make_stack: Callable[..., Stack]) -> None:
    done = make_stack().run("top", "--once")
    assert done.returncode == 1
    assert "The stack is down" in done.stderr


# ---- traces


def test_trace_of_the_caller_is_in_the_log_lines(service: Stack) -> None:
    for path in ("/metadata", "/calculator"):
        service.get(path, headers={"traceparent": f"00-{TRACE}-{PARENT}-01"})
        (line,) = wait_for(partial(lines_of, service, path=path, trace_id=TRACE), "the line")
        assert re.fullmatch(r"[0-9a-f]{16}", line["span_id"])
        assert line["span_id"] != PARENT


def test_without_a_sound_trace_there_is_none_in_the_log(service: Stack) -> None:
    answer = service.get("/metadata", headers={"traceparent": f"00-{'0' * 32}-{PARENT}-01"})
    identifier = answer.headers["X-Request-ID"]
    (line,) = wait_for(lambda: lines_of(service, request_id=identifier), "the line")
    assert "trace_id" not in line


# ---- what monitoring asks for


def test_every_metric_of_the_rules_is_in_a_scrape(service: Stack) -> None:
    service.post("/productionplan", json=json.loads(PAYLOAD.read_bytes()))
    text = service.get("/metrics").text
    found = {re.split(r"[{ ]", line)[0] for line in text.splitlines() if line[0] != "#"}
    folder = ROOT / "docs" / "monitoring"
    groups = yaml.safe_load((folder / "windlass.rules.yml").read_text())["groups"]
    texts = [str(rule["expr"]) for group in groups for rule in group["rules"]]
    panels = json.loads((folder / "grafana-dashboard.json").read_text())["panels"]
    texts += [target["expr"] for panel in panels for target in panel["targets"]]
    named = set(re.findall(r"(?<![:\w])(?:windlass|process)_[a-z0-9_]+", " ".join(texts)))
    assert len(named) > 15
    assert named <= found


@pytest.mark.skipif(PROMTOOL is None, reason="there is no promtool")
def test_prometheus_finds_no_fault_with_the_scrape(service: Stack) -> None:
    done = subprocess.run(
        (str(PROMTOOL), "check", "metrics"), input=service.get("/metrics").text,
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
