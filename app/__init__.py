"""Windlass: a production runtime for a Tornado and Redis web service.

Imports point down only: ``cli`` -> ``web | stack | process | release`` -> ``server | store |
calculator | dispatch`` -> ``config``, ``errors``. ``tests/unit/test_architecture.py`` holds that.
"""

__version__ = "0.1.0"
