"""The whole service beside other Python servers, on the same load: `./run bench peers`.

The way of a measurement::

    command         options, the order of the parts, the report
      environment   the peers' own virtual environment, locked by hash
      servers       each server: how it is started, alone or with workers
        apps        what they serve, one module for each framework
        stacks      each of them behind the product's Nginx
        processes   started, looked at, ended with all their children
      turns         who gets which load when, and from which process
        generator   the load: closed and open loop
        wire        one connection of it
        pacing      the times at which an open loop sends
      direct, latency, nginx, memory    the parts, each `measure(session) -> Part`
      comparison    ratios of paired rounds
      goals         what was wanted, and whether it was reached
      plot          the throughputs as a picture
"""
