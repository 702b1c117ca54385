# What a release says of itself, as `app.identity` reads it.
{
  lib,
  runtime,
  revision,
}:
let
  isCommit = builtins.match "[0-9a-f]{40}" revision.commit != null;
  short = if isCommit then lib.substring 0 7 revision.commit else "development";
in
rec {
  tag = "${runtime.version}-${short}";
  name = "${runtime.pname}-${tag}";
  text = builtins.toJSON {
    name = runtime.pname;
    inherit (runtime) version description;
    inherit (revision) commit time nixpkgs;
    release = tag;
  };
}
