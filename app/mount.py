"""The top of the command line: which command a word means, and where its code is.

The commands of the servers are imported when they are asked for, as is all that they need.
"""

from __future__ import annotations

import os
from pathlib import Path

import click


class Commands(click.Group):
    """The commands of the stack here, and those of the servers, imported when they are asked for.

    `status`, `logs` and `plan` are of the stack here, and of an environment where one is named.
    """

    _OF_SERVERS = ("setup", "deploy", "rollback", "releases", "audit", "diff", "approve", "lock",
                   "unlock", "maintenance", "gc", "exec", "notify")  # fmt: skip
    _OF_BOTH = ("status", "logs", "plan")

    def invoke(self, ctx: click.Context) -> object:
        """Run the command that was asked for; without colour where nobody wants it."""
        if os.environ.get("NO_COLOR"):  # see no-color.org
            ctx.color = False
        return super().invoke(ctx)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The help's lists of commands: of the stack here, then of servers."""
        from app.release.commands import COMMANDS

        here = {name: self.get_command(ctx, name) for name in super().list_commands(ctx)}
        there = {f"{name} ENV": COMMANDS[name] for name in (*self._OF_SERVERS, *self._OF_BOTH)}
        for title, commands in (
            ("The stack on this machine", here),
            ("Servers, as in deploy.toml", there),
        ):
            rows = [(name, command.get_short_help_str(64)) for name, command in commands.items()
                    if command is not None and not command.hidden]  # fmt: skip
            with formatter.section(title):
                formatter.write_dl(rows)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of all commands, for the help."""
        return [*sorted([*super().list_commands(ctx), "top"]), *self._OF_SERVERS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a name."""
        if cmd_name == "top":
            from app.top import command

            return command
        if cmd_name == "host":
            from app.release.host.commands import group

            return group
        if cmd_name in self._OF_SERVERS:
            from app.release.commands import COMMANDS

            return COMMANDS[cmd_name]
        return super().get_command(ctx, cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the words mean, and the words that are left for it."""
        name = args[0]
        if name in self._OF_BOTH and _names_environment(name, args[1:]):
            from app.release.commands import COMMANDS

            return name, COMMANDS[name], args[1:]
        return super().resolve_command(ctx, args)


def _names_environment(command: str, words: list[str]) -> bool:
    """Whether the first word that is no option is an environment rather than a program or file."""
    programs = {"web", "nginx", "redis", "supervisord"}
    options_with_value = {"-n", "--lines", "--key", "--config"}
    plain = [
        word
        for before, word in zip(["", *words], words, strict=False)
        if not (word.startswith("-") or before in options_with_value)
    ]
    if not plain or plain[0] in programs or "/" in plain[0]:
        return False
    if command == "plan" and Path(plain[0]).exists():
        return False
    inventory = os.environ.get("WINDLASS_DEPLOY", "deploy.toml")
    return command == "status" or "--config" in words or Path(inventory).exists()
