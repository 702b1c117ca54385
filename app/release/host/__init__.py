"""The host agent: what a server does for the deployer, and without it."""
