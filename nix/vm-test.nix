# Two machines: a deployer brings a release to a server by ssh, a bad release goes back by itself,
# and a rollback is one command. Slow; needs KVM: nix build .#vm-test
{
  pkgs,
  self,
  release,
  broken,
}:
let
  # nixpkgs' own keys for tests, which anybody can read.
  keys = import "${pkgs.path}/nixos/tests/ssh-keys.nix" pkgs;
  # The same code by another commit: what a deployment brings.
  next = import ./release.nix {
    inherit pkgs;
    inherit (release) runtime;
    revision = release.revision // {
      commit = "600d00000000000000000000000000000000600d";
    };
  };
  inventory = (pkgs.formats.toml { }).generate "deploy.toml" {
    environments.production.hosts = [ "root@server" ];
  };
in
pkgs.testers.runNixOSTest {
  name = "windlass-deployment";

  nodes.server = {
    imports = [ self.nixosModules.default ];
    services.windlass = {
      enable = true;
      package = release;
      workers = 2;
      openFirewall = true;
      settings.PORT = 8000;
    };
    # A deployment moves a profile of its own; the system's stays what it is.
    systemd.services.windlass = {
      environment.WINDLASS_PROFILE = pkgs.lib.mkForce "/nix/var/nix/profiles/windlass";
      preStart = "test -e /nix/var/nix/profiles/windlass";
    };
    services.openssh.enable = true;
    users.users.root.openssh.authorizedKeys.keys = [ keys.snakeOilPublicKey ];
    virtualisation.additionalPaths = [ release ];
  };

  nodes.deployer = {
    environment.systemPackages = [
      release
      pkgs.nix
      pkgs.curl
    ];
    environment.etc."windlass/deploy.toml".source = inventory;
    virtualisation.additionalPaths = [
      release
      next
      broken
    ];
    programs.ssh.extraConfig = ''
      Host server
        User root
        IdentityFile /root/.ssh/id
        StrictHostKeyChecking accept-new
    '';
  };

  testScript = ''
    import json

    def commit():
        answer = deployer.succeed("curl -fsS http://server:8000/metadata")
        return json.loads(answer)["last_commit_sha"]

    def deploy(release):
        return f"cd /etc/windlass && windlass deploy production --release {release}"

    start_all()
    server.succeed("nix-env -p /nix/var/nix/profiles/windlass --set ${release}")
    server.wait_for_unit("sshd")
    server.systemctl("restart windlass")
    server.wait_for_open_port(8000)
    deployer.succeed("install -D -m 600 ${keys.snakeOilPrivateKey} /root/.ssh/id")

    with subtest("the service serves behind Nginx, hardened"):
        assert deployer.succeed("curl -fsS http://server:8000/health") == "OK\n"
        # Of ten.
        server.succeed("systemd-analyze security --threshold=20 windlass.service")

    with subtest("a deployment fails no request"):
        deployer.execute(
            "(while sleep 0.05; do curl -fsS -m 5 http://server:8000/health || echo FAILED; done)"
            " >/tmp/answers 2>&1 & echo $! >/tmp/asking"
        )
        deployer.succeed(deploy("${next}"))
        deployer.succeed("kill $(cat /tmp/asking)")
        deployer.fail("grep FAILED /tmp/answers")
        assert commit() == "${next.revision.commit}"
        pid = server.succeed("systemctl show -P MainPID windlass").strip()

    with subtest("a bad release goes back by itself"):
        deployer.fail(deploy("${broken}"))
        assert commit() == "${next.revision.commit}"

    with subtest("a rollback is one command"):
        deployer.succeed("cd /etc/windlass && windlass rollback production")
        assert commit() == "${release.revision.commit}"
        assert pid == server.succeed("systemctl show -P MainPID windlass").strip()
        status = deployer.succeed("cd /etc/windlass && windlass status production")
        assert "${release.version}" in status
  '';
}
