# What `nix flake check` builds: the code is in order, the release serves, the image is what it
# should be. Each is a derivation of its own, so that a change repeats only what it concerns.
{
  pkgs,
  programs,
  tools,
  source,
  release,
  image,
  application,
}:
let
  inherit (pkgs) lib;
  check =
    name: inputs: script:
    pkgs.runCommand "windlass-check-${name}" { nativeBuildInputs = inputs; } ''
      export HOME=$TMPDIR
      ${script}
      touch $out
    '';
  # The files are copied: some tests write beside them, and the store cannot be written to.
  ofCheckout =
    name: inputs: script:
    check name ([ tools.environment ] ++ inputs) ''
      cp -r ${source.all} checkout
      chmod -R u+w checkout
      cd checkout
      ${script}
    '';
  # What a NixOS server would have.
  server =
    settings:
    (pkgs.nixos {
      imports = [ (import ./module.nix { self = { }; }) ];
      services.windlass = {
        enable = true;
        package = release.runtime;
      }
      // settings;
      system.stateVersion = lib.trivial.release;
    }).config;
  unitOf =
    settings:
    pkgs.writeTextDir "windlass.service" (server settings).systemd.units."windlass.service".text;
  plain = unitOf { };
  public = {
    workers = 3;
    domain = "example.org";
    tls.certificate = "/run/keys/public.pem";
    tls.key = "/run/keys/private.pem";
    environmentFile = "/run/keys/windlass";
    openFirewall = true;
    settings.PORT = 80;
    settings.DRAIN_TIMEOUT_S = 60;
  };
  runners =
    (pkgs.nixos {
      imports = [ ./runner.nix ];
      services.windlass-runner = {
        enable = true;
        url = "https://github.com/OWNER/REPOSITORY";
        tokenFile = "/run/secrets/github-runner";
        trustedStoreKeys = [ "site-1:key" ];
        count = 2;
      };
      system.stateVersion = lib.trivial.release;
    }).config;
  secondRunner = runners.systemd.services.github-runner-windlass-2;
in
{
  lint = ofCheckout "lint" [ ] ''
    python -m ruff check --no-cache
    python -m ruff format --check --no-cache
    bash -n run
  '';

  types = ofCheckout "types" [ ] ''
    python -m mypy
  '';

  # Not those that measure: a builder has other work. A unix socket's path must be short.
  tests =
    ofCheckout "tests"
      (
        lib.attrValues programs
        ++ [
          pkgs.gitMinimal
          pkgs.openssh
          pkgs.openssl
        ]
      )
      ''
        python -m pytest tests/unit --ignore-glob '*/test_bench_*' --quiet --timeout 300 \
          -p no:cacheprovider --basetemp "$(mktemp -d /tmp/w.XXXXXX)/t"
      '';

  # nixpkgs' versions against the ranges of pyproject.toml; the locked ones are the tests' matter.
  contract = check "contract" [ tools.environment ] ''
    python ${./contract.py} ${../pyproject.toml}
  '';

  # The same tests as everybody's, against what is deployed.
  release = check "release" [ release ] ''
    export STATE_DIR=$TMPDIR/state HOST=127.0.0.1 PORT=18000 PLAN_PORT=18888 WORKERS=2
    export ENVIRONMENT=TESTING REDIS_MANAGED=yes
    windlass check
    windlass up -d
    trap 'windlass down' EXIT
    windlass status --serving
    ${tools.environment.interpreter} ${./smoke.py} http://127.0.0.1:18000 ${release}/release.json
    supervisorctl -c $STATE_DIR/conf/supervisord.conf status
    nginx -t -p $STATE_DIR -e stderr -c $STATE_DIR/conf/nginx.conf
  '';

  # What the release says that it would run with, in folders and by a user that are there.
  configuration = check "configuration" [ release.runtime ] ''
    mkdir -p state/run state/tmp state/log
    for file in nginx.conf supervisord.conf; do
      sed "s|/var/lib/windlass|$PWD/state|g; s|^user = .*|user = $(id -un)|" \
        ${release.configuration}/$file > $file
    done
    nginx -t -p $PWD/state -e stderr -c $PWD/nginx.conf
    ${tools.environment.interpreter} ${./supervisord_check.py} supervisord.conf redis web nginx
  '';

  image = check "image" [ pkgs.jq ] ''
    ${image} > first.tar
    ${image} > second.tar
    cmp first.tar second.tar
    tar xf first.tar
    ${tools.environment.interpreter} ${./image_check.py} . ${release}/release.json
  '';

  unit = check "unit" [ pkgs.systemd ] ''
    # A builder has no /run, which only `--user` does without; the verdict is the same.
    export XDG_RUNTIME_DIR=$TMPDIR
    for unit in ${./windlass.service} ${plain}/windlass.service ${unitOf public}/windlass.service
    do
      install -m 644 $unit windlass.service
      systemd-analyze --user security --offline=true --threshold=20 $PWD/windlass.service
    done
  '';

  module =
    assert (server public).networking.firewall.allowedTCPPorts == [
      80
      443
      8888
    ];
    assert (server { }).networking.firewall.allowedTCPPorts == [ ];
    check "module" [ ] ''
      unit=${unitOf public}/windlass.service
      for line in \
        Environment='"WORKERS=3"' Environment='"ALLOWED_HOSTS=example.org"' \
        Environment='"TLS_CERTIFICATE=/run/keys/public.pem"' \
        Environment='"TLS_KEY=/run/keys/private.pem"' Environment='"TLS_PORT=443"' \
        Environment='"HTTP_REDIRECT=yes"' Environment='"PORT=80"' \
        EnvironmentFile=/run/keys/windlass AmbientCapabilities=CAP_NET_BIND_SERVICE \
        TimeoutStopSec=150 StartLimitIntervalSec=0
      do
        grep -Fx "$line" $unit
      done
      # Another release, or another nixpkgs, is a reload and no restart.
      ! grep -v '^X-Reload-Triggers=' ${plain}/windlass.service | grep /nix/store
    '';

  # The runner as docs/pipeline.md shows it. Evaluated only: what it runs is nixpkgs' matter.
  runner =
    assert runners.services.github-runners.windlass-2.ephemeral;
    assert lib.elem "site-1:key" runners.nix.settings.trusted-public-keys;
    assert secondRunner.startLimitIntervalSec == 0;
    assert secondRunner.serviceConfig.Restart == "always";
    assert secondRunner.serviceConfig.DynamicUser;
    assert secondRunner.serviceConfig.NoNewPrivileges;
    assert secondRunner.wantedBy == [ "multi-user.target" ];
    check "runner" [ ] "";

  # The template of `nix flake init`, through lib.mkRelease.
  application = check "application" [ application pkgs.curl pkgs.jq ] ''
    export STATE_DIR=$TMPDIR/state HOST=127.0.0.1 PORT=18000 PLAN_PORT= WORKERS=1 REDIS_MANAGED=yes
    windlass up -d
    trap 'windlass down' EXIT
    [ "$(curl -fsS http://127.0.0.1:18000/)" = 'Hello, visitor 1!' ]
    curl -fsS http://127.0.0.1:18000/metadata | jq -e '.app_name == "hello"'
  '';

  nix = check "nix" tools.forNix ''
    cd ${source.nix}
    find . -name '*.nix' -exec nixfmt --check {} +
    deadnix --fail .
    statix check .
  '';
}
