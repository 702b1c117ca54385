"""Releases: from a store path to servers and back, so that no request fails and nothing is guessed.

Two sides, which speak JSON over ssh and nothing else:

- The **deployer** (`deploy`, and the modules that it lists) runs where the operator is. It holds no
  state that matters: killed at any moment, it leaves hosts that go back by themselves.
- The **host agent** (`app.release.host`) runs on each server as an unprivileged user, from the
  release that was confirmed last, never from the one that is being tried. It decides what a host
  does: it checks the fencing token, the signatures and the health, writes down what it will go back
  to before it switches, and goes back unasked when nobody confirms in time.

The way of a release is in `deploy`, as a list of steps.
"""
