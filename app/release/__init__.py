"""Releases: from a store path to a server and back."""
