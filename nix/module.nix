# services.windlass: the stack as one hardened systemd service of NixOS. A new release is taken up
# by a reload, with no failed request: the unit names a link that stays.
{ self }:
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  cfg = config.services.windlass;
  unit = import ./unit.nix { inherit lib; };
  # The link that a switch of the system moves; `WINDLASS_PROFILE` in docs/operations.md.
  link = "windlass/release";
  profile = "/etc/${link}";
  command = "${profile}/bin/windlass";
  state = "/var/lib/windlass";
  text =
    value:
    if !builtins.isBool value then
      toString value
    else if value then
      "yes"
    else
      "no";
  ofOptions = {
    WORKERS = if cfg.workers == 0 then "auto" else cfg.workers;
    PLAN_PORT = "";
  }
  // lib.optionalAttrs (cfg.domain != null) { ALLOWED_HOSTS = cfg.domain; }
  // lib.optionalAttrs (cfg.tls.certificate != null) {
    TLS_CERTIFICATE = cfg.tls.certificate;
    TLS_KEY = cfg.tls.key;
    TLS_PORT = cfg.tls.port;
    HTTP_REDIRECT = cfg.tls.redirect;
  };
  given = lib.filterAttrs (_: value: value != null) cfg.settings;
  settings = lib.mapAttrs (_: text) (ofOptions // given);
  ports = map (name: lib.toInt settings.${name}) (
    lib.filter (name: settings.${name} or "" != "") [
      "PORT"
      "PLAN_PORT"
      "TLS_PORT"
    ]
  );
  # For whoever may act as its user: sudo -u windlass windlass status
  atDesk = pkgs.writeShellScriptBin "windlass" ''
    export WINDLASS_PROFILE=${profile} STATE_DIR=${state}
    exec ${command} "$@"
  '';
  needsLowPort = lib.any (port: port < 1024) ports;
  setting =
    type: default: description:
    mkOption { inherit type default description; };
in
{
  options.services.windlass = {
    enable = lib.mkEnableOption "Windlass, a Tornado service behind Nginx, under supervisord";

    package = mkOption {
      type = types.package;
      default = self.packages.${pkgs.stdenv.hostPlatform.system}.release;
      defaultText = lib.literalExpression "windlass.packages.\${system}.release";
      description = "The release that runs, as `release` or `lib.mkRelease` of the flake makes it.";
    };

    workers = setting types.ints.unsigned 0 "How many workers serve; 0 is one for each CPU.";

    domain = mkOption {
      type = types.nullOr types.str;
      default = null;
      example = "example.org";
      description = "The only host that is served; requests for another are answered 421.";
    };

    tls = {
      certificate = setting (types.nullOr types.path) null "PEM file of certificate and chain.";
      key = mkOption {
        # A string, not a path: a path would copy the key to the store, where everybody reads it.
        type = types.nullOr types.str;
        default = null;
        description = "Where the key is, as PEM; readable by the user windlass.";
      };
      port = setting types.port 443 "The port of TLS.";
      redirect = setting types.bool true "Whether plain HTTP is sent on to TLS.";
    };

    openFirewall = setting types.bool false "Whether the ports of the service are opened.";

    environmentFile = mkOption {
      type = types.nullOr types.str;
      default = null;
      example = "/run/secrets/windlass";
      description = "File of further settings, `NAME=value` in lines: for what is secret.";
    };

    settings = mkOption {
      description = "Settings by their names; `windlass config --help` explains each.";
      default = { };
      type = types.submodule {
        freeformType = types.attrsOf (
          types.nullOr (
            types.oneOf [
              types.bool
              types.int
              types.str
            ]
          )
        );
        options = {
          ENVIRONMENT = setting types.str "PRODUCTION" "Name of the environment, for the page.";
          HOST = setting types.str "0.0.0.0" "Address or host name on which Nginx listens.";
          PORT = setting types.port 8000 "Port of the service.";
          PLAN_PORT = setting (types.nullOr types.port) 8888 "Port of the plan; null: none.";
          LOG_FORMAT = setting (types.enum [
            "auto"
            "console"
            "json"
          ]) "json" "Form of log lines.";
          LOG_LEVEL = setting (types.enum [
            "debug"
            "info"
            "warning"
            "error"
          ]) "info" "Least severe log line that is written.";
          DRAIN_TIMEOUT_S = setting (types.ints.between 0 600) 10 "Seconds that a worker may drain.";
        };
      };
    };
  };

  config = lib.mkIf cfg.enable {
    assertions = [
      {
        assertion = (cfg.tls.certificate == null) == (cfg.tls.key == null);
        message = "services.windlass.tls needs both certificate and key, or neither.";
      }
    ];

    users.users.windlass = {
      isSystemUser = true;
      group = "windlass";
      home = state;
      description = "Windlass";
    };
    users.groups.windlass = { };

    environment.etc.${link}.source = cfg.package;
    environment.systemPackages = [ atDesk ];

    networking.firewall.allowedTCPPorts = lib.mkIf cfg.openFirewall ports;

    systemd.services.windlass = {
      description = unit.Unit.Description;
      wants = [ unit.Unit.Wants ];
      after = [ unit.Unit.After ];
      wantedBy = [ unit.Install.WantedBy ];
      startLimitIntervalSec = lib.toInt unit.Unit.StartLimitIntervalSec;
      reloadTriggers = [ cfg.package ];
      # Nothing else of the unit may change with nixpkgs: that would be a restart.
      enableDefaultPath = false;
      environment = settings // {
        WINDLASS_PROFILE = profile;
        STATE_DIR = state;
        LOCALE_ARCHIVE = null;
        TZDIR = null;
      };
      serviceConfig =
        removeAttrs unit.Service [
          "Environment"
          "EnvironmentFile"
        ]
        // {
          ExecStart = "${command} up";
          ExecReload = "${command} reload";
          # The programs drain one after the other; what is left then is killed.
          TimeoutStopSec = 2 * cfg.settings.DRAIN_TIMEOUT_S + 30;
          EnvironmentFile = lib.optional (cfg.environmentFile != null) cfg.environmentFile;
        }
        # The one capability that a port below 1024 takes; it means nothing in a user namespace.
        // lib.optionalAttrs needsLowPort {
          AmbientCapabilities = "CAP_NET_BIND_SERVICE";
          CapabilityBoundingSet = "CAP_NET_BIND_SERVICE";
          PrivateUsers = false;
        };
    };
  };
}
