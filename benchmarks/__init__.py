"""What is measured of Windlass, and how: `./run bench COMMAND`.

    chaos       faults under load: what clients see of them (as `./run chaos`)
    dispatch    the solver of production plans beside HiGHS, on the same problems
    fuzz        millions of requests that seek a fault of the HTTP engine, and its growth
    store       pipelined Redis commands beside redis-py, and a storm that seeks a wrong reply
    peers       the whole service beside other Python servers, on the same load

Every figure is a comparison: what is compared runs in turns, in one session of measurement, since
a machine is not as fast now as it was a minute ago. Nothing here is imported by the product.
"""
