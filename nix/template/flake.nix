{
  description = "A Tornado application on the runtime of Windlass";

  # The address under which you have Windlass; `git+https://…` and a path work as well.
  inputs.windlass.url = "windlass";

  outputs =
    { self, windlass }:
    let
      systems = [
        "x86_64-linux"
        "aarch64-linux"
      ];
      inherit (windlass.inputs.nixpkgs) lib;
    in
    {
      packages = lib.genAttrs systems (system: rec {
        release = windlass.lib.mkRelease {
          inherit self windlass system;
          pname = "hello";
          version = "0.1.0";
          description = "Greets who comes";
          # Only these: an edit of the README builds nothing.
          src = lib.fileset.toSource {
            root = ./.;
            fileset = lib.fileset.unions [
              ./pyproject.toml
              ./hello
            ];
          };
          application = "hello.application";
        };
        inherit (release) image;
        default = release;
      });
    };
}
