"""How often the gate is wrong, measured: `./run bench calibrate`.

Whole gates with shortened arms, one line of JSON each, so that a run that is interrupted goes on
where it stopped::

    command        options, and what is still to be run
      lanes        gates side by side, each on a CPU of its own
        lane       the process of one
        runs       one gate: both arms of one commit, with or without an injected slowdown
        injections slowdowns of known size, put into the head's checkout
        busy       another load on the CPU of the servers
      lines        what is kept of a gate, and the rounds that it was judged by
    rules          what other rules would have said of the same rounds
    summary        rates with their intervals

`measured.jsonl` has the lines that `docs/gate.md` quotes.
"""
