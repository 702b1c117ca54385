"""The store beside redis-py's own client, and under a storm.

cost     CPU of this process for each call, both ways in turns
stock    the same calls by redis-py's asyncio client and its pool of connections
storm    tagged calls, cancelled and cut off at random: does every reply reach its caller?
proxy    what stands between the store and Redis and breaks connections
server   a Redis of the measurement's own
"""
