"""All that a stack runs with, found out before anything starts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.stack import binaries, layout, redis

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from app.config import Settings
    from app.stack.binaries import Binary
    from app.stack.layout import Layout


@dataclass(frozen=True, slots=True)
class StaticFiles:
    """What Nginx serves by itself.

    Attributes:
        files: hashed name and source of each.
        stylesheet: address of the stylesheet of Nginx's own error pages.
        favicon: source of the icon that browsers ask for by its customary name.
    """

    files: Mapping[str, Path]
    stylesheet: str
    favicon: Path


@dataclass(frozen=True, slots=True)
class Plan:
    """All that a stack runs with.

    Attributes:
        redis: the stack's own Redis, or None where it uses one that runs elsewhere.
        output: folder of the rendered configuration.
        logs_to_stdout: whether programs log to the standard output and not to files.
        profile: link to the release in force, where a deployment sets one; what supervisord starts
            anew is then of that release and not of the one that `up` was of.
    """

    settings: Settings
    layout: Layout
    nginx: Binary
    redis: Binary | None
    static: StaticFiles
    output: Path
    logs_to_stdout: bool = False
    profile: Path | None = None

    @property
    def supervisord_conf(self) -> Path:
        """The rendered configuration of supervisord."""
        return self.output / "supervisord.conf"

    @property
    def nginx_conf(self) -> Path:
        """The rendered configuration of Nginx."""
        return self.output / "nginx.conf"


def make(
    settings: Settings,
    static: StaticFiles,
    search_path: str,
    say: Callable[[str], None],
    profile: Path | None = None,
) -> Plan:
    """Find the programs, make the folders, and decide whether the stack runs its own Redis.

    Args:
        settings: of the service.
        static: what Nginx serves by itself.
        search_path: folders as in PATH.
        say: told of what takes long.
        profile: see `Plan`.

    Raises:
        StackError: a program is missing or a folder cannot be made.
    """
    folders = layout.find(settings)
    folders.prepare()
    nginx = binaries.provide(binaries.NGINX, folders.root, search_path, say)
    own = None
    if redis.is_managed(settings, folders):
        own = binaries.provide(binaries.REDIS, folders.root, search_path, say)
    return Plan(settings, folders, nginx, own, static, folders.rendered, profile=profile)
