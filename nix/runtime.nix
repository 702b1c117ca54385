# All that runs in production but the name of the commit: the Python environment, Nginx, Redis, and
# the commands. It stays the same store path for as long as no source of it changes.
#
# modules: Python packages that the service consists of; pname, version, description, license and
# homepage: its own; application: the module that makes it, where that is not Windlass' own.
{
  pkgs,
  python,
  programs,
  app,
  modules,
  pname ? "windlass",
  version ? app.version,
  description ? "${app.meta.description}.",
  license ? app.meta.license,
  homepage ? null,
  application ? null,
}:
let
  inherit (pkgs) lib;
  environment = python.withPackages (packages: map packages.toPythonModule modules);
in
pkgs.runCommand "${pname}-runtime-${version}"
  {
    nativeBuildInputs = [ pkgs.makeBinaryWrapper ];
    passthru = {
      inherit
        app
        environment
        python
        programs
        pname
        version
        description
        license
        homepage
        ;
      # By name, for what shows an update.
      versions =
        lib.listToAttrs (
          map (package: lib.nameValuePair package.pname package.version) app.dependencies
        )
        // {
          python = python.version;
          nginx = programs.nginx.version;
          redis-server = programs.redis.version;
        };
    };
    meta.mainProgram = "windlass";
  }
  ''
    # Not `bin/windlass` of the environment: what Windlass starts it starts by `sys.executable`,
    # which must be the environment's own. `-P`: a folder `app` in the current one is not ours.
    # PYTHONPATH: a stack that goes from release to release has that of the one it came up with.
    makeBinaryWrapper ${environment.interpreter} $out/bin/windlass \
      --add-flags "-P -m app" \
      --unset PYTHONPATH \
      ${lib.optionalString (application != null) "--set APPLICATION ${application}"} \
      --set WINDLASS_PROGRAMS ${lib.makeBinPath (lib.attrValues programs)}
    for program in ${environment}/bin/supervisord ${environment}/bin/supervisorctl \
        ${lib.getExe programs.nginx} ${programs.redis}/bin/redis-{server,cli}
    do
      ln -s $program $out/bin/
    done
  ''
