"""Notifications: real servers get the news; one that cannot be told changes nothing."""

from __future__ import annotations

import json
import socketserver
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING

import pytest

from app.release.announcing import News, announce
from app.release.inventory import Notify

if TYPE_CHECKING:
    from collections.abc import Iterator

NEWS = News(
    "rolled-back", "staging", "/nix/store/x-windlass", "alice", "d-1", "30 of 600 answers were 5xx",
    ["abc1234 Break it (Bob)"], {"one": "/nix/store/y-windlass"},
)  # fmt: skip


@contextmanager
def webhook(status: int = 200) -> Iterator[tuple[str, list[bytes]]]:
    """A server that takes what is posted."""
    got: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/hook/secret-token", got
        finally:
            server.shutdown()
            thread.join()


def told(notify: Notify, environ: dict[str, str], news: News = NEWS) -> list[str]:
    said: list[str] = []
    announce([notify], news, environ, said.append)
    return said


def test_slack_gets_a_text_with_reason_commits_and_hosts() -> None:
    with webhook() as (url, got):
        assert told(Notify("slack", "HOOK"), {"HOOK": url}) == []
    text = json.loads(got[0])["text"]
    for words in ("was taken back from staging (by alice, d-1)", "30 of 600", "Break it", "one: "):
        assert words in text


def test_a_webhook_gets_the_event_as_json() -> None:
    with webhook() as (url, got):
        assert told(Notify("webhook", "HOOK"), {"HOOK": url}) == []
    found = json.loads(got[0])
    assert (found["event"], found["hosts"]) == ("rolled-back", {"one": "/nix/store/y-windlass"})


def test_only_events_that_are_asked_for_are_told() -> None:
    with webhook() as (url, got):
        assert told(Notify("webhook", "HOOK", on=("failed",)), {"HOOK": url}) == []
    assert got == []


@pytest.mark.parametrize("status", [302, 404, 500])
def test_a_webhook_that_refuses_is_said_without_its_secret(status: int) -> None:
    with webhook(status) as (url, _):
        (said,) = told(Notify("slack", "HOOK"), {"HOOK": url})
    assert said.startswith("nobody was told by slack")
    assert "secret-token" not in said


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({}, "the variable HOOK is not set"),
        ({"HOOK": "http://127.0.0.1:1/x"}, "ConnectionRefusedError"),
        ({"HOOK": "file:///etc/passwd"}, "ValueError"),
    ],
)
def test_what_cannot_be_reached_is_said(environ: dict[str, str], words: str) -> None:
    (said,) = told(Notify("slack", "HOOK"), environ)
    assert words in said


class Smtp(socketserver.StreamRequestHandler):
    """As much of SMTP as it takes to take a mail."""

    def handle(self) -> None:
        self.wfile.write(b"220 test\r\n")
        data = False
        for line in self.rfile:
            self.server.lines.append(line.decode())  # type: ignore[attr-defined]
            if data:
                if line == b".\r\n":
                    data = False
                    self.wfile.write(b"250 taken\r\n")
                continue
            word = line[:4].upper()
            data = word == b"DATA"
            answer = {b"DATA": b"354 go on", b"QUIT": b"221 bye"}.get(word, b"250 ok")
            self.wfile.write(answer + b"\r\n")
            if word == b"QUIT":
                return


def test_a_mail_has_subject_sender_and_text() -> None:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Smtp) as server:
        server.lines = []  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        notify = Notify("email", to=("ops@example.org",), sender="windlass@example.org",
                        smtp_variable="SMTP")  # fmt: skip
        address = f"smtp://127.0.0.1:{server.server_address[1]}"
        try:
            assert told(notify, {"SMTP": address}) == []
        finally:
            server.shutdown()
            thread.join()
        text = "".join(server.lines)  # type: ignore[attr-defined]
    assert "Subject: [staging] /nix/store/x-windlass: rolled-back" in text
    assert "RCPT TO:<ops@example.org>" in text.replace("rcpt", "RCPT").replace("to:", "TO:")
    assert "Reason: 30 of 600" in text
