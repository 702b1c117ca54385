"""Does the pipeline go red when it must? `./run ci --selftest` breaks things and sees."""
