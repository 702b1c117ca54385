"""What of security can be checked by tools, gathered in one verdict: `./run security`."""
