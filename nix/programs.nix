# Nginx and Redis without what this service never uses, which would be most of the image: Perl in
# Nginx, systemd's libraries in Redis (supervisord, not systemd, starts it).
{ pkgs }:
{
  nginx = pkgs.nginx.override { withPerl = false; };
  redis = pkgs.redis.override { withSystemd = false; };
}
