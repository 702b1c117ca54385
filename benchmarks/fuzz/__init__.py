"""Hostile input for the HTTP engine, in numbers: made by a grammar, or guided by coverage.

`grammar` makes what a client may send, `reading` and `serving` send it and judge what came of it,
`double` is the client and the event loop that `serving` needs, `stock` compares with Tornado's own
server, `growth` asks how time grows with size.
"""
