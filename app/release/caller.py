"""What every release command starts from: its options, its caller, the hosts of a name."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import click

from app.release.operator import Operator, operating

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from app.config import Sources

CONFIG = click.option(
    "--config", type=click.Path(dir_okay=False, path_type=Path), default="deploy.toml",
    show_default=True, envvar="WINDLASS_DEPLOY", help="The environments and their hosts.",
)  # fmt: skip
DRY_RUN = click.option("--dry-run", is_flag=True, help="Only say what would change.")
JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON for scripts.")
WITHOUT = click.option(
    "--without", metavar="HOST", multiple=True,
    help="Leave out a host that is down; may be repeated. It lacks what the others get.",
)  # fmt: skip
RELEASE = click.option(
    "--release", "path", metavar="PATH",
    help="Store path of the release.  [default: build .#release]",
)  # fmt: skip
KEY = click.option(
    "--key", type=click.Path(dir_okay=False, exists=True, path_type=Path),
    help="An approver's own ssh key to look by, instead of deploy_key; its .pub file when your "
    "agent has it.",
)  # fmt: skip


class Caller(Protocol):
    """What of the command line's context is used here."""

    @property
    def sources(self) -> Sources:
        """Where settings, and secrets, come from."""

    def say(self, text: str) -> None:
        """Tell of a step."""


@contextmanager
def operating_as_called(
    config: Path, name: str, without: Sequence[str] = (), *, key: Path | None = None
) -> Iterator[Operator]:
    """Act on an environment as whoever called the command that runs now.

    Args:
        config: deploy.toml.
        name: of the environment.
        without: names of hosts that are left out.
        key: an approver's own, as `KEY` takes it; None: deploy_key.
    """
    caller: Caller = click.get_current_context().obj
    with operating(
        config, name, caller.sources.environ, without=without, personal_key=key
    ) as operator:
        yield operator
