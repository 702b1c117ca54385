# What is deployed: one store path, the runtime and the name of what it is. `release.json` says which
# source it was made from; `bin/windlass` carries the same text to the service; `share/windlass` has
# the configuration as it is rendered by default.
{
  pkgs,
  runtime,
  revision,
}:
let
  description = import ./description.nix {
    inherit (pkgs) lib;
    inherit runtime revision;
  };
  configuration = import ./configuration.nix { inherit pkgs runtime; };
  unit = ./windlass.service;
in
pkgs.runCommand description.name
  {
    nativeBuildInputs = [ pkgs.makeBinaryWrapper ];
    release = description.text;
    passAsFile = [ "release" ];
    passthru = {
      inherit runtime revision configuration;
      inherit (runtime) app version versions;
    };
    meta.mainProgram = "windlass";
  }
  ''
    mkdir -p $out/bin $out/share $out/lib/systemd/system $out/lib/sysusers.d
    cp $releasePath $out/release.json
    makeBinaryWrapper ${runtime}/bin/windlass $out/bin/windlass \
      --set WINDLASS_RELEASE "$(cat $releasePath)"
    for program in ${runtime}/bin/*; do
      [ -e $out/bin/$(basename $program) ] || ln -s $program $out/bin/
    done
    cp -r ${configuration} $out/share/windlass
    cp ${unit} $out/lib/systemd/system/windlass.service
    cp ${./windlass.sysusers} $out/lib/sysusers.d/windlass.conf
  ''
