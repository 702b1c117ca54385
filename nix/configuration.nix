# The configuration of supervisord and Nginx as the release's own command renders it, by default
# settings: for people and programs that compare releases. What runs is rendered when the stack comes
# up, as it names the machine's CPUs, addresses, certificates and limits; so these are fixed here.
{
  pkgs,
  runtime,
}:
pkgs.runCommand "${runtime.pname}-configuration-${runtime.version}" { } ''
  export HOME=$TMPDIR STATE_DIR=$TMPDIR/state
  export HOST=127.0.0.1 WORKERS=2 REDIS_MANAGED=yes
  mkdir -p $out
  ${runtime}/bin/windlass render $out
  # The folder, the user and the limit of open files of a server, in place of the builder's.
  sed -i "s|$STATE_DIR|/var/lib/windlass|g" $out/*
  sed -i 's|^user = .*|user = windlass|; /^user root;$/d' $out/*
  sed -i 's|^worker_rlimit_nofile .*|worker_rlimit_nofile 65536;|' $out/nginx.conf
  sed -i 's|^\( *worker_connections\) .*|\1 8192;|' $out/nginx.conf
''
