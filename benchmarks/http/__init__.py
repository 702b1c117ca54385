"""The whole stack under load, as the gate measures it: supervisord, Nginx, one worker, Redis.

All four arms of a round stand at the same time, each with processes of its own on one CPU; the load
and Redis are on another. The four loads of a path are cut into slices that take turns, so what
slows the machine for longer than some hundredths of a second slows all of them.

::

    stack     stacks of a round: started together, looked at, ended
    cpu       CPU time of processes, to the nanosecond
    slices    a load on several servers, which take turns, and one figure out of many slices
    sender    one process that sends every load of a round
    paths     what is asked for, and what a right answer holds
    arms      one round of all paths
"""
