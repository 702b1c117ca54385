# lib.mkRelease: another team's Tornado application on this runtime, from its own flake.
#
#   packages.x86_64-linux.release = windlass.lib.mkRelease {
#     inherit self windlass;
#     system = "x86_64-linux";
#     pname = "hello";
#     version = "1.0.0";
#     description = "Greets who comes";     # for /metadata and the image
#     src = ...;                            # a Python project with a pyproject.toml, and no more: an
#                                           # edit of any file of it builds the service anew
#     application = "hello.application";    # has make_application(), see app/web/application.py
#     dependencies = packages: [ packages.markdown ];
#   };
#
# Returns the release; `.image` of it is the image, `.runtime` all but the commit.
{
  self,
  windlass,
  system,
  pname,
  version,
  description ? "",
  license ? null,
  homepage ? null,
  src,
  application,
  nixpkgs ? windlass.inputs.nixpkgs,
  build-system ? packages: [ packages.hatchling ],
  dependencies ? _: [ ],
}:
let
  pkgs = nixpkgs.legacyPackages.${system};
  inherit (pkgs) lib;
  ours = import ./. { inherit pkgs; };
  inherit (ours.runtime) python programs app;
  service = python.pkgs.buildPythonPackage {
    inherit pname version src;
    pyproject = true;
    build-system = build-system python.pkgs;
    # What it asks of Windlass by name is there when it is imported below.
    dependencies = [ (python.pkgs.toPythonModule app) ] ++ dependencies python.pkgs;
    pythonImportsCheck = [ application ];
    doCheck = false;
  };
  runtime = import ./runtime.nix {
    inherit
      pkgs
      python
      programs
      app
      pname
      version
      description
      license
      homepage
      application
      ;
    modules = [
      app
      service
    ];
  };
  revision = import ./revision.nix { inherit lib self nixpkgs; };
  release = import ./release.nix { inherit pkgs runtime revision; };
in
release
// {
  inherit runtime;
  image = import ./image.nix { inherit pkgs runtime revision; };
}
