"""A release to a server, from its keys to the way back, as docs/deploying.md tells people to do it.

Two drivers run this: that of NixOS' tests on virtual machines (`nix/vm-test.nix`), and
`tests/integration/test_nix_deployment.py` on machines that are namespaces. So it asks of a machine
only what both can do, and stands alone: NixOS' driver puts its text behind definitions of its own,
among them a Protocol.
"""

import json
import shlex
import typing

SITE = "/root/site"
SERVICE = "http://{address}:8000"
SETTINGS = "HOST=0.0.0.0\nPORT=8000\nPLAN_PORT=\nWORKERS=2\nREDIS_MANAGED=yes\nLOG_FORMAT=json\n"
STATE = "/var/lib/windlass"
SUPERVISOR_PID = f"cat {STATE}/stack/run/supervisord.pid"
_LEAST_ANSWERS = 20


class Machine(typing.Protocol):
    """What is asked of a machine: shell commands by its root."""

    def succeed(self, *commands: str) -> str:
        """Run them; each must exit with 0. Returns what they print."""

    def execute(self, command: str) -> tuple[int, str]:
        """Run one; returns its exit code and what it prints."""


class Deployment:
    """One server and who deploys to it.

    Args:
        deployer: has `windlass` and every release; its root may log in to the server's.
        server: has sshd, Nix and systemd, and nothing of Windlass.
        address: of the server.
    """

    def __init__(self, deployer: Machine, server: Machine, address: str) -> None:
        self.deployer, self.server, self.address = deployer, server, address

    def windlass(self, words: str, *wanted: str, code: int = 0) -> None:
        """Run windlass where deploy.toml is; it must exit with `code` and say what is wanted."""
        found, said = self.deployer.execute(f"cd {SITE} && windlass {words} 2>&1")
        missing = [text for text in wanted if text not in said]
        if found != code or missing:
            raise AssertionError(f"windlass {words}: {found}, not {code}; lacks {missing}:\n{said}")

    def require_served(self, release: str) -> None:
        """Raise unless the commit of a release answers."""
        url = SERVICE.format(address=self.address) + "/metadata"
        found = json.loads(self.deployer.succeed(f"curl -fsS {url}"))["last_commit_sha"]
        if found != self._commit(release):
            raise AssertionError(f"{found} serves, not {release}")

    def _commit(self, release: str) -> str:
        said = self.deployer.succeed(f"cat {release}/release.json")
        return str(json.loads(said)["commit"])

    def make_keys(self, template: str) -> None:
        """Make every key, and fill in a deploy.toml by them."""
        self.deployer.succeed(
            f"mkdir -p {SITE}/keys",
            f"cd {SITE} && ssh-keygen -q -t ed25519 -N '' -f keys/deploy",
            f"cd {SITE} && ssh-keygen -q -t ed25519 -N '' -f keys/builder",
            f"cd {SITE} && nix-store --generate-binary-cache-key site-1 keys/store keys/store.pub",
        )
        values = {
            "address": self.address,
            "builder": key_of(self.deployer.succeed(f"cat {SITE}/keys/builder.pub")),
            "store": self.deployer.succeed(f"cat {SITE}/keys/store.pub").strip(),
            # As a person reads it on the server's console.
            "host": key_of(self.server.succeed("cat /etc/ssh/ssh_host_ed25519_key.pub")),
        }
        text = shlex.quote(filled(template, values))
        self.deployer.succeed(f"printf %s {text} >{SITE}/deploy.toml")

    def set_up(self, release: str) -> None:
        """Prepare the server; the second time nothing is to be done."""
        setup = f"setup production --release {release}"
        self.windlass(setup, "changed")
        self.windlass(f"{setup} --dry-run", "is so")
        self.deployer.succeed(f"! (cd {SITE} && windlass {setup} --dry-run) | grep 'would change'")
        self.server.succeed(f"printf %s {shlex.quote(SETTINGS)} >>{STATE}/settings.env")
        self.windlass("status production", "nothing is deployed", code=1)

    def deploy_first(self, release: str) -> None:
        """See what would change, and bring the first release."""
        self.windlass(f"plan production --release {release}", release)
        self.windlass(f"deploy production --release {release}", "succeeded")
        self.windlass("status production", "healthy")
        self.require_served(release)

    def deploy_next(self, release: str) -> None:
        """Bring another one: no request fails, and supervisord stays the process that it is."""
        before = self.server.succeed(SUPERVISOR_PID)
        url = SERVICE.format(address=self.address) + "/health"
        self.deployer.succeed(
            f"(while sleep 0.05; do curl -fsS -m 10 {url} || echo FAILED; done)"
            " >/tmp/answers 2>&1 & echo $! >/tmp/asking"
        )
        self.windlass(f"deploy production --release {release}", "succeeded")
        self.deployer.succeed("kill $(cat /tmp/asking)")
        answers = self.deployer.succeed("cat /tmp/answers").split()
        if len(answers) < _LEAST_ANSWERS or set(answers) != {"OK"}:
            raise AssertionError(f"{len(answers)} answers, among them {sorted(set(answers))}")
        self.require_served(release)
        if self.server.succeed(SUPERVISOR_PID) != before:
            raise AssertionError("supervisord was started anew")

    def deploy_bad(self, release: str, before: str) -> None:
        """Bring one whose workers never become ready: the server comes back by itself."""
        self.windlass(f"deploy production --release {release}", "FAILED", "is back", code=1)
        self.windlass("status production", "healthy")
        self.require_served(before)

    def roll_back(self, release: str) -> None:
        """Return to a release by its commit; the command without one tells what there is."""
        self.windlass("rollback production", release)
        self.windlass(f"rollback production {self._commit(release)[:7]}", "succeeded")
        self.require_served(release)
        self.windlass("audit production", "rollback")

    def refuse(self) -> None:
        """A wrong word touches nothing and has an exit code of its own."""
        self.windlass("status nowhere", "there are: production", code=78)
        self.windlass("rollback production 0123456", "names no release", code=1)


def filled(template: str, values: dict[str, str]) -> str:
    """A template with the values where their names stand between at signs."""
    for name, value in values.items():
        template = template.replace(f"@{name}@", value)
    return template


def key_of(public: str) -> str:
    """A public key without its comment."""
    return " ".join(public.split()[:2])
