{
  description = "Windlass: a production runtime for a Tornado and Redis web service on servers that you own";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05";

  outputs =
    { self, nixpkgs }:
    let
      inherit (nixpkgs) lib;
      servers = [
        "x86_64-linux"
        "aarch64-linux"
      ];
      desks = servers ++ [ "aarch64-darwin" ];
      each =
        systems: outputs:
        lib.genAttrs systems (
          system: outputs (import ./nix { pkgs = nixpkgs.legacyPackages.${system}; })
        );
      revision = import ./nix/revision.nix { inherit lib self nixpkgs; };
    in
    {
      packages = each servers (windlass: rec {
        inherit (windlass) app runtime;
        release = windlass.releaseOf revision;
        release-otel = windlass.tracedReleaseOf revision;
        image = windlass.imageOf revision;
        # Slow, and needs a machine with KVM: not among the checks that every change waits for.
        vm-test = windlass.vmTestOf { inherit self revision; };
        default = release;
      });

      checks = each servers (windlass: windlass.checksOf { inherit self revision; });

      apps = each servers (windlass: windlass.appsOf revision);

      devShells = each desks (windlass: {
        default = windlass.shell;
      });

      formatter = each desks (windlass: windlass.formatter);

      nixosModules.default = import ./nix/module.nix { inherit self; };
      nixosModules.runner = ./nix/runner.nix;

      lib.mkRelease = import ./nix/mk-release.nix;

      templates.default = {
        path = ./nix/template;
        description = "A Tornado application of your own on the runtime of Windlass";
      };
    };
}
