# The Python package. The build itself checks that nixpkgs' versions satisfy pyproject.toml.
{ lib, python }:
let
  source = import ./source.nix { inherit lib; };
  version = lib.head (
    builtins.match ".*__version__ = \"([^\"]+)\".*" (builtins.readFile ../app/__init__.py)
  );
in
python.pkgs.buildPythonApplication {
  pname = "windlass";
  inherit version;
  pyproject = true;
  src = source.app;

  # The README is for readers: without it, an edit of it builds nothing.
  postPatch = ''
    substituteInPlace pyproject.toml --replace-fail 'readme = "README.md"' ""
  '';

  build-system = [ python.pkgs.hatchling ];

  dependencies = with python.pkgs; [
    anyio
    click
    hiredis
    httptools
    msgspec
    psutil
    python-dotenv
    redis
    rich
    structlog
    supervisor
    tornado
    uvloop
  ];

  # Nginx sends these as they are, where they are smaller; `app.stack.render` decides that.
  postInstall = ''
    find $out/${python.sitePackages}/app/web/static -type f \
      -regex '.*\.\(css\|js\|json\|svg\|txt\)' -exec gzip --best --no-name --keep {} +
  '';

  # `checks.tests` runs the tests, so that an edit of one does not build the package anew.
  doCheck = false;
  pythonImportsCheck = [
    "app.cli"
    "app.serving"
    "app.stack.lifecycle"
  ];

  meta = {
    description = "A production runtime for a Tornado and Redis web service on servers that you own";
    license = lib.licenses.mit;
    mainProgram = "windlass";
    platforms = lib.platforms.unix;
  };
}
