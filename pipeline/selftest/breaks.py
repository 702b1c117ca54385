"""What is broken, one thing at a time, and which command of the pipeline must notice.

Each break is an edit of a file that a person could make by mistake. Where the text that it replaces
is no longer there, the self-test fails by name: a break that changes nothing would prove nothing.
Nor would a command that is red for another reason: each break has the words by which it is known.
"""

from __future__ import annotations

from dataclasses import dataclass

_IDENTITY = ("./run", "ci", "--job", "test", "--", "-q", "tests/unit/test_identity.py")
_CHECK = ("./run", "ci", "--job", "check")
_SMOKE = ("./run", "ci", "--job", "smoke")
_WORKFLOWS = ("./run", "ci", "--job", "security", "--", "--only", "zizmor")
_SECRETS = ("./run", "ci", "--job", "security", "--", "--only", "secrets")
_GATE = ("./run", "ci", "--job", "gate", "--", "--only", "micro/calculator")
_VERIFY = ("./run", "ship", "verify", "bundle")
_VERDICT = ("./run", "ship", "verdict")


@dataclass(frozen=True, slots=True)
class Break:
    """One thing that is broken.

    Attributes:
        job: the job of the pipeline whose matter it is.
        what: in words.
        argv: the pipeline's own command, narrowed to what concerns it.
        file: below the root.
        old: what stands there; empty: the file is new, or its end.
        new: what stands there instead.
        says: what the command must say: that this is why it is red.
        committed: the command measures what is committed.
    """

    job: str
    what: str
    argv: tuple[str, ...]
    file: str
    old: str
    new: str
    says: str
    committed: bool = False


BREAKS = (
    Break("test", "a test expects what is not so", _IDENTITY, "tests/unit/test_identity.py",
          '"1.2.3-0123456")', '"1.2.3-0123457")', "FAILED tests/unit/test_identity.py"),
    Break("test", "the code does what no test expects", _IDENTITY, "app/identity.py",
          "built.commit[:7]", "built.commit[:8]", "FAILED tests/unit/test_identity.py"),
    Break("check", "a lint rule: an import that nothing uses", _CHECK, "app/identity.py",
          "import os\n", "import json\nimport os\n", "F401"),
    Break("check", "formatting: two spaces", _CHECK, "app/identity.py",
          "GIT_TIMEOUT_S = 5", "GIT_TIMEOUT_S  = 5", "1 file would be reformatted"),
    Break("check", "a type: text where a number is declared", _CHECK, "app/identity.py",
          'APP_NAME = "windlass"', 'APP_NAME: int = "windlass"', "Incompatible types"),
    Break("smoke", "a smoke test expects another answer", _SMOKE, "nix/smoke.py",
          r'b"Hello World!\n"', r'b"Hello Moon!\n"', "expected b'Hello Moon!"),
    Break("smoke", "the service gives another answer", _SMOKE, "app/web/health.py",
          r'b"OK\n"', r'b"Fine\n"', "found b'Fine"),
    Break("gate", "a benchmark fails", _GATE, "benchmarks/micro/expressions.py",
          "from __future__ import annotations\n",
          'from __future__ import annotations\n\nraise RuntimeError("broken")\n',
          "micro/calculator failed on the head: RuntimeError: broken", committed=True),
    Break("gate", "the calculator takes longer: it reads each expression three times", _GATE,
          "app/calculator/calculation.py", "evaluate(parse(", "evaluate(parse(expression) and "
          "parse(expression) and parse(", "Slower: micro/calculator cpu", committed=True),
    Break("security", "an action by its tag instead of its commit", _WORKFLOWS,
          ".github/workflows/ci.yml", "@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1", "@v7",
          "zizmor unpinned-uses"),
    Break("security", "a waiver's last day is over", _WORKFLOWS,
          "pipeline/security/waivers.toml", "expires = 2027-04-30", "expires = 2020-01-31",
          "expired on 2020-01-31"),
    Break("security", "a secret is committed", _SECRETS, "settings.sh", "",
          "export AWS_ACCESS_KEY_ID=" + "AKIA" + "QYLPMN5HHHFPZAM2\n",
          "AWS Access Key settings.sh"),
    Break("deploy", "a byte of the signed bundle is another", _VERIFY, "bundle/closure.tar",
          "whole", "w hole", "not as it was signed: closure.tar"),
    Break("deploy", "the bundle is signed by a key that is not in deploy.toml", _VERIFY,
          "bundle/ship.json.sig", "{signature}", "{other signature}",
          "no signature of a builder of deploy.toml"),
    Break("status", "a needed job was skipped, which GitHub alone takes for passed", _VERDICT,
          "needs.json", '"success"', '"skipped"', "skipped     check"),
)  # fmt: skip
