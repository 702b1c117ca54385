"""What of the store's protocol reaches its server, with Nix's own programs where there are any."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from app.errors import RefusedError
from app.release.host.receiving import pass_on, serve
from tests.support import ROOT

if TYPE_CHECKING:
    from pathlib import Path


def number(value: int) -> bytes:
    return value.to_bytes(8, "little")


def text(value: bytes) -> bytes:
    return number(len(value)) + value + b"\0" * (-len(value) % 8)


def texts(*values: bytes) -> bytes:
    return number(len(values)) + b"".join(map(text, values))


_DERIVATION = (
    'derivation { name = "built"; system = builtins.currentSystem; builder = "/bin/sh"; '
    'args = [ "-c" "echo hello > $out" ]; }'
)
HELLO = number(0x390C9DEB) + number(0x206)
PATH = b"/nix/store/" + b"a" * 32 + b"-x"
NAR = b"n" * 200_000
ADDED = (
    number(9) + text(PATH) + text(b"") + text(b"0" * 64) + texts(PATH, PATH) + number(1)
    + number(len(NAR)) + number(0) + texts(b"site-1:x") + text(b"") + NAR
)  # fmt: skip
ASKED = number(1) + number(0) + number(0) + texts(PATH, b"") + number(2) + texts(PATH)
BUILD_PATHS, BUILD_DERIVATION, DUMP, IMPORT = number(6), number(8), number(3), number(4)


def passed(sent: bytes) -> bytes:
    server = io.BytesIO()
    pass_on(io.BytesIO(sent), server)
    return server.getvalue()


def test_what_sends_paths_is_passed_on_as_it_came() -> None:
    sent = HELLO + ASKED + number(7) + number(1) + texts(PATH) + ADDED + ADDED + ASKED
    assert passed(sent) == sent


@pytest.mark.parametrize("request_", [BUILD_PATHS, BUILD_DERIVATION, DUMP, IMPORT, number(10)])
@pytest.mark.parametrize("before", [b"", ASKED, ADDED], ids=["at-once", "asked", "added"])
def test_any_other_request_ends_it_before_a_byte_of_it_is_passed_on(
    before: bytes, request_: bytes
) -> None:
    server = io.BytesIO()
    with pytest.raises(RefusedError, match="this key cannot ask the store for"):
        pass_on(io.BytesIO(HELLO + before + request_ + texts(PATH)), server)
    assert server.getvalue() == HELLO + before


def test_another_protocol_is_refused() -> None:
    with pytest.raises(RefusedError, match="does not begin the protocol"):
        passed(b"GET / HTTP/1.1\r\n\r\n")


@pytest.mark.parametrize("length", [0, 5, len(HELLO) + 3, len(HELLO + ADDED) - 1])
def test_a_client_that_goes_away_ends_it_quietly(length: int) -> None:
    passed((HELLO + ADDED)[:length])


def test_a_server_that_ends_is_sent_no_more() -> None:
    ends = ("sh", "-c", "exit 3")
    assert serve(ends, dict(os.environ), io.BytesIO(HELLO + ADDED * 9)) == 3


def test_it_ends_with_the_server_though_the_client_waits_for_an_answer(tmp_path: Path) -> None:
    program = tmp_path / "nix-store"
    program.write_text("#!/bin/sh\nread -r line\nexit 3\n")
    program.chmod(0o755)
    environ = {"PATH": f"{tmp_path}:/usr/bin:/bin", "PYTHONPATH": str(ROOT),
               "SSH_ORIGINAL_COMMAND": "nix-store --serve --write"}  # fmt: skip
    words = (sys.executable, "-m", "app", "host", "--base", str(tmp_path), "gate")
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=environ
    ) as gate:
        assert gate.stdin is not None
        assert gate.stderr is not None
        gate.stdin.write(HELLO + number(1) + number(10) + number(0) + texts())
        gate.stdin.flush()
        try:
            assert gate.wait(60) == 3
            assert gate.stderr.read() == b""
        finally:
            gate.stdin.close()


@pytest.mark.skipif(shutil.which("nix-copy-closure") is None, reason="no Nix here")
def test_nix_sends_paths_through_it_and_builds_nothing(tmp_path: Path) -> None:
    """By nix-copy-closure and the forced command, with `ssh` as a program of this test."""

    def environ(name: str) -> dict[str, str]:
        folder = tmp_path / name
        return {
            "PATH": f"{tmp_path}:{os.environ['PATH']}", "HOME": str(folder), "USER": "x",
            "NIX_REMOTE": f"local?root={folder}", "NIX_CONFIG": "require-sigs = false\n"
            "build-users-group =\nsandbox = false", "NIX_STATE_DIR": "/nix/var/nix",
        }  # fmt: skip

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            words, capture_output=True, text=True, check=False, timeout=60, env=environ("here")
        )

    (tmp_path / "ssh").write_text(
        "#!/bin/sh\n"
        "for asked; do :; done\n"
        f'export SSH_ORIGINAL_COMMAND="$asked" PYTHONPATH={ROOT}\n'
        f'export NIX_REMOTE="local?root={tmp_path}/there"\n'
        f"exec {sys.executable} -m app host --base {tmp_path}/host gate\n"
    )
    (tmp_path / "ssh").chmod(0o755)
    (tmp_path / "content").write_bytes(NAR)
    path = run("nix-store", "--add", str(tmp_path / "content")).stdout.strip()
    assert path.endswith("-content")
    done = run("nix-copy-closure", "--to", "there", path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "there" / path.lstrip("/")).read_bytes() == NAR

    built = run("nix-instantiate", "-E", _DERIVATION).stdout.strip()
    assert run("nix-copy-closure", "--to", "there", built).returncode == 0
    # Of this version: how long it may be silent, and take; log, repetitions, determinism.
    limits = b"".join(map(number, (0, 0, 0, 0, 0)))
    refused = subprocess.run(
        (tmp_path / "ssh", "nix-store --serve --write"), env=environ("here"),
        input=HELLO + BUILD_PATHS + texts(built.encode()) + limits,
        capture_output=True, check=False, timeout=60,
    )  # fmt: skip
    assert refused.returncode == 1
    assert b"this key cannot ask the store for 6: it only receives paths" in refused.stderr
    assert not list((tmp_path / "there" / "nix" / "store").glob("*-built"))
