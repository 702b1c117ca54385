"""Did a change make the service slower, truly, and by how much: `./run bench gate`.

Two revisions run alternately on one machine, in rounds of four fresh sets of processes: the base
twice (A) and the head twice (B), as ABBA or BAAB, drawn for each round. What is compared is rounds.

The way of a gate::

    command          options, exit codes
      session        measures rounds, looks at them, measures more where that was planned
        schedule     the order, hash seed and padding of each round
        arms         checkouts of both revisions, with one benchmark source
        closures     a revision's environment, where Nix makes it
        measuring    one round: benchmarks.micro and benchmarks.http, and what failed
      judging        recorded rounds -> a verdict for each metric; a pure function
        signed_rank  the exact test, the estimate and its limits
        looks        how the risk of a false alarm is spent
        resolution   the smallest slowdown that could have been seen
        health       does the experiment find differences where there are none?
      declaration    which benchmarks and metrics there are
      accepted       slowdowns that a reviewed file accepts
      instructions   counted instructions, as a second witness
      suspects       commits that touch what got slower
      history        earlier runs, and where they changed level
      words          what the report says; markdown, page and plots are its forms
"""
