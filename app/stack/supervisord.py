"""supervisord, which starts anew at once what has ended: `python -m app.stack.supervisord`.

supervisord looks after its programs once a second, and notes a death only after it has looked: so
what was killed is started a second later, or two. Here it looks again as soon as a death is noted.
What lived for less than a second waits for the usual look, so that what cannot start does not keep
a CPU busy.
"""

from __future__ import annotations

from supervisor import supervisord
from supervisor.states import ProcessStates

_LIVED_S = 1.0


class _PromptSupervisor(supervisord.Supervisor):  # type: ignore[misc]  # it has no types
    def handle_signal(self) -> None:
        """Go on where it has just noted who died."""
        super().handle_signal()
        for group in self.process_groups.values():
            for process in group.processes.values():
                lived_s = process.laststop - process.laststart
                if process.state == ProcessStates.EXITED and lived_s >= _LIVED_S:
                    process.transition()


def main() -> None:
    """Run supervisord with the arguments of the command."""
    supervisord.Supervisor = _PromptSupervisor
    supervisord.main()


if __name__ == "__main__":
    main()
