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
              hash = "sha256-KOYxFAKvWciwLj+g9efY60ZbJQgTgYA7En2X5qQ5XVo=";
            };
            # nixpkgs leaves out tests that an archive of PyPI does not have, which is an error.
            disabledTestPaths = [ ];
          }
        );

        # 0.8 brings llhttp 9.3, which the engine's strictness is tested against.
        httptools = atLeast "0.8" prev.httptools (
          prev.httptools.overridePythonAttrs {
            version = "0.9.0";
            src = final.fetchPypi {
              pname = "httptools";
              version = "0.9.0";
              hash = "sha256-1ITrt+Oj81l7D2RfvRuFYzZ0yoCMH1uhHCyvfGb1yLY=";
            };
          }
        );
      };
  };
in
python
