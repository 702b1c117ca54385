# Python 3.13 with nixpkgs' own packages, but for those that lack fixes or are older than
# pyproject.toml allows. Each replacement steps aside by itself once nixpkgs has caught up; then it
# can be removed, and `checks.contract` holds without it.
{ lib, python313 }:
let
  python = python313.override {
    self = python;
    packageOverrides =
      final: prev:
      let
        atLeast =
          version: package: replacement:
          if lib.versionAtLeast package.version version then package else replacement;
      in
      {
        # 6.5.8 closes holes in the parsing of requests and of multipart bodies.
        tornado = atLeast "6.5.8" prev.tornado (
          prev.tornado.overridePythonAttrs {
            version = "6.6.1";
            src = final.fetchPypi {
              pname = "tornado";
              version = "6.6.1";
              hash = lib.fakeHash;
            };
          }
        );

        # 0.8 brings llhttp 9.3, which the engine's strictness is tested against.
        httptools = atLeast "0.8" prev.httptools (
          prev.httptools.overridePythonAttrs {
            version = "0.9.0";
            src = final.fetchPypi {
              pname = "httptools";
              version = "0.9.0";
              hash = lib.fakeHash;
            };
          }
        );
      };
  };
in
python
