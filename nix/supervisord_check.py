"""What supervisord would run by a file: `supervisord_check.py FILE PROGRAM...`."""

from __future__ import annotations

import sys

from supervisor.options import ServerOptions


def main(file: str, wanted: list[str]) -> None:
    """Read it; raises `AssertionError` when the programs, in their order, are others."""
    options = ServerOptions()
    options.realize(["-c", file])
    found = [group.name for group in sorted(options.process_group_configs)]
    if found != wanted:
        raise AssertionError(f"{file} runs {found}, not {wanted}")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
