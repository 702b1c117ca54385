"""What the release commands show: tables and plain sentences for people, JSON for programs."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import click
import msgspec

from app.errors import AppError
from app.release import argv
from app.release import messages as m

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from app.release.announcing import News, Told
    from app.release.change import Change, Outcome
    from app.release.preview import Preview
    from app.release.progress import Event
    from app.release.remote import Remote
    from app.release.setup import StepDone

_MARKS = {"begun": ("…", "white"), "done": ("✓", "green"), "failed": ("✗", "red"),
          "said": ("·", "yellow")}  # fmt: skip


class People:
    """Shows events to people, on standard error: a line for a step's begin, one for each end."""

    def __init__(self) -> None:
        self._step = ""

    def show(self, event: Event) -> None:
        """Show an event; that a step begins on a further host is not told again."""
        if event.state == "begun" and event.host:
            if event.step == self._step:
                return
            event = msgspec.structs.replace(event, host="")
        self._step = event.step
        _show(event)


def _show(event: Event) -> None:
    mark, color = _MARKS[event.state]
    took = f"{event.seconds:6.1f} s" if event.state in {"done", "failed"} else " " * 8
    text = event.text.strip().splitlines()
    line = f"{event.at_s:7.1f} {click.style(mark, fg=color)} {event.step:8} {event.host:12} {took}"
    click.echo(f"{line}  {text[0] if text else ''}".rstrip(), err=True)
    for more in text[1:]:
        click.echo(f"{'':41}{more}", err=True)


def as_json(event: Event) -> None:
    """One line of JSON for an event, on standard output, at once."""
    sys.stdout.write(msgspec.json.encode(event).decode() + "\n")
    sys.stdout.flush()


def outcome(
    found: Outcome, change: Change, environment: str, seconds: float, *, as_json: bool
) -> None:
    """How a run went, and what every host runs now."""
    if as_json:
        word = "succeeded" if found.event == "succeeded" else "failed"
        said = {"outcome": word, "deploy": change.deploy, "reason": found.reason,
                "hosts": found.hosts, "seconds": round(seconds, 3),
                "all_as_wanted": found.all_as_wanted, "lost": found.lost,
                "without": found.without}  # fmt: skip
        sys.stdout.write(msgspec.json.encode(said).decode() + "\n")
        return
    for name, at in found.hosts.items():
        click.echo(f"  {name:12} {at}")
    what = f"{'rollback' if change.is_rollback else 'deployment'} to {environment}"
    if found.without:
        what += f" without {', '.join(found.without)}"
    took = f"{seconds:.0f} s, {change.deploy}"
    if not found.fault:
        word = "succeeded" if found.all_as_wanted else "ended, but not every host is well"
        click.echo(f"The {what} {word} ({took}).")
        return
    click.echo(click.style(f"The {what} FAILED", fg="red") + f" ({took}): "
               f"{found.fault}")  # fmt: skip
    if found.all_as_wanted and not found.was_switched:
        click.echo("No host was switched; each runs what it ran before.")
    elif found.all_as_wanted:
        click.echo("Every host is back on the release that it ran before.")
    elif found.lost:
        lost = ", ".join(found.lost)
        click.echo(f"This run no longer has the lease of {lost}, and changed nothing there after "
                   "that; the list above says what every host runs now.")  # fmt: skip
    elif not found.was_switched:
        click.echo("No host was switched; the list above says what every host runs.")
    else:
        click.echo("NOT every host is known to be back; see the list above, and: windlass status "
                   f"{environment}")  # fmt: skip


def status(
    environment: str, found: Mapping[str, m.HostStatus | AppError], *, as_json: bool
) -> None:
    """What every host runs."""
    if as_json:
        _print({name: {"error": str(one)} if isinstance(one, AppError) else one
                for name, one in found.items()})  # fmt: skip
        return
    rows, notes = [], []
    for name, one in found.items():
        if isinstance(one, AppError):
            rows.append((name, "?", "", "", "", click.style("unreachable", fg="red")))
            notes.append(f"{name}: {one}")
            continue
        well = click.style("unwell", fg="red") if one.fault else click.style("healthy", fg="green")
        since = _ago(one.since) if one.since else ""
        free = f"{one.free_bytes / 2**30:.1f} GB"
        rows.append((name, one.release or "-", one.commit[:7], since, free, well))
        notes += _notes(name, one)
    click.echo(f"{environment}")
    _table(("host", "release", "commit", "since", "free", "state"), rows)
    for note in notes:
        click.echo(note)
    paths = {one.path for one in found.values() if isinstance(one, m.HostStatus)}
    if len(paths) > 1:
        click.echo("The hosts do not all run the same: " + ", ".join(sorted(paths)))


def _notes(name: str, one: m.HostStatus) -> list[str]:
    notes = [f"{name}: {one.fault}"] if one.fault else []
    if one.pending:
        notes.append(f"{name}: trying {one.pending.path}; goes back to "
                     f"{one.pending.origin or 'nothing'} unless confirmed")  # fmt: skip
    if one.went_back:
        notes.append(f"{name}: went back from {one.went_back.path}, "
                     f"{_ago(one.went_back.timestamp)} ago: {one.went_back.reason}")  # fmt: skip
    if one.holder:
        notes.append(f"{name}: {one.holder} is deploying")
    if one.lock:
        notes.append(f"{name}: locked by {one.lock.by}, {_ago(one.lock.at)} ago: {one.lock.reason}")
    if one.maintenance:
        notes.append(f"{name}: closed for maintenance")
    return notes


def setup(name: str, done: Sequence[StepDone], *, dry_run: bool) -> None:
    """What was laid down on a server."""
    for step in done:
        mark = ("would change" if dry_run else "changed") if step.changed else "is so"
        click.echo(f"{name:12} {mark:12} {step.what}")


def told(news: News, done: Told, *, dry_run: bool, as_json: bool) -> None:
    """Who was told of some news."""
    if as_json:
        _print({"news": news, "told": done.told, "faults": done.faults, "dry_run": dry_run})
        return
    if dry_run:
        click.echo(news.text())
    for kind in done.told:
        click.echo(f"{'would tell' if dry_run else 'told'} {kind}")
    for fault in done.faults:
        click.echo(fault, err=True)
    if not done.told and not done.faults:
        click.echo(f"nobody wants to be told of {news.event} in {news.environment}; see notify in "
                   "deploy.toml")  # fmt: skip


def would_go_back(found: Mapping[str, m.HostStatus], path: str) -> None:
    """What a rollback would change."""
    for name, one in found.items():
        same = "runs this already" if one.path == path else f"would go from {one.path} to {path}"
        click.echo(f"{name:12} {same}")


def candidates(found: Sequence[m.Confirmed], *, as_json: bool) -> None:
    """What can be rolled back to."""
    if as_json:
        _print(found)
    elif not found:
        click.echo("There is no release to go back to: none was confirmed before on every host.")
    else:
        click.echo("Name one of these, by its path, its name or its commit:")
        _table(("release", "confirmed", "by", "path"),
               [(one.name, f"{_ago(one.at)} ago", one.by, one.path) for one in found])  # fmt: skip


def releases(found: Mapping[str, m.HostStatus], *, as_json: bool) -> None:
    """Every release that was confirmed somewhere, newest first."""
    entries: dict[str, m.Confirmed] = {}
    for one in found.values():
        entries |= {entry.path: entry for entry in one.confirmed}
    newest = sorted(entries.values(), key=lambda entry: entry.at, reverse=True)
    where = {
        entry.path: {name: "runs" if one.path == entry.path else "kept" if entry.path in one.kept
                     else "gone" for name, one in found.items()}
        for entry in newest
    }  # fmt: skip
    if as_json:
        _print([{**msgspec.to_builtins(entry), "hosts": where[entry.path]} for entry in newest])
        return
    rows = [
        (entry.name, f"{_ago(entry.at)} ago", entry.by, entry.path,
         " ".join(f"{name}:{state}" for name, state in where[entry.path].items()))
        for entry in newest
    ]  # fmt: skip
    _table(("release", "confirmed", "by", "path", "hosts"), rows)


def audit(found: Mapping[str, m.Audited], *, as_json: bool) -> None:
    """The entries of every host, in order of time: who it was, as they say, and by whose key."""
    if as_json:
        _print(found)
        return
    entries = [(entry.at, name, entry) for name, one in found.items() for entry in one.entries]
    rows = [
        (at, name, entry.action, entry.by, entry.key or "-", _base(entry.origin), _base(entry.path),
         " ".join(filter(None, (entry.result, entry.reason))).replace("\n", " ")[:120])
        for at, name, entry in sorted(entries, key=lambda one: one[:2])
    ]  # fmt: skip
    _table(("time", "host", "what", "by", "key", "from", "to", "result, reason"), rows)
    for name, one in found.items():
        if one.fault:
            click.echo(click.style(f"{name}: the log was tampered with: {one.fault}", fg="red"))


def plan(environment: str, found: Preview, *, as_json: bool) -> None:
    """What a deployment would change."""
    if as_json:
        _print(found)
        return
    click.echo(f"{found.release} ({found.commit[:7]}) to {environment}")
    for title, lines in (("commits", found.commits), ("packages that change", found.changed),
                         ("packages that come", found.added),
                         ("packages that go", found.removed)):  # fmt: skip
        if lines:
            click.echo(f"{title}:")
            for line in lines:
                click.echo(f"  {line}")
    for name, host in found.hosts.items():
        same = " (the same release)" if host.path == found.release else ""
        click.echo(f"{name}: runs {host.path or 'nothing'}{same}")
        click.echo(f"  to send: {host.bytes_to_send / 2**20:.1f} MB; free: "
                   f"{host.free_bytes / 2**20:.0f} MB")  # fmt: skip
        if host.bytes_to_send > host.free_bytes:
            click.echo(click.style("  that does not fit; make room with: windlass gc", fg="red"))
        if host.new_settings:
            click.echo(f"  new settings, at their defaults: {', '.join(host.new_settings)}")
        if host.unknown_settings:
            click.echo(f"  settings that it does not know: {', '.join(host.unknown_settings)}")
        for line in host.difference.splitlines() or ["the configuration stays as it is"]:
            click.echo(f"  {line}")


def difference(
    runs: Mapping[str, str], missing: Mapping[str, list[str]], target: str, *, as_json: bool
) -> None:
    """The commits that each host lacks."""
    if as_json:
        _print({name: {"commit": runs[name], "missing": missing[name]} for name in runs})
        return
    if len(set(runs.values())) > 1:
        click.echo("The hosts do not all run the same.")
    for name, commits in missing.items():
        click.echo(f"{name} runs {runs[name][:7] or 'nothing'}; {len(commits)} commits to {target}")
        for line in commits:
            click.echo(f"  {line}")


def follow(remotes: Sequence[Remote], words: Sequence[str]) -> bool:
    """Show lines of every host as they come, until they end or Ctrl-C; whether all could."""
    processes = [
        subprocess.Popen(
            argv.ssh(remote.config, remote.name, ("windlass", "host", "logs", *words)),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            errors="replace", env=dict(remote.shell.environ),
        )
        for remote in remotes
    ]  # fmt: skip
    readers = [
        threading.Thread(target=_copy, args=(remote.name, process), daemon=True)
        for remote, process in zip(remotes, processes, strict=True)
    ]
    try:
        for reader in readers:
            reader.start()
        for process in processes:
            process.wait()
        for reader in readers:
            reader.join(5.0)
        return not any(process.returncode for process in processes)
    except KeyboardInterrupt:
        return True
    finally:
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            process.wait()


def _copy(name: str, process: subprocess.Popen[str]) -> None:
    for line in process.stdout or ():
        click.echo(click.style(f"{name:12} ", fg="cyan") + line.rstrip("\n"))


def _print(value: object) -> None:
    click.echo(msgspec.json.format(msgspec.json.encode(value)).decode())


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    plain = [[click.unstyle(cell) for cell in row] for row in (titles, *rows)]
    widths = [max(map(len, column)) for column in zip(*plain, strict=True)]
    for number, row in enumerate((titles, *rows)):
        cells = [
            cell + " " * (width - len(click.unstyle(cell)))
            for cell, width in zip(row, widths, strict=True)
        ]
        line = "  ".join(cells).rstrip()
        click.echo(click.style(line, bold=True) if number == 0 else line)


def _base(path: str) -> str:
    name = os.path.basename(path)  # noqa: PTH119 - it is cut, not opened
    return name[:7] + name[32:] if len(name) > 33 else name


def _ago(at: float) -> str:
    seconds = int(max(0.0, time.time() - at))
    for length, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= length:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"
