"""Becomes the stack of the checkout that it runs from: `python -m benchmarks.http.serve`.

Settings come from the environment. The configuration is rendered by the checkout's own code, and
supervisord takes this process's place, so that who started it can end everything by its pid.
"""

from __future__ import annotations

import os
import sys

from app.stack import lifecycle, render, upgrade
from benchmarks.peers.stacks import plan_of


def main() -> None:
    """Become supervisord; never returns."""
    made = plan_of(dict(os.environ))
    render.publish_static(made)
    render.write(made)
    lifecycle.test_nginx(made)
    upgrade.point(made.layout, made.nginx.path)
    argv = (sys.executable, "-m", "supervisor.supervisord", "-c", str(made.supervisord_conf))
    os.execv(argv[0], argv)  # noqa: S606 - it is what this module is for


if __name__ == "__main__":
    main()
