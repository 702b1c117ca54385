"""The whole way of a change, rehearsed on servers that are made of namespaces: `./run rehearse`."""
