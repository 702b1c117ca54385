# `nix run .#NAME`. What needs a checkout (the benchmarks, the faults) runs from the current folder.
{
  pkgs,
  release,
  tools,
}:
let
  inherit (pkgs) lib;
  app = description: program: {
    type = "app";
    inherit program;
    meta = { inherit description; };
  };
  windlass =
    arguments:
    lib.getExe (
      pkgs.writeShellScriptBin "windlass-${lib.head (lib.splitString " " arguments)}" ''
        exec ${lib.getExe release} ${arguments} "$@"
      ''
    );
  # The benchmarks measure the checkout that they stand in.
  fromCheckout =
    command:
    lib.getExe (
      pkgs.writeShellScriptBin "windlass-${command}" ''
        [ -f ./run ] || { echo 'run this in a checkout of Windlass' >&2; exit 1; }
        export PATH=${lib.makeBinPath [ release ]}:$PATH
        export WINDLASS_PYTHON=${tools.environment.interpreter}
        exec ./run ${command} "$@"
      ''
    );
in
{
  default = app "Start the whole stack" (windlass "up");
  deploy = app "Deploy this release: nix run .#deploy -- ENV" (
    lib.getExe (
      pkgs.writeShellScriptBin "windlass-deploy" ''
        exec ${lib.getExe release} deploy "$@" --release ${release}
      ''
    )
  );
  bench = app "Measure beside others" (fromCheckout "bench");
  chaos = app "Break what can break, under load" (fromCheckout "chaos");
  update = app "Bring flake.lock and the locked requirements up to date" (fromCheckout "update");
}
