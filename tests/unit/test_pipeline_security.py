"""Security by tools: waivers end, vulnerabilities are found by range, bills are whole."""

from __future__ import annotations

import json
import sys
import zipfile
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import pytest

from nix import update
from pipeline.jobs import PipelineError
from pipeline.security import bill, command, osv, scans, waivers
from pipeline.security.findings import Finding, Outcome
from tests.support import ROOT

if TYPE_CHECKING:
    from pathlib import Path

TODAY = date(2027, 1, 1)
FINDING = Finding("bandit", "B104", "app/config.py", 3, "binds to all")
FOUND = [Outcome("bandit", "bandit", (FINDING,))]


def waiver(**entries: str) -> str:
    usual = {
        "tool": '"bandit"', "rule": '"B104"', "where": '"app/*.py"',
        "reason": '"it is only compared with an address"', "expires": "2027-03-01",
    }  # fmt: skip
    return "[[waiver]]\n" + "".join(f"{k} = {v}\n" for k, v in (usual | entries).items() if v)


# ---- waivers


def test_finding_is_borne_until_the_last_day_and_not_after() -> None:
    on_last_day = waivers.judge(FOUND, waiver(), date(2027, 3, 1))
    assert (len(on_last_day.borne), on_last_day.open, on_last_day.faults) == (1, (), ())
    after = waivers.judge(FOUND, waiver(), date(2027, 3, 2))
    assert after.open == (FINDING,)
    assert "expired on 2027-03-01" in after.faults[0]


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ({"expires": "2028-01-01"}, "more than 183 days ahead"),
        ({"expires": '"soon"'}, "expires is a date"),
        ({"expires": "2027-03-01T00:00:00Z"}, "expires is a date"),
        ({"reason": '"noise"'}, "too short"),
        ({"reason": ""}, "it has"),
        ({"line": "3"}, "it has"),
    ],
)
def test_faulty_waiver_covers_nothing_and_is_named(entries: dict[str, str], said: str) -> None:
    judged = waivers.judge(FOUND, waiver(**entries), TODAY)
    assert judged.open == (FINDING,)
    assert said in judged.faults[0]


@pytest.mark.parametrize("entries", [{"rule": '"B105"'}, {"where": '"nix/*"'}])
def test_waiver_that_covers_nothing_is_a_fault(entries: dict[str, str]) -> None:
    judged = waivers.judge(FOUND, waiver(**entries), TODAY)
    assert judged.open == (FINDING,)
    assert "covers nothing any more" in judged.faults[0]


def test_waiver_of_a_tool_that_was_not_run_is_left_alone() -> None:
    judged = waivers.judge([Outcome("zizmor", "workflows")], waiver(), TODAY)
    assert judged.faults == ()


def test_waivers_of_this_checkout_are_in_order() -> None:
    _, faults = waivers.parse(waivers.FILE.read_text(), datetime.now(UTC).date())
    assert faults == []


# ---- vulnerabilities


def record(name: str = "tornado", withdrawn: str = "", **affected: object) -> dict[str, object]:
    one = {"package": {"name": name, "ecosystem": "PyPI"}, **affected}
    return {"id": "PYSEC-1", "summary": "bad", "withdrawn": withdrawn, "affected": [one]}


def ranges(*events: dict[str, str]) -> list[dict[str, object]]:
    return [{"type": "ECOSYSTEM", "events": list(events)}]


def found(tmp_path: Path, one: dict[str, object], **pins: str) -> list[str]:
    (tmp_path / "one.json").write_text(json.dumps(one))
    return [f"{n} {v} {r.id}" for n, v, r in osv.affecting(tmp_path, pins)]


@pytest.mark.parametrize(
    ("version", "events", "affected"),
    [
        ("6.4", [{"introduced": "0"}, {"fixed": "6.5"}], True),
        ("6.5", [{"introduced": "0"}, {"fixed": "6.5"}], False),
        ("6.10", [{"introduced": "0"}, {"fixed": "6.5"}], False),
        ("6.4", [{"introduced": "6.5"}], False),
        ("6.5", [{"introduced": "6.5"}, {"last_affected": "6.5"}], True),
        ("6.5.1", [{"introduced": "6.5"}, {"last_affected": "6.5"}], False),
        ("7.1", [{"introduced": "0"}, {"fixed": "6.5"}, {"introduced": "7.0"}], True),
    ],
)
def test_version_is_within_a_range(
    version: str, events: list[dict[str, str]], affected: bool, tmp_path: Path  # noqa: FBT001
) -> None:  # fmt: skip
    lines = found(tmp_path, record(ranges=ranges(*events)), tornado=version)
    assert lines == ([f"tornado {version} PYSEC-1"] if affected else [])


def test_names_are_compared_as_the_index_does_and_what_is_withdrawn_is_not(tmp_path: Path) -> None:
    one = record("Typing_Extensions", versions=["4.1"])
    assert found(tmp_path, one, **{"typing-extensions": "4.1"}) == ["typing-extensions 4.1 PYSEC-1"]
    assert found(tmp_path, one, **{"typing-extensions": "4.2"}) == []
    gone = record(withdrawn="2026-01-01T00:00:00Z", versions=["4.1"])
    assert found(tmp_path, gone, tornado="4.1") == []


def test_copy_of_osv_is_read_from_its_archive_and_must_have_records(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.writestr("a.json", json.dumps(record(versions=["6.4"])))
    assert len(list(osv.affecting(tmp_path / "all.zip", {"tornado": "6.4"}))) == 1
    (tmp_path / "empty").mkdir()
    for data in (tmp_path / "empty", tmp_path / "missing.zip"):
        with pytest.raises(PipelineError):
            list(osv.affecting(data, {"tornado": "6.4"}))


AUDIT = """#!{python}
import json, pathlib, sys
words = sys.argv[1:]
service = words[words.index("--vulnerability-service") + 1]
pins = pathlib.Path(words[words.index("--requirement") + 1]).read_text().split()
if service not in {answers}:
    sys.exit("Name or service not known")
bad = [{{"id": "GHSA-1", "fix_versions": ["9"]}}] if service == "osv" else []
print(json.dumps({{"dependencies": [
    {{"name": pin.partition("==")[0], "version": pin.partition("==")[2],
      "vulns": bad if pin.startswith("tornado==") else []}} for pin in pins]}}))
"""


def bench(folder: Path, answers: list[str], **environ: str) -> scans.Bench:
    """Where the locks of this checkout are asked about, and only some services answer."""
    (folder / "pip-audit").write_text(AUDIT.format(python=sys.executable, answers=answers))
    (folder / "pip-audit").chmod(0o755)
    return scans.Bench(ROOT, folder, sys.executable, folder, environ)


@pytest.mark.parametrize(
    ("answers", "green", "green_if_strict"),
    [(["pypi", "osv"], True, True), (["pypi"], True, False), ([], True, False)],
)
def test_strict_is_green_where_every_service_answers_and_only_there(
    answers: list[str], green: bool, green_if_strict: bool, tmp_path: Path  # noqa: FBT001
) -> None:  # fmt: skip
    asked = bench(tmp_path, answers)
    outcomes = [scans.audit(asked), replace(scans.osv_audit(asked), findings=())]
    judged = waivers.judge(outcomes, "", TODAY)
    assert command._is_green(outcomes, judged, strict=False) is green
    assert command._is_green(outcomes, judged, strict=True) is green_if_strict


def test_osv_is_asked_where_there_is_no_copy_of_its_data(tmp_path: Path) -> None:
    found = scans.osv_audit(bench(tmp_path, ["osv"])).findings
    assert [(one.rule, one.where.partition("==")[0]) for one in found] == [("GHSA-1", "tornado")]
    silent = scans.osv_audit(bench(tmp_path, []))
    assert "OSV_DATA names a copy" in silent.skipped
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "one.json").write_text(json.dumps(record("none", versions=["1"])))
    assert not scans.osv_audit(bench(tmp_path, [], OSV_DATA=str(tmp_path / "copy"))).skipped


def test_every_lock_is_asked_about() -> None:
    files = {file.name for file in ROOT.glob("requirements*.txt")}
    assert files == set(scans._LOCKS)
    assert scans.locked(ROOT / "requirements.txt") == update.pinned(
        (ROOT / "requirements.txt").read_text()
    )


# As actionlint 1.7.12 says it, its list of labels cut short.
LABEL = {"message": 'label "ubuntu-99" is unknown.\navailable labels are', "line": 20, "column": 14,
         "filepath": ".github/workflows/ci.yml", "kind": "runner-label", "end_column": 22,
         "snippet": "    runs-on: ubuntu-99\n             ^~~~~~~~~"}  # fmt: skip


def linting(folder: Path, output: str, code: int) -> scans.Bench:
    """Where a program says what actionlint would."""
    program = folder / "actionlint"
    program.write_text(
        f"#!{sys.executable}\nimport sys\nsys.stdout.write({output!r})\nsys.exit({code})\n"
    )
    program.chmod(0o755)
    return scans.Bench(ROOT, folder, sys.executable, folder, {"PATH": str(folder)})


def test_what_actionlint_finds_is_a_finding_and_nothing_found_is_none(tmp_path: Path) -> None:
    found = scans.actionlint(linting(tmp_path, json.dumps([LABEL]), 1))
    assert found.findings == (
        Finding("actionlint", "runner-label", ".github/workflows/ci.yml", 20,
                'label "ubuntu-99" is unknown. available labels are'),
    )  # fmt: skip
    clean = scans.actionlint(linting(tmp_path, "[]\n", 0))
    assert (clean.findings, clean.skipped) == ((), "")


def test_actionlint_that_cannot_look_has_not_passed(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match="actionlint gave no answer"):
        scans.actionlint(linting(tmp_path, "", 3))
    (tmp_path / "actionlint").unlink()
    assert scans.actionlint(
        scans.Bench(ROOT, tmp_path, sys.executable, tmp_path, {"PATH": ""})
    ).skipped


def test_tools_are_locked_with_hashes_and_without_an_index() -> None:
    text = (ROOT / "requirements-security.txt").read_text()
    assert len(update.pinned(text)) > 20
    assert text.count(" \\\n    --hash=sha256:") >= len(update.pinned(text))
    assert "://" not in text


# ---- bills of materials

BASE = "/nix/store/" + "0" * 32
PATHS = {
    f"{BASE}-windlass-1.0.0": {"narHash": "sha256-a", "narSize": 1,
                               "references": [f"{BASE}-python3-3.13.9", f"{BASE}-windlass-1.0.0"]},
    f"{BASE}-python3-3.13.9": {"narHash": "sha256-b", "narSize": 2, "references": []},
}  # fmt: skip


def test_bill_of_a_closure_has_every_path_and_its_references() -> None:
    release = f"{BASE}-windlass-1.0.0"
    text = bill.closure(PATHS, release)
    assert text == bill.closure(dict(reversed(PATHS.items())), release), "the same bytes"
    made = json.loads(text)
    assert (made["bomFormat"], made["specVersion"]) == ("CycloneDX", "1.6")
    assert made["metadata"]["component"]["bom-ref"] == release
    (python,) = made["components"]
    assert (python["name"], python["version"]) == ("python3", "3.13.9")
    assert python["purl"] == "pkg:nix/python3@3.13.9"
    assert made["dependencies"][0] == {"ref": release, "dependsOn": [f"{BASE}-python3-3.13.9"]}


def test_bill_is_read_from_both_forms_of_nix() -> None:
    listed = [{"path": path, **about} for path, about in PATHS.items()]
    assert bill.paths_of(listed).keys() == bill.paths_of(PATHS).keys()
    with pytest.raises(PipelineError, match="not in its own closure"):
        bill.closure(PATHS, f"{BASE}-other")


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("nginx-1.30.2", ("nginx", "1.30.2")),
        ("glibc-2.42-51", ("glibc", "2.42-51")),
        ("python3.13-redis-7.1.0", ("python3.13-redis", "7.1.0")),
        ("source", ("source", "")),
        ("gcc-15-lib", ("gcc", "15-lib")),
    ],
)
def test_name_and_version_of_a_store_path(name: str, wanted: tuple[str, str]) -> None:
    assert bill.named(f"{BASE}-{name}") == wanted
