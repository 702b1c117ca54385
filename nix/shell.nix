# `nix develop`: the Python, Nginx and Redis of production, and the tools. `./run` and `windlass` run
# from the checkout by this Python; no virtual environment is made.
{
  pkgs,
  programs,
  tools,
}:
pkgs.mkShell {
  packages = [
    tools.environment
    programs.nginx
    programs.redis
    pkgs.git
    (pkgs.writeShellScriptBin "windlass" ''
      exec "$WINDLASS_CHECKOUT/run" windlass "$@"
    '')
  ];

  # See `./run`: the interpreter of an environment that is whole already.
  WINDLASS_PYTHON = tools.environment.interpreter;

  shellHook = ''
    export WINDLASS_CHECKOUT=$(git rev-parse --show-toplevel 2>/dev/null || pwd)
  '';
}
