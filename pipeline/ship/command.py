"""The command `./run ship`: the steps of the workflows, each of which also runs at a desk."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from app.errors import AppError
from app.release import argv, inventory
from pipeline.jobs import ROOT, PipelineError
from pipeline.security import bill
from pipeline.ship import bundle, closure, github, keys, order, update, verdict

if TYPE_CHECKING:
    from app.release.inventory import Environment

_NIX = ("nix", "--extra-experimental-features", "nix-command flakes")
_BUILD_TIMEOUT_S = 5400
_COPY_TIMEOUT_S = 1800
_WINDLASS_TIMEOUT_S = 2400
_NOTIFY_TIMEOUT_S = 120
_FOLDER = click.Path(file_okay=False, path_type=Path)
_BUNDLE = click.Path(file_okay=False, exists=True, path_type=Path)
_MARK = "windlass-gate"
_NO_REPORT = "# Benchmarks: no report\n\nThe gate of this run wrote none; its log says why.\n"


@click.group("ship")
def command() -> None:
    """Steps of a deployment, as the workflows run them.

    Secrets come from the environment and are never shown. WINDLASS_DEPLOY may name another
    deploy.toml.
    """


# ---- the verdict, and what is said of it


@command.command("verdict")
def verdict_command() -> None:
    """Exit 0 only if every job of NEEDS, the JSON of GitHub's `needs`, has succeeded."""
    results = verdict.read(os.environ.get("NEEDS", ""))
    for name, result in results.items():
        click.echo(f"{result:12}{name}")
    if verdict.faults(results):
        click.echo("RED")
        sys.exit(1)
    click.echo("GREEN")


@command.command("notify")
@click.argument("environment")
@click.option(
    "--also", "others", multiple=True, metavar="ENVIRONMENT",
    help="Tell this one's people, too, if the job of its name came to no good end.",
)  # fmt: skip
def notify_command(environment: str, others: tuple[str, ...]) -> None:
    """Tell whom deploy.toml names for ENVIRONMENT which jobs of NEEDS came to no good end."""
    results = verdict.read(os.environ.get("NEEDS", ""))
    ended = verdict.unsuccessful(results)
    if not ended:
        click.echo("nothing has failed: nobody is told")
        return
    reason = f"the pipeline ended at {', '.join(ended)}: {_run_address()}"
    concerned = [environment, *verdict.concerned(results, others)]
    # Each is told, whatever became of telling another.
    told = [_is_told(each, reason) for each in concerned]
    sys.exit(0 if all(told) else 1)


def _is_told(environment: str, reason: str) -> bool:
    words = ("notify", environment, "failed", "--reason", reason)
    try:
        return _code_of_windlass(*words, timeout_s=_NOTIFY_TIMEOUT_S) == 0
    except subprocess.TimeoutExpired as error:
        click.echo(f"{environment} was not told: {error}", err=True)
        return False


@command.command("comment")
@click.argument("report", type=click.Path(dir_okay=False, path_type=Path))
def comment_command(report: Path) -> None:
    """Have REPORT as the one comment of its kind on PULL_REQUEST.

    Where there is none, that is said: the comment of an earlier run must not stand for this one.
    """
    text = report.read_text(encoding="utf-8", errors="replace") if report.is_file() else ""
    if not text:
        click.echo(f"{report} is not there")
        text = _NO_REPORT
    number = os.environ.get("PULL_REQUEST", "")
    if not number.isdigit():
        raise PipelineError("PULL_REQUEST is not the number of a pull request")
    click.echo(github.comment(_repository(), int(number), text, _MARK))


# ---- a release, from its build to its servers


@command.command("build")
@click.argument("folder", type=_FOLDER)
def build_command(folder: Path) -> None:
    """Put release and image, with the release's bill, into FOLDER and sign it (BUILDER_KEY)."""
    key, store_key = _secret("BUILDER_KEY"), _secret("STORE_KEY")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    release, image = _built("release"), _built("image")
    with tempfile.TemporaryDirectory(prefix="windlass-keys-") as temporary:
        file = Path(temporary, "store")
        keys.secret_file(file, store_key)
        _run(argv.sign_store_paths(release, file))
        closure.pack(release, folder / bundle.CLOSURE, _run)
        with (folder / bundle.IMAGE).open("wb") as output:
            subprocess.run((image,), stdout=output, check=True, timeout=_COPY_TIMEOUT_S)
        paths = bill.paths_of(json.loads(_run((*_NIX, "path-info", "--json", "-r", release))))
        (folder / "sbom-closure.cdx.json").write_bytes(bill.closure(paths, release))
        about = json.loads(Path(release, "release.json").read_text(encoding="utf-8"))
        builder = Path(temporary, "builder")
        keys.secret_file(builder, key)
        manifest = bundle.seal(folder, release, about, builder)
    click.echo(f"{manifest.release}: {release}")
    _output("release", release)


@command.command("verify")
@click.argument("folder", type=_BUNDLE)
def verify_command(folder: Path) -> None:
    """Exit 0 only if FOLDER is, to the byte, what a builder of deploy.toml signed."""
    manifest = bundle.verified(folder, _builders())
    click.echo(f"{manifest.release}: {len(manifest.files)} files as signed")


@command.command("import")
@click.argument("folder", type=_BUNDLE)
def import_command(folder: Path) -> None:
    """Put the closure of FOLDER, once verified, into this machine's store.

    Takes no root: its paths are signed by the `trusted_store_keys` of deploy.toml, which the
    nix.conf of a machine trusts, or a user whom it trusts brings along.
    """
    manifest = bundle.verified(folder, _builders())
    keys_of_stores = {key for each in _environments() for key in each.trusted_store_keys}
    closure.unpack(manifest.path, folder / bundle.CLOSURE, keys_of_stores, _run)
    if _run(argv.invalid([manifest.path])).strip():
        raise PipelineError(f"{manifest.path} is not whole in this machine's store")
    click.echo(f"{manifest.path} is here")


@command.command("push")
@click.argument("folder", type=_BUNDLE)
def push_command(folder: Path) -> None:
    """Push the image of FOLDER, once verified, as VERSION-COMMIT and latest (REGISTRY_TOKEN)."""
    manifest = bundle.verified(folder, _builders())
    registry = os.environ.get("REGISTRY", "ghcr.io")
    repository = os.environ.get("GITHUB_REPOSITORY", "").lower()
    if not repository:
        raise PipelineError("GITHUB_REPOSITORY is not set: under which name is it pushed?")
    login = ("docker", "login", registry, "--username", os.environ.get("GITHUB_ACTOR", "windlass"),
             "--password-stdin")  # fmt: skip
    _run(login, given=_secret("REGISTRY_TOKEN"))
    _run(("docker", "load", "--input", str(folder / bundle.IMAGE)))
    try:
        for tag in (manifest.release, "latest"):
            target = f"{registry}/{repository}:{tag}"
            _run(("docker", "tag", f"{manifest.name}:{manifest.release}", target))
            _run(("docker", "push", "--quiet", target))
            click.echo(target)
    finally:
        _run(("docker", "logout", registry))


@command.command("keys")
@click.argument("environment")
def keys_command(environment: str) -> None:
    """Write the keys of ENVIRONMENT from DEPLOY_KEY and BUILDER_KEY, mode 0600.

    STORE_KEY as well, where deploy.toml names a store_key.
    """
    file, found = _environment(environment)
    written = keys.write(found, file.parent, os.environ)
    if found.requires:
        _, required = _environment(found.requires)
        written += keys.write_required(found, required, file.parent, os.environ)
    for each in written:
        click.echo(f"{each} written")


@command.command("forget")
@click.argument("environment")
def forget_command(environment: str) -> None:
    """Remove the keys of ENVIRONMENT again."""
    file, found = _environment(environment)
    everything = [found, *([_environment(found.requires)[1]] if found.requires else [])]
    for each in [key for one in everything for key in keys.forget(one, file.parent)]:
        click.echo(f"{each} removed")


@command.command("order")
@click.argument("environment")
@click.argument("folder", type=_BUNDLE)
def order_command(environment: str, folder: Path) -> None:
    """Exit 0 only if FOLDER's commit is no older than what ENVIRONMENT's hosts run."""
    manifest = bundle.verified(folder, _builders())
    # Not a word on its exit code: a host that is unwell is what a deployment may be there for.
    asked = (sys.executable, "-m", "app", "status", environment, "--json")
    told = subprocess.run(
        asked, stdout=subprocess.PIPE, text=True, check=False, timeout=_WINDLASS_TIMEOUT_S
    ).stdout
    for host, commit in order.running(told).items():
        order.require_not_older(ROOT, manifest.commit, commit, host)
        click.echo(f"{host} runs {commit[:7]}: {manifest.commit[:7]} is no older")


@command.command("approve")
@click.argument("environment")
@click.argument("release")
def approve_command(environment: str, release: str) -> None:
    """Sign the approval by APPROVER_KEY where there is one; else say how a person does."""
    who, key = os.environ.get("APPROVER", ""), os.environ.get("APPROVER_KEY", "")
    if not key:
        click.echo(
            "No key approves here; the hosts want an approver's own signature. Unless it is given:"
            f"\n  windlass approve {environment} --release {release} --as NAME --key KEY"
        )
        return
    with tempfile.TemporaryDirectory(prefix="windlass-keys-") as temporary:
        file = Path(temporary, "approver")
        keys.secret_file(file, key)
        _windlass("approve", environment, "--release", release, "--as", who, "--key", str(file))


@command.command("rollback")
@click.argument("environment")
def rollback_command(environment: str) -> None:
    """Return ENVIRONMENT to RELEASE, for REASON; without RELEASE, list what it may be."""
    release, reason = os.environ.get("RELEASE", ""), os.environ.get("REASON", "")
    if not release:
        _windlass("rollback", environment)
        return
    _windlass("rollback", environment, release, "--reason", reason or "rollback")


# ---- newer locks


@command.command("save-update")
@click.argument("folder", type=_FOLDER)
def save_update_command(folder: Path) -> None:
    """Copy the locks that `./run update` changed to FOLDER."""
    for name in update.save(ROOT, folder) or ["nothing has changed"]:
        click.echo(name)


@command.command("propose-update")
@click.argument("folder", type=_BUNDLE)
def propose_update_command(folder: Path) -> None:
    """Propose the locks of FOLDER as a pull request (GITHUB_TOKEN)."""
    names = update.take(folder, ROOT)
    if not names:
        click.echo("nothing has changed: nothing to propose")
        return
    repository = _repository()
    host = os.environ.get("GITHUB_SERVER_URL", "https://github.com").partition("://")[2]
    remote = f"https://x-access-token:{repository.token}@{host}/{repository.name}.git"
    title = "Bring the locks up to date"
    update.push(ROOT, names, remote, title)
    text = (
        f"By `./run update`: {', '.join(names)}. Its job `update` shows each version. A request by "
        "a workflow starts none: close and open this one to have `ci` run."
    )
    click.echo(github.request_pull(repository, update.BRANCH, "main", title, text))


# ---- what they share


def _environment(name: str) -> tuple[Path, Environment]:
    file = Path(os.environ.get("WINDLASS_DEPLOY") or ROOT / "deploy.toml").absolute()
    try:
        return file, inventory.read(file).environment(name)
    except AppError as error:
        raise PipelineError(str(error)) from error


def _builders() -> set[str]:
    """The builders of every environment: the bundle is the same for all."""
    return {builder for each in _environments() for builder in each.builders}


def _environments() -> list[Environment]:
    file = Path(os.environ.get("WINDLASS_DEPLOY") or ROOT / "deploy.toml").absolute()
    try:
        return list(inventory.read(file).environments.values())
    except AppError as error:
        raise PipelineError(str(error)) from error


def _repository() -> github.Repository:
    api = os.environ.get("GITHUB_API_URL", "https://api.github.com")
    return github.Repository(api, os.environ.get("GITHUB_REPOSITORY", ""), _secret("GITHUB_TOKEN"))


def _run_address() -> str:
    parts = ("GITHUB_SERVER_URL", "GITHUB_REPOSITORY", "GITHUB_RUN_ID")
    server, repository, run = (os.environ.get(name, "") for name in parts)
    return f"{server}/{repository}/actions/runs/{run}" if run else "a run at a desk"


def _secret(name: str) -> str:
    text = os.environ.get(name, "")
    if not text:
        raise PipelineError(f"the secret {name} is not set; docs/pipeline.md says where it belongs")
    return text


def _output(name: str, value: str) -> None:
    """Hand a value on to the steps and jobs that follow, where there are any."""
    file = os.environ.get("GITHUB_OUTPUT")
    if file:
        with Path(file).open("a", encoding="utf-8") as output:
            output.write(f"{name}={value}\n")


def _built(name: str) -> str:
    return _run((*_NIX, "build", "--no-link", "--print-out-paths", f"{ROOT}#{name}")).split()[-1]


def _run(words: tuple[str, ...], given: str | None = None) -> str:
    done = subprocess.run(
        words, input=given, stdout=subprocess.PIPE, text=True, check=False,
        timeout=_BUILD_TIMEOUT_S,
    )  # fmt: skip
    if done.returncode:
        raise PipelineError(f"{words[0]} {words[1]} failed with exit code {done.returncode}")
    return done.stdout


def _windlass(*words: str) -> None:
    """Run windlass of this checkout; its exit code is ours when it fails."""
    if code := _code_of_windlass(*words):
        sys.exit(code)


def _code_of_windlass(*words: str, timeout_s: float = _WINDLASS_TIMEOUT_S) -> int:
    argv = (sys.executable, "-m", "app", *words)
    return subprocess.run(argv, check=False, timeout=timeout_s).returncode
