"""What metrics, logs and tracing cost: the same requests with each of them, and with none.

::

    arms     what is on in each
    inside   the engine and the application without a network: the dearest case
    direct   a server on a port, without Nginx
    whole    stacks with Nginx in front, under load
    command  ./run bench telemetry
"""
