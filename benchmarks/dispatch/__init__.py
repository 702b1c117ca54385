"""Problems for the dispatch solver, and HiGHS on the same problems.

`families` draws ordinary and hostile fleets, `highs` states them to HiGHS in the two ways that its
users do. Nothing here measures yet. `app/dispatch/EXACTNESS.md` says why answers may be compared to
the last cent.
"""
