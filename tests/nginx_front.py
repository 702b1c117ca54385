"""Nginx as the stack configures it, alone in front of workers that record what reaches them."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import os
import shutil
import socket
import subprocess
import tempfile
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

from app.config import Sources, load
from app.stack import binaries, layout, nginx, render
from app.stack.plan import Plan, StaticFiles
from app.web.application import STATIC_FOLDER
from app.web.assets import Assets
from benchmarks.ports import free_port
from tests.support import ROOT, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

BIG = 6 << 20  # more than the kernel takes off the hands of who writes it


@dataclass
class Request:
    """What reached a worker."""

    worker: int
    method: str
    target: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Workers:
    """Stands in the place of the workers: answers by path, and keeps what it was asked.

    `/break` ends the connection without an answer; `/events` sends a second event only once
    `released` is set; `/socket` changes to a protocol that echoes.
    """

    paths: list[Path]
    seen: list[Request] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run)
        self._started = threading.Event()
        self._thread.start()
        assert self._started.wait(10)

    def stop(self) -> None:
        """End the loop and wait for its thread."""
        self.released.set()
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()

    def targets(self) -> list[str]:
        """The targets that were asked for, in order."""
        return [request.target for request in self.seen]

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        self._stopping = asyncio.Event()
        servers = [
            await asyncio.start_unix_server(functools.partial(self._connection, slot), path)
            for slot, path in enumerate(self.paths)
        ]
        self._started.set()
        await self._stopping.wait()
        for server in servers:
            server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _connection(
        self, slot: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            while await self._request(slot, reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _request(
        self, slot: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.rstrip("\r\n").split("\r\n")
        method, target, _ = first.split(" ", 2)
        headers = {name.lower(): text for name, text in (line.split(": ", 1) for line in lines)}
        assert "transfer-encoding" not in headers, "Nginx gathers a body before it sends it"
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        self.seen.append(Request(slot, method, target, headers, body))
        path = target.partition("?")[0]
        if path == "/break":
            return False
        if path == "/socket" and "upgrade" in headers:
            await _echo(reader, writer)
            return False
        if path == "/events":
            await self._send_events(writer)
            return False
        await _answer(writer, path, method, self.seen[-1])
        return True

    async def _send_events(self, writer: asyncio.StreamWriter) -> None:
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nX-Accel-Buffering: no\r\n"
            b"Connection: close\r\n\r\ndata: first\n\n"
        )
        await writer.drain()
        await asyncio.to_thread(self.released.wait, 30)
        writer.write(b"data: second\n\n")
        await writer.drain()


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
    )
    while data := await reader.read(1024):
        writer.write(data)
        await writer.drain()


async def _answer(writer: asyncio.StreamWriter, path: str, method: str, request: Request) -> None:
    media_type, extra, body = "application/json", "", json.dumps(request.headers).encode()
    if path == "/page":
        media_type, body = "text/html; charset=utf-8", b"<!doctype html><title>page</title>"
    elif path == "/own-policy":
        extra = "Content-Security-Policy: default-src https:\r\nX-Frame-Options: SAMEORIGIN\r\n"
    elif path == "/big":
        media_type, body = "application/octet-stream", bytes(BIG)
    elif path == "/text":
        media_type, body = "text/plain", b"text " * 1000
    writer.write(
        f"HTTP/1.1 200 OK\r\nContent-Type: {media_type}\r\nContent-Length: {len(body)}\r\n"
        f"{extra}\r\n".encode()
    )
    if method != "HEAD":
        writer.write(body)
    await writer.drain()


@dataclass
class Front:
    """A running Nginx and the workers behind it."""

    folder: Path
    settings: dict[str, str]

    def __post_init__(self) -> None:
        self.port, self.tls_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.plan = self._plan()
        self._output = self.folder / "output.log"
        render.publish_static(self.plan)
        render.write(self.plan)
        run = self.plan.layout.run
        self.workers = Workers([run / "worker-0.sock", run / "worker-1.sock"])
        with self._output.open("ab") as output:
            self.process = subprocess.Popen(
                nginx.argv(self.plan), stdout=output, stderr=subprocess.STDOUT
            )
        try:
            wait_for(self._serves, "Nginx to serve", 20)
        except BaseException:
            self.stop()
            raise

    def _plan(self) -> Plan:
        environ = {
            "STATE_DIR": str(self.folder), "HOST": "127.0.0.1", "PORT": str(self.port),
            "PLAN_PORT": "", "TLS_PORT": str(self.tls_port), "WORKERS": "2", **self.settings,
        }  # fmt: skip
        settings = load(Sources(environ, None))
        folders = layout.find(settings)
        folders.prepare()
        assets = Assets(STATIC_FOLDER)
        static = StaticFiles(
            assets.files, assets.address("windlass.css"), STATIC_FOLDER / "favicon.svg"
        )
        found = binaries.provide(binaries.NGINX, ROOT, os.environ["PATH"], print)
        return Plan(settings, folders, found, None, static, folders.rendered)

    def _serves(self) -> bool:
        assert self.process.poll() is None, self.said()
        try:
            return httpx.get(self.url + "/health").status_code == 200
        except httpx.HTTPError:
            return False

    def said(self) -> str:
        """What Nginx has written: access lines and errors."""
        return self._output.read_text()

    def lines(self) -> list[dict[str, object]]:
        """The access lines that are written to their end."""
        whole = self.said().rpartition("\n")[0]
        return [json.loads(line) for line in whole.splitlines() if line.startswith("{")]

    def connect(self) -> socket.socket:
        """A plain connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def exchange(self, data: bytes) -> bytes:
        """What comes back for these bytes until Nginx closes; they should ask it to."""
        with self.connect() as connection:
            connection.sendall(data)
            return b"".join(iter(lambda: connection.recv(65536), b""))

    def stop(self) -> None:
        """End Nginx and the workers."""
        self.process.terminate()
        self.process.wait(20)
        self.workers.stop()


def make_certificate(
    folder: Path, name: str = "localhost", days: int = 1, address: str = "127.0.0.1"
) -> tuple[Path, Path]:
    """A certificate that signs itself, and its key."""
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    command = (
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
        "-noenc", "-days", str(days), "-subj", f"/CN={name}",
        "-addext", f"subjectAltName=DNS:{name},IP:{address}",
        "-keyout", str(key), "-out", str(certificate),
    )  # fmt: skip
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    return certificate, key


@contextlib.contextmanager
def running(**settings: str) -> Iterator[Front]:
    """An Nginx with these settings, ended when the block is left."""
    # A unix socket's path must be short.
    folder = Path(tempfile.mkdtemp(prefix="front-", dir="/tmp"))
    try:
        front = Front(folder, settings)
        try:
            yield front
        finally:
            front.stop()
    finally:
        shutil.rmtree(folder)
