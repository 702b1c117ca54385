# The files of the checkout that builds may read, by purpose. What is named nowhere rebuilds nothing.
{ lib }:
let
  inherit (lib.fileset) toSource unions fileFilter;
  root = ../.;
  nixFiles = fileFilter (file: file.hasExt "nix") ../.;
  code = unions [
    (fileFilter (file: !file.hasExt "pyc") ../app)
    ../nginx
    ../supervisord.conf
    ../pyproject.toml
  ];
in
{
  # What the package is made of.
  app = toSource {
    inherit root;
    fileset = unions [
      code
      ../LICENSE
    ];
  };
  # What the tests, lint and types look at.
  all = toSource {
    inherit root;
    fileset = unions [
      code
      nixFiles
      ../.ci
      ../.env
      ../CHANGELOG.md
      ../LICENSE
      ../README.md
      ../benchmarks
      ../docs
      ../flake.lock
      ../nix
      ../requirements-binaries.txt
      ../requirements-dev.txt
      ../requirements-otel.txt
      ../requirements.txt
      ../run
      ../tests
    ];
  };
  nix = toSource {
    inherit root;
    fileset = nixFiles;
  };
}
