# Virtual machines: a deployer brings releases to a server by ssh, a bad one goes back by itself, a
# rollback is one command; and a NixOS server runs the module. Slow; needs KVM: nix build .#vm-test
#
# What is done is in nix/deployment/, which tests/integration/test_nix_deployment.py runs as well, on
# machines that need no KVM.
{
  pkgs,
  self,
  release,
  broken,
}:
let
  inherit (pkgs) lib;
  # nixpkgs' own keys for tests, which anybody can read.
  keys = import "${pkgs.path}/nixos/tests/ssh-keys.nix" pkgs;
  # The same code by other commits. A dirty tree is nobody's commit, so both are set.
  of =
    digit:
    import ./release.nix {
      inherit pkgs;
      inherit (release) runtime;
      revision = release.revision // {
        commit = lib.concatStrings (lib.replicate 40 digit);
      };
    };
  first = of "a";
  next = of "b";
in
pkgs.testers.runNixOSTest {
  name = "windlass-deployment";

  # A server as `windlass setup` finds one: sshd, Nix, systemd.
  nodes.server = {
    networking.firewall.allowedTCPPorts = [ 8000 ];
    services.openssh = {
      enable = true;
      authorizedKeysInHomedir = true;
    };
    users.users.root.openssh.authorizedKeys.keys = [ keys.snakeOilEd25519PublicKey ];
    virtualisation.writableStore = true;
  };

  nodes.deployer = {
    environment.systemPackages = [
      first
      pkgs.curl
    ];
    virtualisation.additionalPaths = [
      first
      next
      broken
    ];
  };

  nodes.nixos = {
    imports = [ self.nixosModules.default ];
    services.windlass = {
      enable = true;
      package = first;
      workers = 2;
      openFirewall = true;
    };
  };

  testScript = ''
    ${builtins.readFile ./deployment/steps.py}

    start_all()
    nixos.wait_for_unit("windlass")
    nixos.wait_for_open_port(8000)
    with subtest("the module's service serves behind Nginx, hardened"):
        assert deployer.succeed("curl -fsS http://nixos:8000/health") == "OK\n"
        # Of a hundred.
        nixos.succeed("systemd-analyze security --threshold=20 windlass.service")

    server.wait_for_unit("sshd")
    # NixOS makes its units itself and locks them; `windlass setup` is for servers that do not.
    server.succeed(
        "cp -r --no-dereference /etc/systemd/system/. /etc/systemd/own",
        "rm /etc/systemd/system",
        "mv /etc/systemd/own /etc/systemd/system",
        "chmod -R u+w /etc/systemd/system",
        "systemctl daemon-reload",
    )
    deployer.succeed("install -D -m 600 ${keys.snakeOilEd25519PrivateKey} /root/.ssh/id_ed25519")

    run = Deployment(deployer, server, "server")
    with subtest("keys and setup"):
        run.make_keys(deployer.succeed("cat ${./deployment/deploy.toml}"))
        run.set_up("${first}")
        server.succeed("systemd-analyze security --threshold=20 windlass.service")
        server.succeed("systemd-analyze security --threshold=20 windlass-guard.service")
    with subtest("the first release"):
        run.deploy_first("${first}")
    with subtest("the next one fails no request"):
        run.deploy_next("${next}")
    with subtest("a bad release goes back by itself"):
        run.deploy_bad("${broken}", "${next}")
    with subtest("a rollback is one command"):
        run.roll_back("${first}")
    with subtest("what is wrong is refused"):
        run.refuse()
  '';
}
