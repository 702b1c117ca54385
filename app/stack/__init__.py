"""The whole stack: supervisord over Nginx, the master and, where the machine has none, Redis.

Renders `supervisord.conf` and `nginx/` with the settings, brings the stack up and down, and reads
how it is. The way of `windlass up` is `app.stack.lifecycle`, top to bottom.
"""
