"""The pipeline's own commands: what .github/workflows runs, and what `./run` runs of it at a desk.

`jobs.toml` has the jobs and their order, once. Everything that decides something is here and not in
YAML, so that it is tested like any other code. Nothing of this is in a release.
"""
