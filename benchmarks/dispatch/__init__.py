"""The dispatch solver beside HiGHS, on the same problems.

    command     the options; runs the parts one after the other and reports
    session     how much is measured, and what every part is given
    families    ordinary and hostile problems, drawn from a seed
    ours        our solver, asked in the same way
    highs       HiGHS, stated in the two ways that its users do
    judge       an answer of ours beside one of HiGHS: equal, dearer, wrong
      loads     which loads can be met at all, bit by bit: the judge where HiGHS has no verdict
    equality    part 1: thousands of problems, equal to the last cent
    times       part 2: how many times as fast, by size
    worst       part 3: the slowest of each hostile family
    plot        part 4: time against plants
    memory      part 5: growth of a fresh process
    health      part 6: what a worker's other requests wait while it computes plans

`app/dispatch/EXACTNESS.md` says why answers may be compared to the last cent.
"""
