# The files of the checkout that builds may read, by purpose. What is named nowhere rebuilds nothing.
{ lib }:
let
  inherit (lib.fileset)
    difference
    fileFilter
    maybeMissing
    toSource
    unions
    ;
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
  # What the tests, lint and types look at: all but what a checkout makes for itself.
  all = toSource {
    inherit root;
    fileset = difference root (
      unions (
        map maybeMissing [
          ../.git
          ../.mypy_cache
          ../.pytest_cache
          ../.ruff_cache
          ../.state
          ../.venv
          ../.venv-security
        ]
      )
    );
  };
  nix = toSource {
    inherit root;
    fileset = nixFiles;
  };
}
