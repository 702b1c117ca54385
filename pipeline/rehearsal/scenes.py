"""The scenes of a rehearsal: one change that arrives, and one that is stopped at each stage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.rehearsal.stage import PRODUCTION
from pipeline.ship import bundle

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pipeline.rehearsal.stage import Stage
    from pipeline.rehearsal.transcript import Transcript

_CHECK = ("./run", "ci", "--job", "check")
_TEST = ("./run", "ci", "--job", "test", "--", "-q", "tests/unit/test_identity.py")
_CALCULATION = "app/calculator/calculation.py"
_SHOWN = "    shown = evaluate("
_LISTENS = "            orders.listen()\n"
_ARRIVED = ("A change that arrives",)
GOOD = "a" * 40
"""The commit that arrives; what is bad comes after it."""


@dataclass(frozen=True, slots=True)
class Scene:
    """One thing that comes, and what the pipeline does about it.

    Attributes:
        title: for people.
        play: has it come, and tells of it.
        needs: titles of scenes that must have come to their end, whatever they told.
    """

    title: str
    play: Callable[[Stage, Transcript], None]
    needs: tuple[str, ...] = ()


def play(scenes: Sequence[Scene], stage: Stage, told: Transcript) -> None:
    """Play scenes; what one of them cannot do is told, and ends only those that build on it."""
    ended: set[str] = set()
    for scene in scenes:
        told.scene(scene.title)
        missing = [title for title in scene.needs if title not in ended]
        if missing:
            told.left_out(missing[0])
            continue
        try:
            scene.play(stage, told)
        except Exception as error:  # noqa: BLE001 - one scene must not hide what the others show
            told.fault(error)
        else:
            ended.add(scene.title)


def boot(stage: Stage, told: Transcript) -> None:
    """The servers of staging and production, and the deployer."""
    stage.up()
    told.say("one host of staging, three of production, and the deployer answer by ssh")


def arrives(stage: Stage, told: Transcript) -> None:
    """A change goes through every stage to production."""
    told.step("check", stage.in_clone(*_CHECK), wanted=0)
    told.step("tests, in short form", stage.in_clone(*_TEST), wanted=0)
    path = stage.release(GOOD)
    told.say(f"build, once: {path}")
    told.say("(put into the store as it is; a rehearsal builds nothing by Nix)")
    folder = stage.bundle(path, GOOD)
    told.step("signature", stage.pipeline("ship", "verify", str(folder)), wanted=0)
    stage.set_up(path)
    told.step("staging", stage.windlass("deploy", "staging", "--release", path), wanted=0)
    _smoke(stage, told, "stage", str(folder / bundle.MANIFEST))
    _load(stage, told, wanted=0)
    refused = stage.windlass("deploy", "production", "--release", path)
    told.step("production, not yet approved", refused, wanted=1)
    told.step("approval, by alice", stage.approve(path), wanted=0)
    told.step("production", stage.windlass("deploy", "production", "--release", path), wanted=0)
    for host in PRODUCTION:
        _smoke(stage, told, host, str(folder / bundle.MANIFEST))
    told.runs(stage.running(), {path})


def stopped_at_check(stage: Stage, told: Transcript) -> None:
    """An import that nothing uses."""
    with stage.clone.changed("app/identity.py", "import os\n", "import json\nimport os\n"):
        told.step("check", stage.in_clone(*_CHECK), wanted=1)


def stopped_at_test(stage: Stage, told: Transcript) -> None:
    """Code that does what no test expects."""
    with stage.clone.changed("app/identity.py", "built.commit[:7]", "built.commit[:8]"):
        told.step("tests, in short form", stage.in_clone(*_TEST), wanted=1)


def stopped_at_signature(stage: Stage, told: Transcript) -> None:
    """A bundle that was changed on its way."""
    commit = "b" * 40
    folder = stage.bundle(stage.release(commit), commit)
    with (folder / bundle.CLOSURE).open("ab") as closure:
        closure.write(b"\n")
    told.step("signature", stage.pipeline("ship", "verify", str(folder)), wanted=1)


def stopped_before_the_switch(stage: Stage, told: Transcript) -> None:
    """A release that cannot be loaded."""
    before = stage.running()
    broken = ("app/serving.py", "from __future__ import annotations\n",
              "from __future__ import annotations\n\nimport no_such_module\n")  # fmt: skip
    path = stage.release("c" * 40, broken)
    told.step("staging", stage.windlass("deploy", "staging", "--release", path), wanted=1)
    told.runs(stage.running(), set(before.values()))


def rolled_back_on_staging(stage: Stage, told: Transcript) -> None:
    """A release that starts, and gives wrong answers."""
    before = stage.running()
    wrong = (_CALCULATION, _SHOWN, f"    raise RuntimeError('bad')\n{_SHOWN}")
    path = stage.release("d" * 40, wrong)
    told.step("staging", stage.windlass("deploy", "staging", "--release", path), wanted=1)
    told.runs(stage.running(), set(before.values()))


def stopped_at_load(stage: Stage, told: Transcript) -> None:
    """A release that is right, and too slow under load; then the way back by hand."""
    before = stage.running()
    slow = (_CALCULATION, _SHOWN, f"    __import__('time').sleep(0.5)\n{_SHOWN}")
    path = stage.release("e" * 40, slow)
    told.step("staging", stage.windlass("deploy", "staging", "--release", path), wanted=0)
    _load(stage, told, wanted=1)
    told.say("the job ends here: production is not asked for, and was not touched")
    back = stage.windlass("rollback", "staging", GOOD[:7], "--reason", "too slow under load")
    told.step("the way back, by hand", back, wanted=0)
    told.runs(stage.running(), set(before.values()))


def refused_by_production(stage: Stage, told: Transcript) -> None:
    """A release that staging never had."""
    path = stage.release("f" * 40)
    told.step("approval, by alice", stage.approve(path), wanted=1)
    deploy = stage.windlass("deploy", "production", "--release", path)
    told.step("production", deploy, wanted=1)


def rolled_back_in_production(stage: Stage, told: Transcript) -> None:
    """A release that one of production's hosts cannot run."""
    before = {host: path for host, path in stage.running().items() if host in PRODUCTION}
    never = (
        "            if __import__('os').uname().nodename == 'three':\n"
        "                await asyncio.sleep(600)\n"
    )
    path = stage.release("0" * 40, ("app/serving.py", _LISTENS, _LISTENS + never))
    told.step("staging", stage.windlass("deploy", "staging", "--release", path), wanted=0)
    told.step("approval, by alice", stage.approve(path), wanted=0)
    told.step("production", stage.windlass("deploy", "production", "--release", path), wanted=1)
    found = {host: path for host, path in stage.running().items() if host in PRODUCTION}
    told.runs(found, set(before.values()))


def _smoke(stage: Stage, told: Transcript, host: str, manifest: str) -> None:
    done = stage.pipeline("smoke", "--release", manifest, stage.url(host))
    told.step(f"smoke tests on {host}", done, wanted=0)


def _load(stage: Stage, told: Transcript, wanted: int) -> None:
    output = str(stage.folder / "load")
    done = stage.pipeline("load", "--profile", "short", "--output", output, stage.url("stage"))
    told.step("load test on staging", done, wanted=wanted)


SCENES = (
    Scene("The servers boot", boot),
    Scene("A change that arrives", arrives, needs=("The servers boot",)),
    Scene("Stopped at check: an import that nothing uses", stopped_at_check),
    Scene("Stopped at the tests: code that does what no test expects", stopped_at_test),
    Scene("Stopped at the signature: a bundle that was changed on its way", stopped_at_signature,
          needs=("The servers boot",)),
    Scene("Stopped at staging, before the switch: a release that cannot be loaded",
          stopped_before_the_switch, needs=_ARRIVED),
    Scene("Taken back from staging by its probe: a release that gives wrong answers",
          rolled_back_on_staging, needs=_ARRIVED),
    Scene("Stopped at the load test: a release that is right, and too slow", stopped_at_load,
          needs=_ARRIVED),
    Scene("Refused by production: a release that staging never had", refused_by_production,
          needs=_ARRIVED),
    Scene("Taken back from production: one of three hosts does not get ready",
          rolled_back_in_production, needs=_ARRIVED),
)  # fmt: skip
