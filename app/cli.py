"""The command `windlass`: the only place that wires the rest together.

Every command is a list of steps over the parts beneath; an error becomes an exit code here and
nowhere else: 0 done, 1 it failed, 2 wrong usage, 78 wrong settings (EX_CONFIG of sysexits.h).
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NoReturn

import click
import msgspec

from app import __version__, config, identity
from app.config import VARIABLES, Settings, Sources
from app.errors import AppError, ConfigError, Fault, StackError
from app.mount import Commands
from app.terminal import color, show_line, show_plan, show_status

if TYPE_CHECKING:
    from app.process import MasterOptions
    from app.process.state import MasterState
    from app.stack.layout import Layout
    from app.stack.plan import Plan

EX_CONFIG = 78
# Modules of the stack and the service are imported by the commands that need them: `windlass
# status` should not wait for Tornado.


@dataclass(frozen=True, slots=True)
class Context:
    """What every command starts from.

    Attributes:
        sources: the environment and the `.env` file.
        quiet: whether progress is left out.
    """

    sources: Sources
    quiet: bool

    def settings(self) -> Settings:
        """The settings; raises `ConfigError` with every fault."""
        return config.load(self.sources)

    def of_stack(self, layout: Layout) -> Sources:
        """Where the settings of a stack that runs come from: its `up`'s environment, not ours."""
        from app.stack import lifecycle

        kept = lifecycle.kept_overrides(layout)
        return self.sources if kept is None else Sources(kept, self.sources.env_file)

    def layout(self) -> Layout:
        """The stack's folders, found even when other settings are wrong."""
        from app.stack import layout

        return layout.find(config.load(self.sources, lenient=True))

    def say(self, text: str) -> None:
        """Tell of a step, on standard error, so that `--json` stays clean."""
        if not self.quiet:
            click.echo(click.style("windlass: ", dim=True) + text, err=True, color=color())


def _print_version(context: click.Context, _option: click.Parameter, value: bool) -> None:  # noqa: FBT001 - as click calls it
    if value:
        from app.stack import layout

        built = identity.identify(layout.project_root())
        click.echo(f"windlass, version {__version__}, commit {built.commit}")
        context.exit()


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Settings are environment variables and a .env file: windlass config --help.",
)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version,
    help="Show the version and the commit, and exit.",
)  # fmt: skip
@click.option(
    "--env-file", type=click.Path(dir_okay=False, path_type=Path), envvar="WINDLASS_ENV_FILE",
    help="Settings beneath the environment.  [default: .env of the checkout, else of this folder]",
)  # fmt: skip
@click.option("-q", "--quiet", is_flag=True, help="Leave out progress; errors are still shown.")
@click.pass_context
def cli(ctx: click.Context, env_file: Path | None, *, quiet: bool) -> None:
    """Run a Tornado and Redis service in production shape: supervisord, Nginx, a worker per CPU.

    \b
      windlass up -d      start the whole stack
      windlass status     what runs, since when
      windlass top        how it is, second by second
      windlass logs -f    what it says
      windlass reload     new code or settings, without a gap
      windlass down       stop it
      windlass deploy ENV          a release to servers
      windlass status ENV          what each of them runs
      windlass rollback ENV        back to a release before
    """  # noqa: D301 - \\b is how click is told to leave the lines as they are
    ctx.obj = Context(Sources(os.environ, _env_file(env_file)), quiet)


@cli.command()
@click.option("-d", "--detach", is_flag=True, help="Return once it serves; end it with: down.")
@click.option(
    "--init", is_flag=True,
    help="Become supervisord, with all logs on standard output: the first process of a container.",
)  # fmt: skip
@click.pass_obj
def up(context: Context, *, detach: bool, init: bool) -> None:
    """Start the stack and wait until it serves.

    In the foreground its logs are shown, and Ctrl-C ends everything.
    """
    from app.stack import lifecycle

    plan = _plan(context, context.settings())
    if init:
        lifecycle.become(replace(plan, logs_to_stdout=True), _environment(context), context.say)
    with _signals_as_interrupt():
        lifecycle.up(plan, _environment(context), detached=detach, say=context.say)
        for line in plan.settings.addresses:
            click.echo(line)
        _warn_of_redis(context, plan)
        if not detach:
            _stay_in_foreground(context, plan)


@cli.command()
@click.pass_obj
def down(context: Context) -> None:
    """Stop the stack; what is under way is finished first."""
    from app.stack import lifecycle

    layout = context.layout()
    settings = config.load(context.of_stack(layout), lenient=True)
    stopped = lifecycle.down(layout, settings.drain_timeout_s)
    context.say("stopped" if stopped else "nothing was running")


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON for scripts.")
@click.option("--serving", is_flag=True, help="Exit code 1 unless the service answers, too.")
@click.pass_obj
def status(context: Context, *, as_json: bool, serving: bool) -> None:
    """Show every process, its uptime, restarts and release; with an environment: its servers.

    Exit code 0 when the stack is up, 3 when it is down (as of `systemctl status`), 1 when it does
    not say how it is.
    """
    from app.stack import lifecycle
    from app.stack import status as stack_status

    layout = context.layout()
    settings = config.load(context.of_stack(layout), lenient=True)
    found = stack_status.read(settings, layout)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(found)).decode())
    else:
        show_status(found)
    if not found.running:
        sys.exit(3)
    if found.problem:
        sys.exit(1)
    if serving and not lifecycle.serves(settings):
        raise StackError("The service does not answer at every address; see: windlass logs")


@cli.command()
@click.option("-f", "--follow", is_flag=True, help="Go on as lines come, until Ctrl-C.")
@click.option(
    "-n", "--lines", default=20, show_default=True, type=click.IntRange(0),
    help="How many of the last lines of each log to show first.",
)  # fmt: skip
@click.argument("programs", nargs=-1)
@click.pass_obj
def logs(context: Context, programs: tuple[str, ...], lines: int, *, follow: bool) -> None:
    """Show what the stack's programs say: web, nginx, redis, supervisord; all by default.

    With an environment of deploy.toml first: those of its servers.
    """
    from app.stack import logs as files

    folder = context.layout().logs
    known = files.names(folder)
    unknown = [name for name in programs if name not in known]
    if unknown:
        there = f"there are: {', '.join(known)}" if known else "the stack has never been up"
        raise StackError(f"There is no log of {', '.join(unknown)}; {there}")
    if not known:
        context.say("there is no log yet; the stack has never been up")
    chosen = list(programs) or known
    for name in chosen:
        for line in files.last(folder / f"{name}.log", lines):
            show_line(name, line)
    if follow:
        with _signals_as_interrupt(quietly=True):
            for name, line in files.follow(folder, list(programs), lambda: False, from_end=True):
                show_line(name, line)


@cli.command()
@click.option("--back", is_flag=True, help="Return to the release that ran before the last reload.")
@click.pass_obj
def reload(context: Context, *, back: bool) -> None:
    """Load new code and settings without refusing a request.

    The new code is checked first; its workers take over once they are ready. When it is not fit to
    serve, what runs goes on and the exit code is 1.
    """
    from app.stack import lifecycle

    layout = context.layout()
    sources = context.of_stack(layout)
    if back:
        settings = config.load(sources, lenient=True)
        context.say(lifecycle.go_back(layout, lifecycle.reload_timeout_s(settings)))
        return
    for name in sorted(VARIABLES.keys() & context.sources.environ.keys()):
        if context.sources.environ[name] != sources.environ.get(name):
            context.say(
                f"{name} of this environment is left out: a reload has the settings of `up` and "
                "those of the .env file"
            )
    lifecycle.reload(_plan_of_new_code(context, config.load(sources)), context.say)
    context.say("the new code serves")


@cli.command()
@click.pass_obj
def dev(context: Context) -> None:
    """Serve from one process that restarts itself when a file changes.

    No Nginx and no supervisord; Redis as in `windlass up`.
    """
    from app import development

    settings = context.settings()
    layout = context.layout()
    layout.prepare()
    _configure_logs(settings)
    for line in settings.addresses:
        click.echo(line)
    built = identity.identify(layout.root)
    development.run(settings, layout, built, _search_path(), context.say)


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON for scripts.")
@click.pass_obj
def check(context: Context, *, as_json: bool) -> None:
    """Say whether this configuration and release are fit to serve.

    Nothing that runs is touched. Exit code 0 when fit, 78 when a setting is wrong, 1 else.
    """
    from app import checks
    from app.serving import Service
    from app.stack import redis

    findings = checks.check_settings(context.sources)
    if not any(finding.verdict == "failed" for finding in findings):
        settings = context.settings()
        layout = context.layout()
        layout.prepare()
        service = Service(settings, identity.identify(layout.root), redis.address(settings, layout))
        findings += checks.check_release(service, lambda: _plan(context, settings))
    failed = [finding.name for finding in findings if finding.verdict == "failed"]
    if as_json:
        report = {"fit": not failed, "findings": [asdict(finding) for finding in findings]}
        click.echo(msgspec.json.format(msgspec.json.encode(report)).decode())
    else:
        for finding in findings:
            click.echo(f"{finding.verdict:8} {finding.name}: {finding.reason}")
    if failed:
        sys.exit(EX_CONFIG if "settings" in failed else 1)


@cli.command("plan")
@click.argument("file", type=click.File("rb"))
@click.option("--json", "as_json", is_flag=True, help="Print JSON: the answer with details=true.")
@click.option("--co2/--no-co2", default=None, help="Count CO2 allowances.  [default: PLAN_CO2]")
@click.pass_obj
def plan_command(context: Context, file: BinaryIO, *, as_json: bool, co2: bool | None) -> None:
    """Compute the cheapest production plan for the payload in FILE (- for standard input).

    With an environment of deploy.toml instead: what a deployment to it would change.

    The payload is that of POST /productionplan. Exit code 1 when it is wrong or no plan meets it.
    """
    from app import planning

    if co2 is None:
        co2 = context.settings().plan_co2
    request = planning.decode(file.read())
    found = planning.details(request, planning.solve(request, co2=co2), co2=co2)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(found)).decode())
    else:
        show_plan(found)


def _config_epilog() -> str:
    entries = [
        f"\b\n{name}={variable.default}\n  {variable.meaning}.\n  Allowed: {variable.allowed}."
        for name, variable in VARIABLES.items()
    ]
    return "\n\n".join(["Every setting, with its default:", *entries])


@cli.command("config", epilog=_config_epilog())
@click.option("--json", "as_json", is_flag=True, help="Print JSON for scripts.")
@click.pass_obj
def config_command(context: Context, *, as_json: bool) -> None:
    """Show the settings in force and where each comes from.

    The environment wins over the .env file, which wins over the defaults below. Secrets are masked.
    """
    context.settings()
    rows = [
        {"name": name, "value": _masked(name, text), "source": source}
        for name, (text, source) in context.sources.texts().items()
    ]
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(rows)).decode())
    else:
        width = max(len(f"{row['name']}={row['value']}") for row in rows)
        for row in rows:
            click.echo(f"{row['name']}={row['value']}".ljust(width) + f"  # {row['source']}")


@cli.command(hidden=True)
@click.argument("folder", type=click.Path(file_okay=False, exists=True, path_type=Path))
@click.pass_obj
def render(context: Context, folder: Path) -> None:
    """Render the configuration of supervisord and Nginx into FOLDER; nothing else is touched."""
    from dataclasses import replace

    from app.stack import render as rendering

    rendering.write(replace(_plan(context, context.settings()), output=folder.absolute()))


@cli.command(hidden=True)
@click.pass_obj
def serve(context: Context) -> None:
    """Run the master and its workers; what supervisord runs."""
    from app.process import Master, state, upgrade
    from app.stack import groups, launch

    inherited = state.from_environment(os.environ)
    try:
        options = _master_options(context, inherited)
        left = groups.left_to_this_start(options.run_dir, launch.MASTER)
        master = Master(options, inherited, groups.eldest(left))
    except Exception as error:
        if inherited is not None:
            upgrade.return_after_failed_start(inherited, error)
        raise
    sys.exit(master.run())


def _master_options(context: Context, inherited: MasterState | None) -> MasterOptions:
    from app.process import MasterOptions, Recycling, state
    from app.serving import Service
    from app.stack import redis
    from app.stack.overview import StackSources

    target = inherited.target if inherited else None
    # On the way back, the settings with which the release ran.
    pinned = state.mapping_of(target.settings) if target else {}
    sources = Sources(pinned, None) if pinned else context.sources
    settings = config.load(sources)
    layout = _layout_of(settings)
    built = identity.identify(layout.root)
    _configure_logs(settings)
    return MasterOptions(
        run_dir=layout.run,
        workers=settings.worker_count,
        release=built.release,
        run_worker=Service(
            settings, built, redis.address(settings, layout), StackSources(layout, built)
        ).run_worker,
        command=tuple(target.argv[:-1]) if target else _newest_program(),
        newest=_newest_program,
        start_timeout_s=settings.start_timeout_s,
        drain_timeout_s=settings.drain_timeout_s,
        environ=dict(os.environ),
        settings={name: text for name, (text, _) in sources.texts().items()},
        heartbeat_timeout_s=settings.heartbeat_timeout_s,
        probation_s=settings.probation_s,
        standby_s=settings.standby_s,
        recycling=Recycling(
            settings.recycle_after_s,
            settings.recycle_after_requests,
            settings.recycle_above_mb << 20,
        ),
        metrics=settings.metrics,
    )


def _layout_of(settings: Settings) -> Layout:
    from app.stack import layout

    found = layout.find(settings)
    found.prepare()
    return found


def _newest_program() -> tuple[str, ...]:
    """The program that an upgrade executes: that of the profile, or this one.

    `WINDLASS_PROFILE` names a link that a deployment moves from release to release. It is followed
    once, so that what was checked is what is executed, and what it names stays what it is.
    """
    profile = os.environ.get("WINDLASS_PROFILE")
    if profile:
        return (str(Path(profile, "bin", "windlass").resolve(strict=True)),)
    return (sys.executable, "-m", "app")


def main() -> NoReturn:
    """Run the command line and end the process with its exit code."""
    try:
        cli.main(prog_name=os.environ.get("WINDLASS_PROG", "windlass"), standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except ConfigError as error:
        _fail(error, EX_CONFIG)
    except AppError as error:
        _fail(error, 1)
    sys.exit(0)


def _fail(error: AppError, code: int) -> NoReturn:
    click.echo(click.style("windlass: ", fg="red") + str(error), err=True, color=color())
    sys.exit(code)


def _env_file(given: Path | None) -> Path | None:
    from app.stack import layout

    if given is not None:
        if not given.is_file():
            raise ConfigError("The settings cannot be read:", [
                Fault(str(given), "there is no such file; see --env-file")
            ])  # fmt: skip
        return given.absolute()
    root = layout.project_root()
    found = (root if layout.is_checkout(root) else Path.cwd()) / ".env"
    return found if found.is_file() else None


def _environment(context: Context) -> dict[str, str]:
    """The environment of the stack's processes: this one, and the same `.env` file."""
    file = context.sources.env_file
    return dict(os.environ) | ({"WINDLASS_ENV_FILE": str(file)} if file else {})


def _configure_logs(settings: Settings) -> None:
    from app import log

    colors = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    log.configure(as_json=settings.logs_json, level=settings.log_level, colors=colors)


def _plan(context: Context, settings: Settings) -> Plan:
    from app.serving import application_module
    from app.stack import plan
    from app.web.application import STATIC_FOLDER
    from app.web.assets import Assets

    assets = Assets(STATIC_FOLDER)
    own = Assets(getattr(application_module(settings), "STATIC_FOLDER", STATIC_FOLDER))
    static = plan.StaticFiles(
        assets.files | own.files, assets.address("windlass.css"), STATIC_FOLDER / "favicon.svg"
    )
    profile = os.environ.get("WINDLASS_PROFILE")
    return plan.make(
        settings, static, _search_path(), context.say, Path(profile) if profile else None
    )


def _search_path() -> str:
    """Where Nginx and Redis are looked for: among what a release carries, then in PATH.

    A release does not put its own into PATH: a master that goes from release to release would make
    it longer each time, until the kernel refuses it.
    """
    found = os.environ.get("WINDLASS_PROGRAMS"), os.environ.get("PATH", os.defpath)
    return os.pathsep.join(filter(None, found))


def _plan_of_new_code(context: Context, settings: Settings) -> Plan:
    """As `_plan`, where the code itself may be what is broken."""
    try:
        return _plan(context, settings)
    except (AppError, click.ClickException):
        raise
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        raise StackError(
            f"The new code cannot be loaded: {type(error).__name__}: {error} ({where.filename}, "
            f"line {where.lineno}); what runs goes on. Mend it, try it with windlass check, and "
            "reload again"
        ) from error


def _warn_of_redis(context: Context, plan: Plan) -> None:
    """Say it at once when the Redis in use does not answer; the rest of the service works."""
    from app import log
    from app.stack import nginx, probe

    address = nginx.listen_addresses(plan.settings.host, plan.settings.port)[0]
    answer = probe.get(address, "/ready")
    # Another answer is Nginx's, which may send on to TLS or serve other hosts only.
    if answer is not None and answer.status == 503:
        reason = msgspec.json.decode(answer.body)["detail"]
        where = log.mask(plan.settings.redis_address)
        context.say(
            f"warning: the visit counter does not work yet: {reason} ({where}). Start that Redis, "
            "or have the stack run its own with REDIS_MANAGED=yes"
        )


def _stay_in_foreground(context: Context, plan: Plan) -> None:
    from app.stack import lifecycle
    from app.stack import logs as files

    try:
        is_up = lifecycle.watch(plan.layout)
        for name, line in files.follow(plan.layout.logs, [], lambda: not is_up(), from_end=True):
            show_line(name, line)
    except BaseException:
        # The first Ctrl-C asks for an orderly end; a second one must not spoil it.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        context.say("stopping")
        lifecycle.down(plan.layout, plan.settings.drain_timeout_s)
        raise
    context.say("the stack was stopped from elsewhere")


class _signals_as_interrupt:  # noqa: N801 - reads as the statement that it is used as
    """Turns SIGTERM and SIGHUP into the KeyboardInterrupt that Ctrl-C is."""

    def __init__(self, *, quietly: bool = False) -> None:
        self._quietly = quietly

    def __enter__(self) -> None:
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
                signal.signal(number, signal.default_int_handler)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        return self._quietly and kind is KeyboardInterrupt


def _masked(name: str, text: str) -> str:
    from app import log

    if name == "REDIS_URL":
        return log.mask(text)
    return "***" if text and VARIABLES[name].is_secret else text
