"""The command `./run smoke`: does the service give each kind of answer that it has?

The questions are those of `nix/smoke.py`, asked of the stack of this checkout, of a container of
the image, or of a service that runs already.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from app import identity
from benchmarks.ports import free_port
from pipeline.jobs import ROOT, PipelineError

if TYPE_CHECKING:
    from collections.abc import Iterator

_ASK_TIMEOUT_S = 60
_START_TIMEOUT_S = 120
_BUILD_TIMEOUT_S = 3600
_QUESTIONS = ROOT / "nix" / "smoke.py"
_NIX = ("nix", "--extra-experimental-features", "nix-command flakes")


@click.command("smoke")
@click.option("--image", is_flag=True, help="Build the image with Nix and ask a container of it.")
@click.option(
    "--release", "manifest", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="release.json, or ship.json, that the service at URL must be.",
)  # fmt: skip
@click.argument("url", required=False)
def command(*, image: bool, manifest: Path | None, url: str | None) -> None:
    """Smoke tests: of the stack of this checkout, of its image, or of the service at URL."""
    if image and url:
        raise click.UsageError("either --image or a URL")
    if url:
        _ask_running(url.rstrip("/"), manifest)
    elif image:
        with _container() as (address, release):
            _ask(address, release)
    else:
        with _stack() as (address, release):
            _ask(address, release)


def _ask_running(url: str, manifest: Path | None) -> None:
    """Ask a service that real visitors use: its counter may stand anywhere, so it is not asked."""
    metadata = _metadata(url)
    if manifest is not None:
        wanted = json.loads(manifest.read_text(encoding="utf-8"))
        if metadata["last_commit_sha"] != wanted["commit"]:
            raise PipelineError(
                f"{url} runs commit {metadata['last_commit_sha']}, and not {wanted['commit']}"
            )
    _ask(url, _described(metadata), "--in-use")


def _ask(url: str, release: dict[str, Any], *more: str) -> None:
    with tempfile.TemporaryDirectory(prefix="windlass-smoke-") as folder:
        file = Path(folder, "release.json")
        file.write_text(json.dumps(release), encoding="utf-8")
        done = subprocess.run(
            (sys.executable, str(_QUESTIONS), url, str(file), *more), check=False,
            timeout=_ASK_TIMEOUT_S,
        )  # fmt: skip
    if done.returncode:
        raise PipelineError(f"a smoke test failed: {url}")


@contextlib.contextmanager
def _stack() -> Iterator[tuple[str, dict[str, Any]]]:
    """The whole stack of this checkout, on a port and in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="windlass-smoke-") as folder:
        port = free_port()
        environ = os.environ | {
            "STATE_DIR": folder, "HOST": "127.0.0.1", "PORT": str(port), "PLAN_PORT": "",
            "WORKERS": "2", "REDIS_MANAGED": "yes", "ENVIRONMENT": "TESTING",
        }  # fmt: skip
        windlass = (sys.executable, "-m", "app")
        try:
            up = (*windlass, "up", "-d")
            done = subprocess.run(up, cwd=ROOT, env=environ, check=False, timeout=_START_TIMEOUT_S)
            if done.returncode:
                raise PipelineError("the stack does not come up: ./run up says more")
            built = identity.identify(ROOT)
            yield f"http://127.0.0.1:{port}", {
                "version": built.version, "commit": built.commit, "release": built.release
            }  # fmt: skip
        finally:
            down = (*windlass, "down")
            subprocess.run(down, cwd=ROOT, env=environ, check=False, timeout=_START_TIMEOUT_S)


@contextlib.contextmanager
def _container() -> Iterator[tuple[str, dict[str, Any]]]:
    """A container of the image of this checkout, removed whatever happens."""
    release = json.loads(Path(_built("release"), "release.json").read_text(encoding="utf-8"))
    _load(_built("image"))
    name = f"windlass-smoke-{uuid.uuid4().hex[:8]}"
    port = free_port()
    tag = f"{release['name']}:{release['release']}"
    run = ("docker", "run", "--detach", "--rm", "--name", name, "--read-only", "--cap-drop=ALL",
           "--tmpfs=/tmp", "--tmpfs=/var/lib/windlass:uid=18000,mode=0700",
           f"--publish=127.0.0.1:{port}:8000", tag)  # fmt: skip
    subprocess.run(run, check=True, timeout=_START_TIMEOUT_S)
    try:
        url = f"http://127.0.0.1:{port}"
        _wait(url)
        yield url, release
    finally:
        subprocess.run(("docker", "logs", "--tail=20", name), check=False, timeout=60)
        subprocess.run(("docker", "stop", name), check=False, timeout=_START_TIMEOUT_S)


def _built(output: str) -> str:
    command = (*_NIX, "build", "--no-link", "--print-out-paths", f".#{output}")
    done = subprocess.run(
        command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True, timeout=_BUILD_TIMEOUT_S
    )
    return done.stdout.split()[-1]


def _load(program: str) -> None:
    """Give Docker the image, which is a program that writes it."""
    if shutil.which("docker") is None:
        raise PipelineError("docker is not on PATH; without --image the stack itself is asked")
    with subprocess.Popen((program,), stdout=subprocess.PIPE) as stream:
        load = ("docker", "load")
        subprocess.run(load, stdin=stream.stdout, check=True, timeout=_BUILD_TIMEOUT_S)
    if stream.returncode:
        raise PipelineError(f"{program} could not write the image")


def _wait(url: str) -> None:
    deadline = time.monotonic() + _START_TIMEOUT_S
    while True:
        try:
            with urllib.request.urlopen(f"{url}/ready", timeout=5):  # noqa: S310 - our own
                return
        except OSError as error:
            if time.monotonic() > deadline:
                raise PipelineError(f"{url} is not ready after {_START_TIMEOUT_S} s") from error
        time.sleep(0.2)


def _metadata(url: str) -> dict[str, Any]:
    try:
        with urllib.request.urlopen(f"{url}/metadata", timeout=10) as answer:  # noqa: S310
            found: dict[str, Any] = json.load(answer)
    except (OSError, ValueError) as error:
        raise PipelineError(f"{url}/metadata: {error}") from error
    return found


def _described(metadata: dict[str, Any]) -> dict[str, Any]:
    """A release.json of what a service says of itself."""
    commit = metadata["last_commit_sha"]
    return {
        "version": metadata["version"], "commit": commit,
        "release": f"{metadata['version']}-{commit[:9]}",
    }  # fmt: skip
