"""The folders and records of one host, and how they are written: durably, and one at a time.

::

    BASE/site.json       what `windlass setup` laid down
    BASE/signers         whose signatures count, as ssh-keygen reads them
    BASE/settings.env    the settings of the service
    BASE/links/profile   link to the release that the host is set to
    BASE/links/agent     link to the release whose code is the host agent: the last confirmed one
    BASE/releases/       links that keep releases from being collected
    BASE/stack/          state of the service
    BASE/record/         lease, pending switch, lock, confirmed releases, approvals, audit log

What stands in BASE itself is root's: it says what the host takes, and the user who takes orders can
only read it. The folders are that user's. A record is on the disk, or its write has failed, when
the call returns.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import msgspec

from app.errors import RefusedError, ReleaseError
from app.release.messages import Confirmed, Lease, Lock, Pending

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_Record = TypeVar("_Record")
_POLL_S = 0.05
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
NIX_FOLDERS = "/nix/var/nix/profiles/default/bin:/run/current-system/sw/bin"
"""Where Nix is when the PATH that sshd gives does not say so."""


class SiteConfig(msgspec.Struct):
    """What `windlass setup` laid down on a host.

    Attributes:
        environment: its name in deploy.toml.
        needs_approval: whether a person must have approved a release before it runs here.
        keep: releases that are kept at least.
        keep_days: days for which every release is kept.
        start_timeout_s: seconds that a switch may take.
    """

    environment: str
    needs_approval: bool
    keep: int
    keep_days: int
    start_timeout_s: float


class ReleaseFile(msgspec.Struct):
    """`release.json` of a release."""

    version: str
    commit: str
    release: str = ""

    @property
    def name(self) -> str:
        """As the service says it; see `app.identity`."""
        return self.release or f"{self.version}-{self.commit[:7]}"


@dataclass(frozen=True, slots=True)
class Site:
    """The folders of one host.

    Attributes:
        base: of all of them.
        store: folder of the store.
        spare_bytes: of the disk that are held for the records.
    """

    base: Path
    store: Path = Path("/nix/store")
    spare_bytes: int = 16 << 20

    @property
    def links(self) -> Path:
        """The folder of the links to what is in force."""
        return self.base / "links"

    @property
    def profile(self) -> Path:
        """The link to the release that the host is set to."""
        return self.links / "profile"

    @property
    def agent(self) -> Path:
        """The link to the release whose code is the agent."""
        return self.links / "agent"

    @property
    def releases(self) -> Path:
        """The folder of links that keep releases."""
        return self.base / "releases"

    @property
    def stack(self) -> Path:
        """The state folder of the service."""
        return self.base / "stack"

    @property
    def logs(self) -> Path:
        """The log files of the service; see `app.stack.layout.Layout.logs`."""
        return self.stack / "log"

    @property
    def signers(self) -> Path:
        """Whose signatures count."""
        return self.base / "signers"

    @property
    def settings(self) -> Path:
        """The settings of the service."""
        return self.base / "settings.env"

    @property
    def record(self) -> Path:
        """The folder of the records."""
        return self.base / "record"

    @property
    def approvals(self) -> Path:
        """The folder of approvals, one file for each path."""
        return self.record / "approvals"

    def config(self) -> SiteConfig:
        """What setup laid down.

        Raises:
            ReleaseError: it cannot be read.
        """
        try:
            return msgspec.json.decode((self.base / "site.json").read_bytes(), type=SiteConfig)
        except (OSError, msgspec.MsgspecError) as error:
            raise ReleaseError(
                f"{self.base / 'site.json'} cannot be read ({error}); run: windlass setup"
            ) from error

    def service_environ(self, environ: Mapping[str, str]) -> dict[str, str]:
        """The environment of the service and of each command of a release on this host."""
        kept = {name: environ[name] for name in ("USER", "LANG", "TZ") if name in environ}
        return kept | {
            # Programs write to their home; the user's own holds what only root may change.
            "HOME": str(self.stack),
            "PATH": f"{environ.get('PATH', os.defpath)}:{NIX_FOLDERS}",
            "WINDLASS_PROFILE": str(self.profile),
            "WINDLASS_ENV_FILE": str(self.settings),
            "STATE_DIR": str(self.stack),
            "NIX_REMOTE": environ.get("NIX_REMOTE", "daemon"),
        }

    def current(self) -> str:
        """The store path that the profile names; empty where there is none."""
        try:
            return str(self.profile.resolve(strict=True))
        except OSError:
            return ""

    def require_store_path(self, path: str) -> None:
        """Raise unless `path` names an entry of the store itself and nothing beneath or beside."""
        name = path.removeprefix(f"{self.store}/")
        plain = name != path and "/" not in name and len(name) > 33 and name[32] == "-"
        if not plain or not all(c.isalnum() or c in "+-._?=" for c in name):
            raise RefusedError("unknown", f"{path!r} is no path of {self.store}")

    def release_file(self, path: str) -> ReleaseFile:
        """What a release says of itself.

        Raises:
            RefusedError: it is no release.
        """
        try:
            return msgspec.json.decode(Path(path, "release.json").read_bytes(), type=ReleaseFile)
        except (OSError, msgspec.MsgspecError) as error:
            raise RefusedError("unfit", f"{path} is no whole release: {error}") from error

    @property
    def maintenance(self) -> Path:
        """The file whose presence closes the service to clients."""
        return self.stack / "maintenance"

    def closed_since(self) -> float | None:
        """Since when the service is closed, by the wall clock; None while it is open."""
        try:
            return self.maintenance.stat().st_mtime
        except OSError:
            return None

    # ---- records

    def pending(self) -> Pending | None:
        """The switch that nobody has confirmed yet."""
        return self._read("switch", Pending)

    def lease(self) -> Lease:
        """The lease that was given last."""
        return self._read("lease", Lease) or Lease(fence=0)

    def lock(self) -> Lock | None:
        """The lock, where a person has set one."""
        return self._read("lock", Lock)

    def confirmed(self) -> list[Confirmed]:
        """The releases that were confirmed, newest last."""
        return self._read("confirmed", list[Confirmed]) or []

    def write(self, name: str, record: object) -> None:
        """Put a record in the place of the one of that name, durably."""
        write_durably(self.record / f"{name}.json", msgspec.json.encode(record))

    def remove(self, name: str) -> None:
        """Remove a record, durably."""
        (self.record / f"{name}.json").unlink(missing_ok=True)
        _sync_folder(self.record)

    def _read(self, name: str, kind: type[_Record]) -> _Record | None:
        path = self.record / f"{name}.json"
        try:
            return msgspec.json.decode(path.read_bytes(), type=kind)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.MsgspecError) as error:
            raise ReleaseError(f"{path} cannot be read: {error}; mend or remove it") from error

    # ---- room for the records on a full disk

    def lay_in_spare(self) -> None:
        """Hold some room of the disk, where there is as much; see `give_spare_up`."""
        if self._spare.exists():
            return
        with contextlib.suppress(OSError), self._spare.open("wb") as file:
            try:
                os.posix_fallocate(file.fileno(), 0, self.spare_bytes)
            except OSError:
                self._spare.unlink()

    def give_spare_up(self) -> bool:
        """Free the room that was held, so that a full disk can be mended; whether there was any."""
        try:
            self._spare.unlink()
        except FileNotFoundError:
            return False
        return True

    @property
    def _spare(self) -> Path:
        return self.record / "spare"

    # ---- one at a time

    @contextlib.contextmanager
    def recording(self) -> Iterator[None]:
        """Hold the records for as long as it takes to read and write them."""
        with self._holding("records", 10.0):
            yield

    @contextlib.contextmanager
    def activating(self, patience_s: float) -> Iterator[None]:
        """Hold the right to change what runs; for long, while the records stay free.

        Raises:
            RefusedError: somebody else has it, and does not let go in time.
        """
        with self._holding("activation", patience_s):
            yield

    @contextlib.contextmanager
    def _holding(self, name: str, patience_s: float) -> Iterator[None]:
        deadline = time.monotonic() + patience_s
        with (self.record / f"{name}.held").open("w") as file:
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() >= deadline:
                        raise RefusedError(
                            "busy", "the host is just being switched; try again in a moment"
                        ) from None
                time.sleep(_POLL_S)
            yield


def write_durably(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Put `content` in the place of what `path` holds; on the disk when this returns.

    Raises:
        OSError: it could not be written; what was there stays.
    """
    half = path.with_name(f".{path.name}.{os.getpid()}")
    half.unlink(missing_ok=True)
    descriptor = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        half.replace(path)
    except OSError:
        half.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# ---- deadlines: by the clock of one boot, which no setting of the time moves


def boot() -> str:
    """The kernel's name for this boot."""
    return BOOT_ID.read_text().strip()


def in_s(seconds: float) -> float:
    """The deadline that is `seconds` away, on the clock of this boot."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) + seconds


def left_s(of_boot: str, deadline_s: float) -> float:
    """Seconds until a deadline; 0 when it has passed, as every one of an earlier boot has."""
    if of_boot != boot():
        return 0.0
    return max(0.0, deadline_s - time.clock_gettime(time.CLOCK_BOOTTIME))
