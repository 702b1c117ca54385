"""What is served: one module for each framework, with the same four paths as the application.

Each runs in a process of a server under measurement, most of them in the peers' own environment,
and is written as its framework's own documentation would have it. What is not the framework's comes
from `answers`: so the framework is what differs.
"""
