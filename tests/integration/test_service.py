"""The service as its clients see it, through Nginx, two workers and Redis."""

from __future__ import annotations

import json
import re
import socket
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from app import __version__
from tests.support import HTML, Stack, wait_for

if TYPE_CHECKING:
    from pathlib import Path

JSON = {"Content-Type": "application/json"}


def problem(response: httpx.Response) -> dict[str, Any]:
    """The problem details of a response, its common members checked."""
    assert response.headers["Content-Type"] == "application/problem+json"
    found: dict[str, Any] = response.json()
    assert found["status"] == response.status_code
    assert found["request_id"] == response.headers["X-Request-ID"]
    assert found["title"]
    return found


class TestHome:
    def test_browser_gets_the_page_with_environment_and_counter(self, service: Stack) -> None:
        page = service.get("/", headers=HTML)
        assert page.status_code == 200
        assert page.headers["Content-Type"].startswith("text/html")
        assert "Hi from TESTING environment!" in page.text
        assert re.search(r"Counter: \d+", page.text)

    def test_each_view_adds_one_whichever_worker_serves_it(self, service: Stack) -> None:
        seen = [service.counter() for _ in range(20)]
        assert seen == list(range(seen[0], seen[0] + 20))

    def test_head_of_the_page_counts_nothing(self, service: Stack) -> None:
        before = service.counter()
        head = httpx.head(service.url + "/", headers=HTML)
        assert (head.status_code, head.content) == (200, b"")
        assert service.counter() == before + 1

    @pytest.mark.parametrize("accept", [None, "*/*", "text/plain", "application/json"])
    def test_everything_else_is_greeted(self, service: Stack, accept: str | None) -> None:
        answer = service.get("/", headers={"Accept": accept} if accept else {})
        assert answer.text == "Hello World!\n"
        assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
        assert "Accept" in answer.headers["Vary"]

    def test_static_files_have_hashed_addresses_and_are_cached_for_ever(
        self, service: Stack
    ) -> None:
        page = service.get("/", headers=HTML).text
        addresses = re.findall(r'href="(/static/[^"]+)"', page)
        assert len(addresses) == 2
        for address in addresses:
            assert re.search(r"\.[0-9a-f]{12}\.(css|svg)$", address)
            file = service.get(address)
            assert file.status_code == 200
            assert file.headers["Cache-Control"] == "public, max-age=31536000, immutable"
            assert file.headers["Content-Type"].startswith(("text/css", "image/svg+xml"))
            assert "X-Request-Id" not in file.headers, "Nginx serves it, not a worker"

    def test_wrong_hash_is_not_found(self, service: Stack) -> None:
        assert service.get("/static/windlass.000000000000.css").status_code == 404

    def test_favicon_has_its_customary_address(self, service: Stack) -> None:
        icon = service.get("/favicon.ico")
        assert icon.headers["Content-Type"].startswith("image/svg+xml")


class TestHealth:
    def test_health_is_ok_in_plain_text(self, service: Stack) -> None:
        answer = service.get("/health")
        assert (answer.status_code, answer.text) == (200, "OK\n")
        assert answer.headers["Content-Type"].startswith("text/plain")

    def test_ready_when_redis_answers(self, service: Stack) -> None:
        assert service.get("/ready").status_code == 200

    def test_metadata_says_what_runs(self, service: Stack) -> None:
        metadata = service.get("/metadata").json()
        assert metadata["app_name"] == "windlass"
        assert metadata["version"] == __version__
        assert re.fullmatch(r"[0-9a-f]{40}|Development", metadata["last_commit_sha"])
        assert metadata["environment"] == "TESTING"
        assert set(metadata) == {
            "app_name", "version", "last_commit_sha", "description", "environment", "release",
            "python", "tornado",
        }  # fmt: skip


class TestMethodsAndErrors:
    @pytest.mark.parametrize(
        ("path", "allowed"),
        [
            ("/", "GET, HEAD"),
            ("/health", "GET, HEAD"),
            ("/ready", "GET, HEAD"),
            ("/metadata", "GET, HEAD"),
            ("/calculator", "GET, HEAD, POST"),
            ("/calculator/add", "GET, HEAD"),
            ("/productionplan", "GET, HEAD, POST"),
            ("/status", "GET, HEAD"),
            ("/docs", "GET, HEAD"),
            ("/openapi.json", "GET, HEAD"),
        ],
    )
    def test_other_methods_are_refused_with_allow(
        self, service: Stack, path: str, allowed: str
    ) -> None:
        for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} - set(
            allowed.split(", ")
        ):
            answer = httpx.request(method, service.url + path)
            assert answer.status_code == 405, method
            assert answer.headers["Allow"] == allowed
            assert problem(answer)["title"] == "Method Not Allowed"

    def test_unknown_address_is_a_problem_for_programs(self, service: Stack) -> None:
        answer = service.get("/nowhere")
        assert answer.status_code == 404
        assert problem(answer)["instance"] == "/nowhere"

    def test_unknown_address_is_a_page_for_people(self, service: Stack) -> None:
        answer = service.get("/nowhere", headers=HTML)
        assert answer.status_code == 404
        assert answer.headers["Content-Type"].startswith("text/html")
        assert answer.headers["X-Request-ID"] in answer.text

    def test_errors_of_nginx_itself_have_the_same_forms(self, service: Stack) -> None:
        missing = service.get("/static/none.css")
        assert missing.status_code == 404
        assert problem(missing)["title"] == "Not Found"
        page = service.get("/static/none.css", headers=HTML)
        assert page.headers["Content-Type"].startswith("text/html")
        assert page.headers["X-Request-ID"] in page.text

    def test_body_over_the_limit_is_413(self, service: Stack) -> None:
        answer = service.post("/calculator", content=b" " * 2_100_000, headers=JSON)
        assert answer.status_code == 413
        problem(answer)

    def test_error_and_access_line_share_the_request_id(self, service: Stack) -> None:
        identifier = problem(service.get("/nowhere"))["request_id"]

        def line() -> dict[str, Any] | None:
            lines = [text for text in service.log("web").splitlines() if identifier in text]
            return json.loads(lines[-1]) if lines else None

        found = wait_for(line, "the access line")
        assert found["status"] == 404
        assert found["path"] == "/nowhere"
        assert found["method"] == "GET"
        assert found["remote"] == "127.0.0.1"
        assert found["worker"] in {0, 1}
        assert found["duration_ms"] > 0
        wait_for(lambda: identifier in service.log("nginx"), "the line of Nginx")

    def test_error_of_nginx_is_logged_as_it_was_asked(self, service: Stack) -> None:
        page = service.get("/", headers=HTML).text
        path = re.findall(r'href="(/static/[^"]+css)"', page)[0]
        answer = service.post(path, content=b"x")
        assert answer.status_code == 405
        assert problem(answer)["title"] == "Method Not Allowed"
        identifier = answer.headers["X-Request-ID"]
        wait_for(lambda: identifier in service.log("nginx"), "the line of Nginx")
        (line,) = [text for text in service.log("nginx").splitlines() if identifier in text]
        assert (json.loads(line)["method"], json.loads(line)["path"]) == (
            "POST",
            path,
        )

    def test_header_that_is_too_large_is_a_problem(self, service: Stack) -> None:
        answer = service.get("/health", headers={"X-Large": "x" * 40_000})
        assert answer.status_code == 431
        problem(answer)

    def test_request_without_a_host_is_answered(self, service: Stack) -> None:
        with socket.create_connection(("127.0.0.1", service.port), timeout=5) as connection:
            connection.sendall(b"GET /health HTTP/1.0\r\n\r\n")
            answer = b"".join(iter(lambda: connection.recv(4096), b""))
        assert answer.startswith(b"HTTP/1.1 200 OK")
        assert answer.endswith(b"OK\n")

    def test_answer_to_a_million_faults_is_short(self, service: Stack) -> None:
        body = b'{"load": 1, "fuels": 1, "powerplants": [' + b"1," * 900_000 + b"1]}"
        begun = time.monotonic()
        answer = service.post("/productionplan", content=body, headers=JSON, timeout=30)
        assert answer.status_code == 422
        assert len(answer.content) < 100_000
        assert "the first" in problem(answer)["detail"]
        assert time.monotonic() - begun < 10

    def test_client_cannot_choose_the_request_id(self, service: Stack) -> None:
        answer = service.get("/health", headers={"X-Request-ID": "chosen-by-client"})
        assert answer.headers["X-Request-ID"] != "chosen-by-client"


class TestCalculator:
    def test_result_is_exact(self, service: Stack) -> None:
        answer = service.post("/calculator", json={"expression": "0.1 + 0.2"})
        assert answer.status_code == 200
        assert answer.json()["result"] == "0.3"
        assert answer.json()["exact"] == "3/10"

    def test_repeating_decimal_says_that_it_is_rounded(self, service: Stack) -> None:
        answer = service.post("/calculator", json={"expression": "2/3", "digits": 5}).json()
        assert answer == {"expression": "2/3", "result": "0.66667", "exact": "2/3", "rounded": True}

    @pytest.mark.parametrize(
        ("expression", "position"), [("1/0", 1), ("2 + * 3", 4), ("(1", 0), ("frob(2)", 0), ("", 0)]
    )
    def test_error_points_at_the_character(
        self, service: Stack, expression: str, position: int
    ) -> None:
        answer = service.post("/calculator", json={"expression": expression})
        assert answer.status_code == 422
        assert problem(answer)["errors"][0]["position"] == position

    @pytest.mark.parametrize("expression", ["9**9**9**9", "(" * 1_000_000, "1e999999999"])
    def test_bombs_are_refused_at_once(self, service: Stack, expression: str) -> None:
        begun = time.monotonic()
        answer = service.post("/calculator", json={"expression": expression})
        assert answer.status_code == 422
        assert len(answer.content) < 10_000
        assert time.monotonic() - begun < 1

    @pytest.mark.parametrize(
        ("operation", "result"),
        [("add", "0.3"), ("subtract", "-0.1"), ("multiply", "0.02"), ("divide", "0.5")],
    )
    def test_operations_by_get(self, service: Stack, operation: str, result: str) -> None:
        answer = service.get(f"/calculator/{operation}?a=0.1&b=0.2")
        assert answer.json()["result"] == result

    def test_missing_operand_is_named(self, service: Stack) -> None:
        answer = service.get("/calculator/add?a=1")
        assert answer.status_code == 422
        assert [e["pointer"] for e in problem(answer)["errors"]] == ["/b"]

    @pytest.mark.parametrize("digits", ["0", "1001", "many", "-1"])
    def test_digits_out_of_range_are_refused(self, service: Stack, digits: str) -> None:
        for answer in (
            service.get(f"/calculator/add?a=1&b=2&digits={digits}"),
            service.get(f"/calculator?expression=1&digits={digits}"),
        ):
            assert answer.status_code == 422
            assert problem(answer)["errors"][0]["pointer"] == "/digits"

    def test_form_works_without_javascript(self, service: Stack) -> None:
        form = service.get("/calculator", headers=HTML)
        assert '<form method="get" action="/calculator"' in form.text
        page = service.get("/calculator", params={"expression": "1/3", "digits": "4"}, headers=HTML)
        assert page.status_code == 200
        assert "0.3333" in page.text
        assert "1/3" in page.text
        assert "rounded" in page.text
        posted = service.post("/calculator", data={"expression": "2**10"}, headers=HTML)
        assert "1024" in posted.text

    def test_page_shows_what_was_typed_as_text(self, service: Stack) -> None:
        page = service.get("/calculator", params={"expression": '"><script>'}, headers=HTML)
        assert page.status_code == 422
        assert "<script>" not in page.text
        assert "&lt;script&gt;" in page.text

    def test_other_media_types_are_refused(self, service: Stack) -> None:
        answer = service.post("/calculator", content="1+1", headers={"Content-Type": "text/plain"})
        assert answer.status_code == 415
        assert "application/json" in problem(answer)["detail"]

    def test_malformed_json_is_400(self, service: Stack) -> None:
        answer = service.post("/calculator", content=b'{"expression": ', headers=JSON)
        assert answer.status_code == 400
        assert "column" in problem(answer)["detail"]


class TestProductionPlan:
    def plan(self, service: Stack, payload: object) -> httpx.Response:
        url = f"http://127.0.0.1:{service.plan_port}/productionplan"
        return httpx.post(url, json=payload)

    def test_payload_3_gives_response_3(self, service: Stack, powerplant: Path) -> None:
        payload = json.loads((powerplant / "payload3.json").read_text())
        answer = self.plan(service, payload)
        assert answer.status_code == 200
        assert answer.json() == json.loads((powerplant / "response3.json").read_text())
        assert '"p":90.0' in answer.text, "powers are written with one decimal"

    @pytest.mark.parametrize("number", [1, 2, 3])
    def test_outputs_add_up_to_the_load(
        self, service: Stack, powerplant: Path, number: int
    ) -> None:
        payload = json.loads((powerplant / f"payload{number}.json").read_text())
        outputs = self.plan(service, payload).json()
        assert round(sum(output["p"] for output in outputs), 1) == payload["load"]
        assert {o["name"] for o in outputs} == {p["name"] for p in payload["powerplants"]}

    def test_every_fault_is_listed_with_its_pointer(self, service: Stack, powerplant: Path) -> None:
        payload = json.loads((powerplant / "payload1.json").read_text())
        payload["load"] = -480.05
        payload["fuels"]["wind(%)"] = "60"
        del payload["fuels"]["co2(euro/ton)"]
        first, second, third, *_ = payload["powerplants"]
        first["efficiency"] = 1.01
        second["name"] = first["name"]
        second["pmin"] = 500
        third["type"] = "nuclear"
        answer = self.plan(service, payload)
        assert answer.status_code == 422
        assert {error["pointer"] for error in problem(answer)["errors"]} == {
            "/load", "/fuels/wind(%)", "/fuels/co2(euro~1ton)", "/powerplants/0/efficiency",
            "/powerplants/1/name", "/powerplants/1/pmin", "/powerplants/2/type",
        }  # fmt: skip

    def test_nan_is_a_fault_at_its_place(self, service: Stack, powerplant: Path) -> None:
        text = (powerplant / "payload1.json").read_text().replace("480", "NaN")
        answer = service.post("/productionplan", content=text, headers=JSON)
        assert answer.status_code == 422
        assert problem(answer)["errors"][0]["pointer"] == "/load"

    def test_load_that_no_plan_meets_names_the_nearest(
        self, service: Stack, powerplant: Path
    ) -> None:
        payload = json.loads((powerplant / "payload1.json").read_text())
        payload["powerplants"] = [p for p in payload["powerplants"] if p["name"] == "gasfiredbig1"]
        payload["load"] = 50
        found = problem(self.plan(service, payload))
        assert (found["status"], found["nearest_below"], found["nearest_above"]) == (422, 0, 100)

    def test_form_data_is_not_a_plan(self, service: Stack) -> None:
        answer = service.post("/productionplan", data={"load": "1"})
        assert answer.status_code == 415
