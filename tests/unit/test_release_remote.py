"""The connection by which a lease is extended: kept, made anew where it breaks, and never believed.

`ssh` is a program of these tests that runs the host's forced command here; the rest is real.
"""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING

import psutil
import pytest

from app.errors import RefusedError, UnreachableError
from app.release.host import lease
from app.release.host.site import Site
from app.release.inventory import Host
from app.release.messages import Begin, Extend, Held
from app.release.remote import Remote
from app.release.shell import Shell
from tests.support import ROOT

if TYPE_CHECKING:
    from pathlib import Path

TIMEOUT_S = 90.0


class There:
    """A host in a folder, and the way to it."""

    def __init__(self, folder: Path) -> None:
        self.site = Site(folder / "host")
        self.site.record.mkdir(parents=True)
        self.calls = folder / "calls"
        program = folder / "ssh"
        program.write_text(
            "#!/bin/sh\n"
            'while [ "$1" != -- ]; do shift; done; shift\n'
            f'echo "$$ $*" >>{self.calls}\n'
            f"[ ! -e {folder}/cut ] || exit 255\n"
            f'SSH_ORIGINAL_COMMAND="$*" exec {sys.executable} -m app host --base '
            f"{self.site.base} gate\n"
        )
        program.chmod(0o755)
        environ = {"PATH": f"{folder}:/usr/bin:/bin", "PYTHONPATH": str(ROOT)}
        self.remote = Remote(Host("one", "one", "key"), Shell(environ), folder)
        self.cut = folder / "cut"
        held = lease.take(self.site, Begin("mine", "alice@desk", 600.0))
        self.order = Extend(held.fence, "mine", 600.0)

    def asked(self) -> list[tuple[int, str]]:
        """The process of each connection, and what was asked by it."""
        lines = [line.split(maxsplit=1) for line in self.calls.read_text().splitlines()]
        return [(int(pid), words) for pid, words in lines]


@pytest.fixture
def there(tmp_path: Path) -> There:
    return There(tmp_path)


def test_extensions_share_one_connection_which_ends_with_them(there: There) -> None:
    with there.remote.extending() as extend:
        for _ in range(3):
            before = there.site.lease().deadline_s
            extend(there.order, TIMEOUT_S)
            assert there.site.lease().deadline_s > before
        ((pid, words),) = there.asked()
        assert words == "windlass host hold"
        assert psutil.pid_exists(pid)
    assert not psutil.pid_exists(pid)


def test_a_connection_that_broke_is_made_anew(there: There) -> None:
    with there.remote.extending() as extend:
        extend(there.order, TIMEOUT_S)
        psutil.Process(there.asked()[0][0]).send_signal(signal.SIGKILL)
        for _ in range(2):
            before = there.site.lease().deadline_s
            extend(there.order, TIMEOUT_S)
            assert there.site.lease().deadline_s > before
    words = [words for _, words in there.asked()]
    assert words == ["windlass host hold", "windlass host extend", "windlass host hold"]


def test_who_slept_past_the_lease_learns_it_by_the_next_extension(there: There) -> None:
    with there.remote.extending() as extend:
        extend(there.order, TIMEOUT_S)
        lease.release(there.site, Held(there.order.fence, "mine"))
        lease.take(there.site, Begin("theirs", "bob@desk", 600.0))
        for _ in range(2):
            with pytest.raises(RefusedError, match=r"bob@desk \(theirs\) has it now"):
                extend(there.order, TIMEOUT_S)


def test_a_host_without_a_link_cannot_be_reached(there: There) -> None:
    there.cut.touch()
    with there.remote.extending() as extend, pytest.raises(UnreachableError, match="by ssh"):
        extend(there.order, TIMEOUT_S)
