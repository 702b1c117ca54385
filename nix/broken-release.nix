# A release that cannot serve, for tests of the way back: `windlass check` passes, its workers do
# not become ready.
{
  pkgs,
  python,
  programs,
  app,
  revision,
}:
let
  broken = app.overridePythonAttrs (old: {
    postPatch = old.postPatch + ''
      substituteInPlace app/serving.py \
        --replace-fail 'PROBE_PATH = "/health"' 'PROBE_PATH = "/broken-on-purpose"'
    '';
  });
  runtime = import ./runtime.nix {
    inherit pkgs python programs;
    app = broken;
    modules = [ broken ];
  };
in
import ./release.nix {
  inherit pkgs runtime;
  revision = revision // {
    commit = "bad0000000000000000000000000000000000bad";
  };
}
