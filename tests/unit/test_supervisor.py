"""Whether supervisord is there, by what comes back from its socket."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from app.stack import supervisor as supervisors
from app.stack.supervisor import NoAnswerError, Supervisor

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("queue", [0, 16], ids=["a-full-queue", "no-answer"])
def test_one_that_does_not_answer_is_not_taken_for_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, queue: int
) -> None:
    monkeypatch.setattr(supervisors, "_TIMEOUT_S", 0.1)
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as listening, socket.socket(socket.AF_UNIX) as waiting:
        listening.bind(str(path))
        listening.listen(queue)
        waiting.connect(str(path))
        assert Supervisor(path).is_running()
        with pytest.raises(NoAnswerError, match="did not answer getPID"):
            Supervisor(path).pid()


def test_a_socket_at_which_nobody_listens_is_of_one_that_is_down(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    assert not Supervisor(path).is_running()
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(path))
    assert not Supervisor(path).is_running()
