"""Load tests against stated service levels: `./run load URL`."""
