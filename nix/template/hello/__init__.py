"""A service on the runtime of Windlass."""
