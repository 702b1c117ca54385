# services.windlass-runner: self-hosted runners of GitHub Actions that stay online.
#
# Ephemeral: each takes one job, is thrown away with all that the job left, and registers anew by
# itself, so that nothing of one job meets the next. It starts with the machine, and again whenever it
# ends, however it ends. It has no rights beyond its own folder and Nix.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  cfg = config.services.windlass-runner;
  names = map (number: "windlass-${toString number}") (lib.range 1 cfg.count);
in
{
  options.services.windlass-runner = {
    enable = lib.mkEnableOption "self-hosted runners of GitHub Actions for Windlass";

    url = mkOption {
      type = types.str;
      example = "https://github.com/OWNER/REPOSITORY";
      description = "The repository that the runners serve; it should be a private one.";
    };

    tokenFile = mkOption {
      # A string, not a path: a path would copy the token to the store, where everybody reads it.
      type = types.str;
      example = "/run/secrets/github-runner";
      description = ''
        File with a fine-grained token that has the permission Administration (read and write) on this
        repository alone. A registration token would not do: it ends after an hour, and an ephemeral
        runner registers before each job.
      '';
    };

    count = mkOption {
      type = types.ints.between 1 16;
      default = 1;
      description = "How many jobs may run at a time.";
    };

    trustedStoreKeys = mkOption {
      type = types.listOf types.str;
      example = [ "site-1:..." ];
      description = ''
        The `trusted_store_keys` of deploy.toml: by their signatures the store of this machine takes a
        release from a runner, which has no rights over it.
      '';
    };

    labels = mkOption {
      type = types.listOf types.str;
      default = [ "windlass-deploy" ];
      description = "By which workflows ask for them: the variable DEPLOY_RUNNER is one of these.";
    };
  };

  config = lib.mkIf cfg.enable {
    nix.settings.trusted-public-keys = cfg.trustedStoreKeys;

    # What `./run` and the steps of the workflows call.
    services.github-runners = lib.genAttrs names (name: {
      enable = true;
      inherit (cfg) url tokenFile;
      inherit name;
      ephemeral = true;
      replace = true;
      extraLabels = cfg.labels;
      extraPackages = [
        pkgs.git
        pkgs.nix
        pkgs.openssh
        pkgs.python3
      ];
      # The module of NixOS runs it as a user of its own that exists while it runs, without
      # capabilities and with a read-only system. It leaves a runner down that has failed.
      serviceOverrides = {
        Restart = lib.mkForce "always";
        RestartSec = lib.mkForce "10s";
      };
    });

    # A service that fails again and again is tried again all the same: it stays online.
    systemd.services = lib.genAttrs (map (name: "github-runner-${name}") names) (_: {
      startLimitIntervalSec = 0;
    });
  };
}
