"""What people and machines see of the service at work: metrics, traces, the status board.

::

    catalogue   every metric: name, kind, labels, meaning
    memory      where all processes count, and which outlives each of them
      meter     how a process counts there
      vitals    what a worker shows of itself once a second
    totals      what all have counted, put together
      history   the last hour, sampled by the master
      exposition  the text that Prometheus reads
    board       the status board, as data
      reporter  writes it, and the metrics, for whoever asks
    answered    a request that was answered: what is noted of it
    trace       W3C Trace Context
      export    spans to a collector (optional extra `otel`)
    station     what a process has of all this
    processes   what the kernel tells of a process

Knows neither Tornado nor Redis, master nor stack: those hand it what it shows.
"""
