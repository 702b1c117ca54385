"""The workflows hold no logic, run what `./run ci` runs, and give no job more than it needs."""

from __future__ import annotations

import re
import shlex
import tomllib
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline import jobs as table
from pipeline.ship.command import command as ship
from tests.support import ROOT

FOLDER = ROOT / ".github" / "workflows"
FILES = sorted(FOLDER.glob("*.yml"))
ACTIONS = tomllib.loads((ROOT / "tests" / "data" / "actions.toml").read_text())["actions"]
USES = re.compile(r"uses: (?P<action>\S+?)@(?P<commit>[0-9a-f]{40}) # (?P<version>v\d+\.\d+\.\d+)$")
RUN = ("ci", "load", "security", "servers", "ship", "smoke", "update", "windlass")
"""What a step may run of `./run`."""
BUILDS_TRUSTED_CODE_ONLY = {"deploy", "nightly", "rollback"}
NEVER_UNTRUSTED = {"pull_request_target", "workflow_run", "issue_comment"}
EXPECTED_SECRETS = {
    "deploy": {"build", "staging", "production", "notify"},
    "nightly": {"notify"}, "rollback": {"rollback"},
}  # fmt: skip


@lru_cache
def workflow(name: str) -> dict[Any, Any]:
    found: dict[Any, Any] = yaml.safe_load((FOLDER / f"{name}.yml").read_text())
    return found


def triggers(name: str) -> dict[str, Any]:
    found: dict[str, Any] = workflow(name)[True]  # `on` is a boolean to YAML 1.1
    return found


def jobs_of(name: str) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = workflow(name)["jobs"]
    return found


def steps_of(name: str) -> list[tuple[str, dict[str, Any]]]:
    return [(job, step) for job, each in jobs_of(name).items() for step in each.get("steps", [])]


def as_list(needs: object) -> list[str]:
    return [needs] if isinstance(needs, str) else list(needs or [])  # type: ignore[call-overload]


# ---- the same as `./run ci`


@pytest.mark.parametrize("name", ["ci", "nightly"])
def test_workflow_has_the_jobs_of_the_table_in_its_order_with_its_needs(name: str) -> None:
    wanted = table.read(name)
    found = jobs_of(name)
    assert list(found)[: len(wanted)] == [job.name for job in wanted]
    for job in wanted:
        assert as_list(found[job.name].get("needs")) == list(job.needs), job.name


@pytest.mark.parametrize("name", ["ci", "nightly"])
def test_job_runs_the_table_s_command_and_nothing_else(name: str) -> None:
    for job in table.read(name):
        steps = jobs_of(name)[job.name]["steps"]
        of = "" if name == "ci" else f" --workflow {name}"
        runs = [step["run"] for step in steps if "run" in step]
        prepared = ["./run servers --install"] if "servers" in job.steps else []
        assert runs == [*prepared, f"./run ci{of} --job {job.name} --strict"]


@pytest.mark.parametrize("name", ["ci", "nightly"])
def test_job_has_what_the_table_says_that_it_needs(name: str) -> None:
    for job in table.read(name):
        found = jobs_of(name)[job.name]
        actions = [step.get("uses", "").partition("@")[0] for step in found["steps"]]
        checkout = next(step for step in found["steps"] if "checkout" in step.get("uses", ""))
        assert ("cachix/install-nix-action" in actions) == ("nix" in job.steps), job.name
        is_whole = checkout["with"].get("fetch-depth") == 0
        assert is_whole == ("whole-history" in job.steps), job.name
        matrix = found.get("strategy", {}).get("matrix", {}).get("python", [])
        assert matrix == list(job.pythons), job.name
        assert found["timeout-minutes"] >= job.minutes + 10, "the job ends itself, and says so"
        cached = [action for action in actions if action.startswith("actions/cache")]
        wanted_caches = ["actions/cache/restore", "actions/cache/save"] if job.keeps else []
        assert cached == wanted_caches, job.name
        uploaded = [step["with"]["path"] for step in found["steps"] if "upload" in str(step)]
        assert not job.report or str(Path(job.report).parent) in uploaded


def test_one_status_needs_every_job_and_runs_whatever_came_of_them() -> None:
    for name in ("ci", "nightly"):
        status = jobs_of(name)["status"]
        assert status["if"] == "always()"
        assert status["steps"][-1]["run"] == "./run ship verdict"
        assert {job.name for job in table.read(name)} <= set(status["needs"])
    assert jobs_of("ci")["status"]["needs"] == [job.name for job in table.read()]


def test_clean_clone_runs_jobs_of_the_table() -> None:
    words = shlex.split((ROOT / ".ci" / "run").read_text().splitlines()[-1])
    assert words[:3] == ["exec", "./run", "ci"]
    names = [word for word in words[3:] if word != "--job"]
    assert {"check", "test", "faults"} <= set(names)
    assert [job.name for job in table.chosen(table.read(), names)] == names


# ---- no logic in YAML


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_step_is_one_command_of_this_checkout(file: Path) -> None:
    for job, step in steps_of(file.stem):
        if "run" not in step:
            continue
        words = shlex.split(step["run"])
        where = f"{file.name}: {job}: {step['run']}"
        assert words[0] == "./run", where
        assert words[1] in RUN, where
        assert "${{" not in step["run"], f"{where}: an expression is text of others in a shell"
        assert not set("|&;<>`()") & set(step["run"]), where
        assert words[1] != "ship" or words[2] in ship.commands, where


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_variables_of_a_command_are_set_beside_it(file: Path) -> None:
    for job, step in steps_of(file.stem):
        named = set(re.findall(r"\$(\w+)", step.get("run", "")))
        assert named <= step.get("env", {}).keys(), f"{file.name}: {job}: {step['run']}"


# ---- least rights


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_actions_are_pinned_to_confirmed_commits_with_the_version_beside(file: Path) -> None:
    for line in file.read_text().splitlines():
        if "uses: ./" in line or "uses:" not in line:
            continue
        found = USES.search(line)
        assert found, f"{file.name}: {line.strip()}"
        known = ACTIONS["/".join(found["action"].split("/")[:2])]
        assert (found["commit"], found["version"]) == (known["commit"], known["version"])
        assert known["tag"] + len(known["seen"]) >= 2


def test_every_confirmed_action_is_used() -> None:
    text = "".join(file.read_text() for file in FILES)
    assert [name for name in ACTIONS if not re.search(rf"{name}[@/]", text)] == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_rights_are_none_but_each_job_s_own(file: Path) -> None:
    assert workflow(file.stem)["permissions"] == {}
    for job, each in jobs_of(file.stem).items():
        rights = each["permissions"]
        assert rights.get("contents") == ("write" if job == "propose" else "read")
        writes = {name for name, right in rights.items() if right == "write"}
        assert writes <= {
            "attest": {"id-token", "attestations"}, "image": {"packages"},
            "comment": {"pull-requests"}, "propose": {"contents", "pull-requests"},
            "ci": {"pull-requests"},
        }.get(job, set())  # fmt: skip


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_credentials_stay_with_no_checkout(file: Path) -> None:
    for job, step in steps_of(file.stem):
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False, f"{file.name}: {job}"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_secrets_are_where_no_pull_request_s_code_runs(file: Path) -> None:
    assert not NEVER_UNTRUSTED & triggers(file.stem).keys()
    found = {job for job, each in jobs_of(file.stem).items() if re.search(r"secrets\.", str(each))}
    assert found == EXPECTED_SECRETS.get(file.stem, set())
    for job in found:
        assert "environment" in jobs_of(file.stem)[job], f"{job}: its secrets have a guard"
    if found:
        assert not {"pull_request", "merge_group"} & triggers(file.stem).keys()
    assert "inherit" not in file.read_text()


def test_job_that_comments_runs_the_base_s_code_and_not_for_forks() -> None:
    comment = jobs_of("ci")["comment"]
    checkout = comment["steps"][0]["with"]
    assert checkout["ref"] == "${{ github.event.pull_request.base.sha }}"
    assert "head.repo.full_name == github.repository" in comment["if"]


# ---- deployments


def test_deployment_is_of_main_after_all_of_ci_and_one_build() -> None:
    assert triggers("deploy") == {"push": {"branches": ["main"]}}
    jobs = jobs_of("deploy")
    assert jobs["ci"]["uses"] == "./.github/workflows/ci.yml"
    assert jobs["build"]["needs"] == "ci"
    assert as_list(jobs["staging"]["needs"]) == ["build", "attest"]
    assert as_list(jobs["production"]["needs"]) == ["build", "staging"]
    builds = [step for _, step in steps_of("deploy") if "ship build" in step.get("run", "")]
    assert len(builds) == 1
    for name in ("staging", "production"):
        (deploy,) = [
            step for step in jobs[name]["steps"] if "windlass deploy" in step.get("run", "")
        ]
        assert deploy["env"]["RELEASE"] == "${{ needs.build.outputs.release }}"
        assert jobs[name]["environment"]["name"] == name


def test_deployments_queue_and_are_never_cancelled() -> None:
    for name in ("staging", "production"):
        concurrency = jobs_of("deploy")[name]["concurrency"]
        assert concurrency == {"group": f"deploy-{name}", "cancel-in-progress": False}
    assert workflow("deploy")["concurrency"]["cancel-in-progress"] is False
    assert workflow("rollback")["concurrency"] == {
        "group": "rollback-${{ inputs.environment }}", "cancel-in-progress": False
    }, "a merge cannot take the place of a rollback that waits"  # fmt: skip


def test_release_is_deployed_only_where_nothing_newer_runs() -> None:
    for name in ("staging", "production"):
        runs = [step.get("run", "") for step in jobs_of("deploy")[name]["steps"]]
        order = [next(i for i, run in enumerate(runs) if words in run)
                 for words in ("ship keys", f"ship order {name}", "windlass deploy")]  # fmt: skip
        assert order == sorted(order)


def test_nothing_is_deployed_or_told_before_it_is_switched_on() -> None:
    """A fork, and a new repository, is green without servers and secrets."""
    jobs = jobs_of("deploy")
    assert jobs["build"]["if"] == "vars.DEPLOY == 'on'"
    for name, job in jobs.items():
        if name not in {"ci", "build", "notify"}:
            assert "build" in _all_needs(jobs, name), f"{name} is skipped with the build"
            assert "always()" not in job.get("if", "")
    for name in ("deploy", "nightly"):
        assert jobs_of(name)["notify"]["if"] == "always() && vars.DEPLOY == 'on'"


def _all_needs(jobs: dict[str, dict[str, Any]], name: str) -> set[str]:
    direct = as_list(jobs[name].get("needs"))
    return {*direct, *(need for each in direct for need in _all_needs(jobs, each))}


def test_who_is_told_hears_of_every_job_before() -> None:
    for name in ("deploy", "nightly"):
        jobs = jobs_of(name)
        assert set(jobs["notify"]["needs"]) == jobs.keys() - {"notify"}


def test_key_of_the_stores_is_where_paths_are_signed_and_nowhere_else() -> None:
    """A deployer that adds signatures needs rights over its store, which a runner has not."""
    holders = [job for file in FILES for job, each in jobs_of(file.stem).items()
               if "secrets.STORE_KEY" in str(each)]  # fmt: skip
    assert holders == ["build"]


def test_only_the_attestation_can_be_left_out() -> None:
    steps = jobs_of("deploy")["attest"]["steps"]
    assert [step.get("if") for step in steps] == [None, None, None, "vars.ATTEST != 'off'"]
    assert "attest-build-provenance" in steps[-1]["uses"]


def test_bundle_is_verified_before_anything_is_done_with_it() -> None:
    for job, each in jobs_of("deploy").items():
        runs = [step.get("run", "") for step in each.get("steps", [])]
        taken = [str(step) for step in each.get("steps", []) if "download-artifact" in str(step)]
        if taken:
            assert runs[runs.index("./run ship verify .state/ship") - 1] == "", job
            uses = [i for i, run in enumerate(runs) if re.search("import|push|deploy |keys", run)]
            assert all(i > runs.index("./run ship verify .state/ship") for i in uses), job


def test_load_and_smoke_tests_stand_between_staging_and_production() -> None:
    runs = [step.get("run", "") for step in jobs_of("deploy")["staging"]["steps"]]
    order = [next(i for i, run in enumerate(runs) if words in run)
             for words in ("windlass deploy", "./run smoke", "./run load")]  # fmt: skip
    assert order == sorted(order)


def test_only_main_s_nightly_run_writes_a_cache() -> None:
    for file in FILES:
        cached = [job for job, step in steps_of(file.stem) if "actions/cache" in str(step)]
        assert cached == (["history", "history"] if file.stem == "nightly" else [])
    assert triggers("nightly").keys() == {"schedule", "workflow_dispatch"}
