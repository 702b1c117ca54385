# The OCI image, as a program that streams it: `$(nix build --print-out-paths .#image) | docker load`.
#
# The commit is in the configuration only (environment and labels): no layer knows it, so an image
# of a commit that changes no code has every layer of the one before. One layer for each store path,
# so that a new release shares those of what it did not change.
{
  pkgs,
  runtime,
  revision,
}:
let
  inherit (pkgs) lib;
  description = import ./description.nix { inherit lib runtime revision; };
  state = "/var/lib/windlass";
  # Any number that no other image is likely to have, so that a volume's files have one owner.
  uid = 18000;
  id = toString uid;
in
pkgs.dockerTools.streamLayeredImage {
  name = runtime.pname;
  inherit (description) tag;
  created = revision.time;
  maxLayers = 100;

  fakeRootCommands = ''
    mkdir -p etc tmp .${state}
    echo 'root:x:0:0:root:/root:/sbin/nologin' > etc/passwd
    echo 'windlass:x:${id}:${id}:Windlass:${state}:/sbin/nologin' >> etc/passwd
    printf 'root:x:0:\nwindlass:x:${id}:\n' > etc/group
    # Who listens at `localhost` is asked by name.
    printf '127.0.0.1 localhost\n::1 localhost\n' > etc/hosts
    chmod 1777 tmp
    chmod 0700 .${state}
    chown -R ${id}:${id} .${state}
  '';

  config = {
    # The process becomes supervisord, which reaps orphans and is told to stop by the container.
    Entrypoint = [ "${runtime}/bin/windlass" ];
    Cmd = [
      "up"
      "--init"
    ];
    User = "${id}:${id}";
    WorkingDir = state;
    Volumes.${state} = { };
    ExposedPorts = {
      "8000/tcp" = { };
      "8888/tcp" = { };
    };
    Env = [
      "ENVIRONMENT=PRODUCTION"
      "HOME=${state}"
      "HOST=0.0.0.0"
      "LOG_FORMAT=json"
      "PATH=${runtime}/bin"
      "SSL_CERT_FILE=${pkgs.cacert}/etc/ssl/certs/ca-bundle.crt"
      "STATE_DIR=${state}"
      "WINDLASS_RELEASE=${description.text}"
    ];
    Healthcheck = {
      Test = [
        "CMD"
        "${runtime}/bin/windlass"
        "-q"
        "status"
        "--serving"
      ];
      # In nanoseconds.
      Interval = 10 * 1000000000;
      Timeout = 5 * 1000000000;
      StartPeriod = 30 * 1000000000;
      Retries = 3;
    };
    StopSignal = "SIGTERM";
    Labels = {
      "org.opencontainers.image.title" = runtime.pname;
      "org.opencontainers.image.description" = runtime.description;
      "org.opencontainers.image.version" = runtime.version;
      "org.opencontainers.image.revision" = revision.commit;
      "org.opencontainers.image.created" = revision.time;
      "org.opencontainers.image.ref.name" = description.tag;
    }
    // lib.optionalAttrs (runtime.license.spdxId or null != null) {
      "org.opencontainers.image.licenses" = runtime.license.spdxId;
    }
    // lib.optionalAttrs (runtime.homepage != null) {
      "org.opencontainers.image.source" = runtime.homepage;
      "org.opencontainers.image.url" = runtime.homepage;
    };
  };
}
