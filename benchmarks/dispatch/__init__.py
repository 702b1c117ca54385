"""The dispatch solver against HiGHS: the same problems, one after the other in one process.

`./run bench dispatch` measures and writes a report; see `app/dispatch/EXACTNESS.md` for why the
answers may be compared to the last cent.
"""
