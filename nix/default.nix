# What the flake makes for one system: a file for each part, put together here and nowhere else.
{ pkgs }:
let
  inherit (pkgs) lib;
  python = import ./python.nix { inherit (pkgs) lib python313; };
  programs = import ./programs.nix { inherit pkgs; };
  app = import ./app.nix { inherit lib python; };
  runtime = import ./runtime.nix {
    inherit
      pkgs
      python
      programs
      app
      ;
    modules = [ app ];
  };
  source = import ./source.nix { inherit lib; };
  tools = import ./tools.nix { inherit pkgs python; };
  # Traces are sent by packages that not every server needs.
  traced = import ./runtime.nix {
    inherit
      pkgs
      python
      programs
      app
      ;
    modules = [
      app
      python.pkgs.opentelemetry-exporter-otlp-proto-http
      python.pkgs.opentelemetry-sdk
    ];
  };
  releaseOf = revision: import ./release.nix { inherit pkgs runtime revision; };
  tracedReleaseOf =
    revision:
    import ./release.nix {
      inherit pkgs revision;
      runtime = traced;
    };
  imageOf = revision: import ./image.nix { inherit pkgs runtime revision; };
in
{
  inherit
    app
    runtime
    releaseOf
    tracedReleaseOf
    imageOf
    ;
  formatter = pkgs.writeShellScriptBin "windlass-fmt" ''
    exec ${lib.getExe' pkgs.findutils "find"} . -name .venv -prune -o -name '*.nix' \
      -exec ${lib.getExe tools.nixfmt} {} +
  '';
  shell = import ./shell.nix { inherit pkgs programs tools; };
  appsOf =
    revision:
    import ./apps.nix {
      inherit pkgs tools;
      release = releaseOf revision;
    };
  checksOf =
    { self, revision }:
    import ./checks.nix {
      inherit
        pkgs
        programs
        tools
        source
        ;
      release = releaseOf revision;
      image = imageOf revision;
      application =
        let
          template = import ./template/flake.nix;
          made = template.outputs {
            inherit self;
            windlass = self;
          };
        in
        made.packages.${pkgs.stdenv.hostPlatform.system}.release;
    };
  vmTestOf =
    { self, revision }:
    import ./vm-test.nix {
      inherit pkgs self;
      release = releaseOf revision;
      broken = import ./broken-release.nix {
        inherit
          pkgs
          python
          programs
          app
          revision
          ;
      };
    };
}
