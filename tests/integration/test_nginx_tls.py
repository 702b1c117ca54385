"""TLS: who is served by it, what is refused at the start, plain HTTP sent on."""

from __future__ import annotations

import socket
import ssl
import subprocess
from typing import TYPE_CHECKING

import httpx
import pytest

from benchmarks.ports import free_port
from tests.nginx_front import Front, make_certificate, running
from tests.support import Stack, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture(scope="module")
def front(pair: tuple[Path, Path]) -> Iterator[Front]:
    settings = {"TLS_CERTIFICATE": str(pair[0]), "TLS_KEY": str(pair[1]), "HTTP_REDIRECT": "yes"}
    with running(**settings) as started:
        yield started


def client(pair: tuple[Path, Path]) -> httpx.Client:
    return httpx.Client(verify=ssl.create_default_context(cafile=pair[0]))


def test_certificate_is_shown_and_the_answer_asks_for_nothing_but_tls(
    front: Front, pair: tuple[Path, Path]
) -> None:
    with client(pair) as secure:
        answer = secure.get(f"https://127.0.0.1:{front.tls_port}/data")
        assert answer.json()["x-forwarded-proto"] == "https"
        assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"
        missing = secure.get(f"https://127.0.0.1:{front.tls_port}/static/none")
        assert missing.headers["Strict-Transport-Security"] == "max-age=31536000"
    wait_for(lambda: any(line["tls"] == "TLSv1.3" for line in front.lines()), "the line")


def test_plain_http_is_sent_on_with_its_method_but_for_health(front: Front) -> None:
    answer = httpx.post(front.url + "/data?a=b", content=b"x")
    assert answer.status_code == 308
    assert answer.headers["Location"] == f"https://127.0.0.1:{front.tls_port}/data?a=b"
    assert "Strict-Transport-Security" not in answer.headers
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert httpx.get(front.url + "/health").status_code == 200
    # What cannot be understood is not sent on: the error's page comes past the same gate.
    assert front.exchange(b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n").startswith(b"HTTP/1.1 400 ")
    mistaken = httpx.get(f"http://127.0.0.1:{front.tls_port}/data")
    assert mistaken.status_code == 308
    assert mistaken.headers["Location"] == f"https://127.0.0.1:{front.tls_port}/data"


@pytest.mark.parametrize(
    ("options", "outcome"),
    [
        (("-tls1_3",), "TLSv1.3"),
        (("-tls1_2",), "TLSv1.2"),
        (("-tls1_1", "-cipher", "ALL:@SECLEVEL=0"), ""),
        (("-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0"), ""),
    ],
)
def test_only_modern_protocols_and_ciphers_are_spoken(
    front: Front, options: tuple[str, ...], outcome: str
) -> None:
    command = ("openssl", "s_client", "-connect", f"127.0.0.1:{front.tls_port}", *options)
    done = subprocess.run(
        command, input="", capture_output=True, text=True, timeout=30, check=False
    )
    if outcome:
        assert f"New, {outcome}" in done.stdout.replace("TLSv1/SSLv3", outcome) + done.stderr
        assert "TLS session ticket:" not in done.stdout or outcome == "TLSv1.3"
    else:
        assert done.returncode != 0


def test_http_2_is_spoken_where_nginx_has_it(front: Front, pair: tuple[Path, Path]) -> None:
    context = ssl.create_default_context(cafile=pair[0])
    context.set_alpn_protocols(["h2", "http/1.1"])
    with (
        socket.create_connection(("127.0.0.1", front.tls_port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        spoken = connection.selected_alpn_protocol()
    assert spoken == ("h2" if front.plan.nginx.has("http_v2") else "http/1.1")


def test_stack_serves_by_tls_and_takes_up_a_renewed_certificate(
    make_stack: Callable[..., Stack], tmp_path: Path
) -> None:
    certificate, key = make_certificate(tmp_path)
    port = free_port()
    tls = {"TLS_CERTIFICATE": str(certificate), "TLS_KEY": str(key), "TLS_PORT": str(port)}
    stack = make_stack(**tls, HTTP_REDIRECT="yes")
    stack.up()

    def shown() -> str:
        return ssl.get_server_certificate(("127.0.0.1", port), timeout=5)

    assert shown() == certificate.read_text()
    old = certificate.read_text()
    make_certificate(tmp_path)
    assert certificate.read_text() != old
    done = stack.run("reload")
    assert done.returncode == 0, done.stderr
    wait_for(lambda: shown() == certificate.read_text(), "the new certificate", 20)


def test_check_says_what_is_wrong_with_certificate_and_key(
    make_stack: Callable[..., Stack], tmp_path: Path
) -> None:
    certificate, key = map(str, make_certificate(tmp_path))
    _, other = map(str, make_certificate(tmp_path, "other.example"))
    stack = make_stack()

    def said(code: int, **settings: str) -> str:
        done = stack.run("check", **settings)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    assert "needs TLS_KEY" in said(78, TLS_CERTIFICATE=certificate)
    assert "needs TLS_CERTIFICATE" in said(78, TLS_KEY=key)
    assert "HTTP_REDIRECT: needs TLS_CERTIFICATE" in said(78, HTTP_REDIRECT="yes")
    same = {"TLS_CERTIFICATE": certificate, "TLS_KEY": key, "TLS_PORT": stack.settings["PORT"]}
    assert "TLS_PORT: is the port of plain HTTP too" in said(78, **same)
    assert "is not the key of" in said(1, TLS_CERTIFICATE=certificate, TLS_KEY=other)
    missing = str(tmp_path / "none.pem")
    assert "none.pem cannot be read" in said(1, TLS_CERTIFICATE=missing, TLS_KEY=key)
    said(0, TLS_CERTIFICATE=certificate, TLS_KEY=key)
