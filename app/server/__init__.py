"""The HTTP engine under `tornado.web.Application`.

A server here takes a Tornado application and listening sockets, and can drain: it stops accepting,
finishes what is under way, tells kept-alive clients to go elsewhere, and says whether all was done.
"""

from app.server.stock import StockServer

__all__ = ["StockServer"]
