"""Log lines: their two forms, their context, and that credentials never leave the process."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import math
import time
import warnings
from datetime import datetime
from typing import Any

import pytest

from app import log
from app.config import Secret, Sources, load
from app.telemetry.answered import Answered
from app.telemetry.trace import Trace

PASSWORD = "hunter2"
URL = f"redis://user:{PASSWORD}@host:6379/0"


pytestmark = pytest.mark.usefixtures("logging_as_before")


class Output:
    """What a configured process has written."""

    def __init__(
        self,
        *,
        as_json: bool,
        level: str = "debug",
        **context: Any,  # noqa: ANN401 - as in `log.configure`
    ) -> None:
        self.stream = io.StringIO()
        log.configure(as_json=as_json, level=level, stream=self.stream, **context)

    @property
    def text(self) -> str:
        return self.stream.getvalue()

    def objects(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.split("\n") if line]

    def only(self) -> dict[str, Any]:
        (line,) = self.objects()
        return line


FORMS = pytest.mark.parametrize("as_json", [True, False], ids=["json", "console"])


def _raise_with_cause() -> None:
    try:
        int(URL)
    except ValueError as error:
        raise RuntimeError(f"cannot reach {URL}") from error


# ---- forms


def test_json_line_is_one_object_with_event_level_time_and_fields() -> None:
    output = Output(as_json=True)
    log.get().info("started", port=8000, host="a b", none=None)
    line = output.only()
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "started", "level": "info", "port": 8000, "host": "a b", "none": None,
    }  # fmt: skip


def test_json_line_stays_one_line_whatever_the_text() -> None:
    output = Output(as_json=True)
    log.get().info("two\nlines", field='"quoted"\r\n\u2028')
    assert output.text.count("\n") == 1
    assert output.only()["field"] == '"quoted"\r\n\u2028'


@pytest.mark.parametrize(
    "value",
    [object(), {1, 2}, {(1, 2): 3}, math.nan, b"\xff", 10**40, ValueError("x"), "\ud800"],
    # The same name in every process that collects the tests: without an address.
    ids=lambda value: "object()" if type(value) is object else ascii(value),
)
@FORMS
def test_any_value_can_be_logged(value: object, *, as_json: bool) -> None:
    output = Output(as_json=as_json)
    log.get().info("still written", value=value)
    assert "still written" in output.text
    output.text.encode()  # a stream in UTF-8 takes it


def test_console_line_is_readable_text_without_colour() -> None:
    output = Output(as_json=False)
    log.get().warning("slow", duration_ms=12)
    assert "warning" in output.text
    assert "slow" in output.text
    assert "duration_ms=12" in output.text
    assert "\x1b" not in output.text
    assert output.text.count("\n") == 1


def test_console_line_is_coloured_on_demand() -> None:
    stream = io.StringIO()
    log.configure(as_json=False, level="info", colors=True, stream=stream)
    log.get().info("bright")
    assert "\x1b[" in stream.getvalue()


@FORMS
def test_exception_comes_with_its_traceback_and_its_cause(*, as_json: bool) -> None:
    output = Output(as_json=as_json)
    try:
        _raise_with_cause()
    except RuntimeError:
        log.get().exception("broke")
    text = output.only()["exception"] if as_json else output.text
    assert "_raise_with_cause" in text
    assert "ValueError" in text
    assert "RuntimeError: cannot reach" in text


# ---- levels and context


@pytest.mark.parametrize(
    ("level", "written"),
    [
        ("debug", ["debug", "info", "warning", "error"]),
        ("info", ["info", "warning", "error"]),
        ("warning", ["warning", "error"]),
        ("error", ["error"]),
    ],
)
def test_lines_below_the_level_are_left_out(level: str, written: list[str]) -> None:
    output = Output(as_json=True, level=level)
    lines = log.get()
    for method in (lines.debug, lines.info, lines.warning, lines.error):
        method("line")
    assert [line["level"] for line in output.objects()] == written


def test_context_of_process_and_logger_is_on_every_line_and_the_closest_wins() -> None:
    output = Output(as_json=True, worker=3, release="1.0")
    lines = log.get(process="master", release="2.0")
    lines.info("a")
    lines.info("b", worker=4)
    logging.getLogger("library").warning("c")
    first, second, third = output.objects()
    assert (first["worker"], first["release"], first["process"]) == (3, "2.0", "master")
    assert second["worker"] == 4
    assert (third["worker"], third["release"]) == (3, "1.0")


def test_logger_made_before_configuration_follows_it() -> None:
    lines = log.get()
    output = Output(as_json=True, worker=1)
    lines.info("late")
    assert output.only()["worker"] == 1


def test_second_configuration_replaces_the_first() -> None:
    first, second = Output(as_json=True), Output(as_json=True)
    logging.getLogger("library").warning("once")
    log.get().info("once")
    assert first.text == ""
    assert len(second.objects()) == 2


# ---- the standard library's logging


def test_library_line_has_the_same_form_and_its_loggers_name() -> None:
    output = Output(as_json=True)
    logging.getLogger("tornado.access").warning("%d %s", 404, "/x")
    line = output.only()
    assert line.pop("timestamp").endswith("Z")
    assert line == {"event": "404 /x", "level": "warning", "logger": "tornado.access"}


def test_library_line_is_readable_on_the_console() -> None:
    output = Output(as_json=False)
    logging.getLogger("asyncio").error("lost")
    assert "error" in output.text
    assert "lost" in output.text
    assert "asyncio" in output.text


def test_library_exception_is_written_and_masked() -> None:
    output = Output(as_json=True)
    try:
        _raise_with_cause()
    except RuntimeError:
        logging.getLogger("library").exception("broke with %s", URL)
    line = output.only()
    assert "RuntimeError: cannot reach redis://***@host" in line["exception"]
    assert PASSWORD not in output.text


def test_library_lines_follow_the_level_but_never_below_info() -> None:
    output = Output(as_json=True, level="warning")
    logging.getLogger("library").info("hidden")
    assert output.text == ""
    output = Output(as_json=True, level="debug")
    logging.getLogger("library").debug("hidden")
    assert output.text == ""


def test_warning_of_python_is_a_line() -> None:
    output = Output(as_json=True)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=True)
        warnings.warn(f"old way of {URL}", UserWarning, stacklevel=1)
        logging.captureWarnings(capture=False)
    line = output.only()
    assert (line["logger"], line["level"]) == ("py.warnings", "warning")
    assert "old way" in line["event"]
    assert PASSWORD not in output.text


# ---- masking


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        (URL, "redis://***@host:6379/0"),
        ("redis://:p@ss@host", "redis://***@host"),
        ("at redis://a:b@c and http://d:e@f/g", "at redis://***@c and http://***@f/g"),
        ("redis://host:6379/0", "redis://host:6379/0"),
        ("https://host/@user", "https://host/@user"),
        ("mail to a@b", "mail to a@b"),
        ("", ""),
    ],
)
def test_mask_hides_the_credentials_of_urls_and_nothing_else(text: str, masked: str) -> None:
    assert log.mask(text) == masked


@FORMS
@pytest.mark.parametrize(
    "value",
    [
        URL,
        f"before {URL} after",
        Secret(URL),
        Secret(PASSWORD),
        ValueError(URL),
        [URL],
        (URL,),
        {"address": URL},
        {"deep": [{"er": URL}]},
        [ValueError(URL)],
        [Secret(PASSWORD)],
        load(Sources({"REDIS_URL": URL, "REDIS_PASSWORD": PASSWORD}, None)),
    ],
    ids=repr,
)
def test_credentials_in_a_field_are_masked(value: object, *, as_json: bool) -> None:
    output = Output(as_json=as_json)
    log.get().info("event", value=value)
    assert "event" in output.text
    assert PASSWORD not in output.text


@FORMS
def test_credentials_in_the_event_the_context_and_exceptions_are_masked(*, as_json: bool) -> None:
    output = Output(as_json=as_json, process_url=URL)
    lines = log.get(logger_url=URL)
    lines.info(f"connecting to {URL}")
    lines.info("connecting to %s", URL)
    try:
        _raise_with_cause()
    except RuntimeError as error:
        lines.exception("broke")
        lines.error("broke", exc_info=error)
        lines.error("broke", reason=error)
    logging.getLogger("library").warning("library at %s", URL)
    assert output.text.count("://***@host") >= 10
    assert PASSWORD not in output.text


# ---- access lines


def answered(path: str = "/", trace: Trace | None = None) -> Answered:
    return Answered("request-1", "GET", path, "/", 200, 0.0123456, "192.0.2.1", trace)


def test_access_line_has_the_form_of_other_lines_and_the_place_in_a_trace() -> None:
    output = Output(as_json=True, worker=3)

    async def serve() -> None:
        lines = log.AccessLog()
        lines.write(answered('/a"b', Trace("a" * 32, "b" * 16)))
        lines.write(answered("/redis://user:hunter2@host"))
        log.flush()

    before = time.time()
    asyncio.run(serve())
    traced, plain = output.objects()
    at = datetime.fromisoformat(traced.pop("timestamp")).timestamp()
    assert before - 0.001 <= at <= time.time()
    assert traced == {
        "request_id": "request-1", "method": "GET", "path": '/a"b', "status": 200,
        "duration_ms": 12.35, "remote": "192.0.2.1", "event": "request", "level": "info",
        "worker": 3, "trace_id": "a" * 32, "span_id": "b" * 16,
    }  # fmt: skip
    assert "trace_id" not in plain
    assert PASSWORD not in output.text


def test_access_lines_are_written_soon_without_being_asked() -> None:
    output = Output(as_json=True)

    async def serve() -> None:
        log.AccessLog().write(answered())
        assert output.text == ""
        deadline = time.monotonic() + 10
        while not output.text:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.001)

    asyncio.run(serve())
    assert output.only()["request_id"] == "request-1"


def test_many_access_lines_do_not_wait_for_the_time() -> None:
    output = Output(as_json=True)

    async def serve() -> None:
        lines = log.AccessLog()
        for _ in range(1000):
            lines.write(answered())
        assert len(output.objects()) >= 700

    asyncio.run(serve())


def test_access_line_on_the_console_says_the_same() -> None:
    output = Output(as_json=False)
    log.AccessLog().write(answered("/page", Trace("a" * 32, "b" * 16)))
    for part in ("request-1", "/page", "12.35", "a" * 32, "192.0.2.1"):
        assert part in output.text
