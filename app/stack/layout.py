"""Where things are: the checkout or installed package, and the folders that the stack writes."""

from __future__ import annotations

import hashlib
import os
import pwd
import re
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from app.errors import StackError

if TYPE_CHECKING:
    from app.config import Settings

PACKAGE_DIR = Path(__file__).resolve().parent.parent
# A unix socket's path has at most 107 bytes (sun_path); the longest name that the stack puts into
# the folder, of a socket being made, takes 27 of them.
_LONGEST_RUN_DIR = 80
_FORBIDDEN = re.compile(r'["$%\\\r\n;]|\s#|[\ud800-\udfff]')


@dataclass(frozen=True, slots=True)
class Layout:
    """The folders of one stack.

    Attributes:
        root: the checkout, or the folder that holds the installed package.
        conf: holds `supervisord.conf` and `nginx/` as they are before rendering.
        state: outlasts the stack: logs, Redis's data, static files, rendered configuration.
        run: sockets, pid files and what else is void once the stack is down.
    """

    root: Path
    conf: Path
    state: Path
    run: Path

    @property
    def logs(self) -> Path:
        """Folder of the log files, one for each program."""
        return self.state / "log"

    @property
    def static(self) -> Path:
        """Folder of the static files under their hashed names."""
        return self.state / "static"

    @property
    def redis_data(self) -> Path:
        """Folder of the stack's own Redis."""
        return self.state / "redis"

    @property
    def rendered(self) -> Path:
        """Folder of the rendered configuration."""
        return self.state / "conf"

    @property
    def maintenance(self) -> Path:
        """The file whose presence closes the service for maintenance."""
        return self.state / "maintenance"

    @property
    def scratch(self) -> Path:
        """Folder of Nginx's temporary files."""
        return self.state / "tmp"

    def prepare(self) -> None:
        """Make the folders that are missing, readable by this user only.

        Raises:
            StackError: one cannot be made or is not this user's.
        """
        for folder in (self.state, self.run, self.logs, self.static, self.redis_data,
                       self.rendered, self.scratch):  # fmt: skip
            try:
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            except OSError as error:
                raise StackError(
                    f"The folder {folder} cannot be made ({error.strerror}); "
                    "set STATE_DIR to one that you may write to"
                ) from error
        # In a shared folder such as /tmp somebody else may have made ours before us.
        found = self.run.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            raise StackError(f"{self.run} is not a folder of this user; remove it and try again")
        self.run.chmod(0o700)


def is_checkout(folder: Path) -> bool:
    """Whether `folder` is a checkout of this project."""
    return (folder / "supervisord.conf").is_file() and (folder / "nginx").is_dir()


def project_root() -> Path:
    """The folder above the package: the checkout where there is one."""
    return PACKAGE_DIR.parent


def user_name() -> str:
    """The name of this user; empty where it has none, as a container may give it any number."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return ""


def find(settings: Settings) -> Layout:
    """The folders that the settings name.

    Raises:
        StackError: the state folder has a name that configuration files cannot carry.
    """
    root = project_root()
    checkout = is_checkout(root)
    conf = root if checkout else PACKAGE_DIR / "stack" / "conf"
    by_default = root / ".state" if checkout else Path.home() / ".local" / "state" / "windlass"
    try:
        state = (settings.state_dir or by_default).expanduser().absolute()
    except RuntimeError as error:
        raise StackError(f"There is no home folder ({error}); set STATE_DIR to another") from error
    for path in (root, state):
        wrong = set(_FORBIDDEN.findall(str(path)))
        if wrong:
            raise StackError(
                f"The folder {str(path)!r} has {' '.join(map(repr, sorted(wrong)))} in its name, "
                "which Nginx and supervisord cannot be told; move it, or set STATE_DIR to another"
            )
    return Layout(root, conf, state, _run_dir(state))


def _run_dir(state: Path) -> Path:
    run = state / "run"
    if len(os.fsencode(run)) <= _LONGEST_RUN_DIR:
        return run
    digest = hashlib.sha256(os.fsencode(state)).hexdigest()[:12]
    name = f"windlass-{os.geteuid()}-{digest}"
    short = Path(tempfile.gettempdir()) / name
    return short if len(os.fsencode(short)) <= _LONGEST_RUN_DIR else Path("/tmp") / name  # noqa: S108 - `prepare` sees that it is ours
