"""Faults under load: what breaks, what clients see of it, and whether that is what was promised.

    command     `./run chaos`
    suite       runs faults one after the other; a report, an exit code
    site        a whole stack on free ports in a temporary folder, with releases behind a link
    releases    copies of this checkout, sound and broken
    load        what is asked: kinds of requests, the bytes of each and what a good answer has
    client      the open-loop client, a process of its own; `wire` is one connection of it
    traffic     the client from outside: started, stopped, its record read
    record      every request by its number, and what can be asked of them
    verdicts    promises, each with the figure that was measured and whether it was kept
    faults      a module for each kind of fault
    plot        the outcomes of requests over time, with what happened meanwhile

Loopback only. All is bounded in time and number, and ends with the command.
"""
