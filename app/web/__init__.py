"""The web application: routes, one handler module for each resource, templates, static files.

Knows the store by what it can do (`app.web.handler.Store`), not by what it is made of, and runs on
any server that can serve a `tornado.web.Application`.
"""

from app.web.application import make_application

__all__ = ["make_application"]
