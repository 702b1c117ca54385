"""A full disk under the logs: the service goes on, and logs again once there is room."""

from __future__ import annotations

import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.chaos.plot import Mark
from benchmarks.chaos.site import site, wait_for
from benchmarks.chaos.traffic import traffic
from benchmarks.chaos.verdicts import NotMeasurableError, Outcome, Verdict, none_failed

if TYPE_CHECKING:
    from collections.abc import Iterator

RATE_HZ = 150.0
_SIZE_MB = 24
_PATIENCE_S = 10.0


def run(is_long: bool) -> Outcome:  # noqa: FBT001 - the one argument of every fault
    """Fill the file system of the stack's whole state folder, and free it again."""
    with _small_disk() as disk, site(STATE_DIR=str(disk / "state")) as stack:
        before = {child.pid for child in stack.ready().values()}
        with traffic(stack, RATE_HZ) as sent:
            time.sleep(1)
            begun = time.monotonic()
            filler = disk / "filler"
            _fill(filler)
            time.sleep(60 if is_long else 5)
            marks = [Mark("full", begun, time.monotonic())]
            filler.unlink()
            size = len(stack.log("web"))
            try:
                wait_for(lambda: len(stack.log("web")) > size, _PATIENCE_S, "log lines")
                logs = True
            except TimeoutError:
                logs = False
        same = before == {child.pid for child in stack.ready().values()}
    others = sent.record.where(lambda r: r.kind != "page")
    return Outcome(
        [*none_failed(others),
         Verdict("no worker is lost", "none" if same else "some", kept=same),
         Verdict("logs go on once there is room", "they do" if logs else "they do not",
                 kept=logs)],
        sent.record, marks=marks,
        notes=[("The page is left out of the account: its counter is Redis's, whose file is on "
               "the same full disk.")],
    )  # fmt: skip


def _fill(file: Path) -> None:
    with file.open("wb", buffering=0) as output:
        try:
            while True:
                output.write(b"x" * 65536)
        except OSError:
            return


@contextmanager
def _small_disk() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="windlass-chaos-disk-") as name:
        command = ("mount", "-t", "tmpfs", "-o", f"size={_SIZE_MB}m", "tmpfs", name)
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise NotMeasurableError(f"no file system can be mounted: {done.stderr.strip()}")
        try:
            yield Path(name)
        finally:
            subprocess.run(("umount", "--lazy", name), check=False)  # noqa: S607
