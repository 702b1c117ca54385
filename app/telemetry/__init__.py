"""What people and machines see of the service at work: metrics, traces, the status board."""
