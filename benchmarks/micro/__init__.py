"""Small pieces of the product by themselves: CPU time of one process, without network or disk.

`work` names each benchmark and makes what it repeats; `bench_micro` runs them by pytest-benchmark;
`instructions` runs them for a counter of instructions. Each piece takes from a tenth of a
millisecond to a few, does the same each time, and says so when its result is wrong.

By hand: `.venv/bin/python -m pytest -c benchmarks/micro/pytest.ini benchmarks/micro`.
"""
