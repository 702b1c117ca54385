"""Which command a word means: of the stack here, or of an environment's servers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import pytest
from click.testing import CliRunner

from app.cli import cli
from app.mount import Commands
from app.release.commands import COMMANDS

if TYPE_CHECKING:
    from pathlib import Path


def meant(*words: str) -> click.Command | None:
    context = click.Context(cli)
    return cli.resolve_command(context, list(words))[1]


@pytest.mark.parametrize(
    ("words", "of_servers"),
    [
        (("status",), False),
        (("status", "--json"), False),
        (("status", "staging"), True),
        (("status", "--json", "staging"), True),
        (("logs",), False),
        (("logs", "web", "nginx"), False),
        (("logs", "-n", "5"), False),
        (("logs", "-n", "5", "staging", "web"), True),
        (("status", "--key", "/home/alice/.ssh/id_ed25519", "staging"), True),
        (("logs", "--config", "../deploy.toml", "staging"), True),
        (("logs", "--lines=5", "staging"), True),
        (("plan", "payload.json"), False),
        (("plan", "-"), False),
        (("plan", "./other.json"), False),
        (("plan", "staging"), True),
    ],
)
def test_an_environment_makes_it_a_command_of_servers(
    words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, of_servers: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "deploy.toml").touch()
    (tmp_path / "payload.json").touch()
    assert (meant(*words) is COMMANDS[words[0]]) is of_servers


def test_without_an_inventory_words_are_of_the_stack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WINDLASS_DEPLOY", raising=False)
    assert meant("logs", "nonsense") is not COMMANDS["logs"]
    assert meant("plan", "nonsense.json") is not COMMANDS["plan"]


def test_the_help_tells_the_stack_here_from_servers() -> None:
    done = CliRunner().invoke(cli, ["--help"])
    here, _, there = done.output.partition("Servers, as in deploy.toml:")
    assert "  status  " in here
    assert "  status ENV " in there
    assert "..." not in there, "each is said whole"


@pytest.mark.parametrize("colourless", ["", "1"])
def test_no_color_is_obeyed_by_commands_of_servers(colourless: str) -> None:
    @click.command()
    def paint() -> None:
        click.echo(click.style("red", fg="red"))

    group = Commands("windlass", commands={"paint": paint})
    done = CliRunner().invoke(group, ["paint"], color=True, env={"NO_COLOR": colourless})
    assert ("\x1b[31m" in done.output) is (not colourless)


def test_every_command_of_servers_is_listed_and_can_be_had() -> None:
    listed = cli.list_commands(click.Context(cli))
    for name, command in COMMANDS.items():
        assert name in listed
        assert name in {"status", "logs", "plan"} or meant(name) is command
    assert meant("host") is not None
    assert "host" not in listed
