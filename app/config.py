"""The settings: read once, checked whole, frozen.

Owns every environment variable that Windlass reads; nothing else in the package looks at the
environment. The real environment wins over the `.env` file, which wins over the default here.
`load` either returns settings that are right in every field or raises one `ConfigError` that
lists every fault.
"""

from __future__ import annotations

import difflib
import ipaddress
import os
import re
from dataclasses import dataclass, field, fields
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast
from urllib.parse import quote, urlsplit

from dotenv import dotenv_values

from app.errors import ConfigError, Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

T = TypeVar("T")


class Secret(str):
    """Text that never shows itself: `repr` and the settings' listing print asterisks.

    It stays a `str`, so that a client library can be handed it as it is.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'" if self else "''"


class Management(StrEnum):
    """Whether the stack runs its own Redis."""

    AUTO = "auto"
    YES = "yes"
    NO = "no"


class LogFormat(StrEnum):
    """How a log line is written."""

    AUTO = "auto"
    JSON = "json"
    CONSOLE = "console"


class LogLevel(StrEnum):
    """The least severe line that is written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class AccessLines(StrEnum):
    """For which requests a worker writes a line."""

    ALL = "yes"
    UNUSUAL = "unusual"
    NONE = "no"


class HttpEngine(StrEnum):
    """What speaks HTTP in a worker."""

    WINDLASS = "windlass"
    STOCK = "stock"


class _WrongValueError(Exception):
    """A value is not allowed; the message says what is."""


@dataclass(frozen=True, slots=True)
class Variable:
    """What is known of one environment variable.

    Attributes:
        default: the text used where neither the environment nor `.env` has the variable.
        parse: text to value; raises when the text is not allowed.
        meaning: one sentence for `windlass config --help`.
        allowed: what may stand there, for people.
    """

    default: str
    parse: Callable[[str], object]
    meaning: str
    allowed: str

    @property
    def is_secret(self) -> bool:
        """Whether its value must not be shown."""
        return isinstance(self.parse(self.default), Secret)


def _variable(default: str, parse: Callable[[str], object], allowed: str, meaning: str) -> Any:  # noqa: ANN401 - stands where a dataclass default of the field's own type is expected
    return field(metadata={"variable": Variable(default, parse, meaning, allowed)})


def _integer(low: int, high: int) -> tuple[Callable[[str], int], str]:
    allowed = f"a whole number from {low} to {high}"

    def parse(text: str) -> int:
        # Python's int() also takes "1_000", "+5" and other scripts' digits; a setting should not.
        if not re.fullmatch(r"[0-9]{1,12}", text) or not low <= int(text) <= high:
            raise _WrongValueError(allowed)
        return int(text)

    return parse, allowed


def _pattern(expression: str, allowed: str) -> tuple[Callable[[str], str], str]:
    def parse(text: str) -> str:
        if not re.fullmatch(expression, text):
            raise _WrongValueError(allowed)
        return text

    return parse, allowed


def _choice(kind: type[StrEnum]) -> tuple[Callable[[str], StrEnum], str]:
    allowed = ", ".join(kind)

    def parse(text: str) -> StrEnum:
        try:
            return kind(text.lower())
        except ValueError:
            raise _WrongValueError(f"one of {allowed}") from None

    return parse, f"one of {allowed}"


def _optional(
    inner: tuple[Callable[[str], T], str], meaning_of_empty: str
) -> tuple[Callable[[str], T | None], str]:
    parse, allowed = inner
    either = f"{allowed}, or empty ({meaning_of_empty})"

    def parse_optional(text: str) -> T | None:
        try:
            return parse(text) if text else None
        except _WrongValueError:
            raise _WrongValueError(either) from None

    return parse_optional, either


def _switch() -> tuple[Callable[[str], bool], str]:
    words = {"yes": True, "true": True, "on": True, "1": True}
    words |= {"no": False, "false": False, "off": False, "0": False}

    def parse(text: str) -> bool:
        try:
            return words[text.lower()]
        except KeyError:
            raise _WrongValueError("yes or no") from None

    return parse, "yes or no"


def _redis_url() -> tuple[Callable[[str], Secret], str]:
    allowed = "redis://, rediss:// or unix:// with a host or a path, or empty"

    def parse(text: str) -> Secret:
        try:
            parts = urlsplit(text)
            complete = bool(parts.path if parts.scheme == "unix" else parts.hostname)
            _ = parts.port  # raises when the port is no number
        except ValueError:
            raise _WrongValueError(allowed) from None
        # As redis-py reads them: in small letters, with both slashes.
        known = text.startswith(("redis://", "rediss://", "unix://"))
        if text and not (known and complete and not re.search(r"\s", text)):
            raise _WrongValueError(allowed)
        return Secret(text)

    return parse, allowed


def _workers() -> tuple[Callable[[str], int | None], str]:
    count, _ = _integer(1, 256)
    allowed = "a whole number from 1 to 256, or auto (one per CPU)"

    def parse(text: str) -> int | None:
        try:
            return None if text.lower() == "auto" else count(text)
        except _WrongValueError:
            raise _WrongValueError(allowed) from None

    return parse, allowed


def _text() -> tuple[Callable[[str], Secret], str]:
    return Secret, "any text"


def _token() -> tuple[Callable[[str], Secret], str]:
    allowed = "16 to 256 printable ASCII characters without spaces, or empty"

    def parse(text: str) -> Secret:
        if text and not re.fullmatch(r"[\x21-\x7e]{16,256}", text):
            raise _WrongValueError(allowed)
        return Secret(text)

    return parse, allowed


def _host() -> tuple[Callable[[str], str], str]:
    allowed = "a host name or an IP address"
    label = r"[A-Za-z0-9_-]{1,63}"
    name = re.compile(rf"(?=.{{1,253}}$)(?![-._]){label}(\.{label})*")

    def parse(text: str) -> str:
        if name.fullmatch(text):
            return text
        try:
            ipaddress.ip_address(text)
        except ValueError:
            raise _WrongValueError(allowed) from None
        return text

    return parse, allowed


def _list_of(
    one: Callable[[str], str], allowed: str
) -> tuple[Callable[[str], tuple[str, ...]], str]:
    every = f"{allowed}, separated by commas or spaces, or empty"

    def parse(text: str) -> tuple[str, ...]:
        try:
            return tuple(dict.fromkeys(one(item) for item in re.split(r"[,\s]+", text) if item))
        except ValueError:
            raise _WrongValueError(every) from None

    return parse, every


def _host_pattern(text: str) -> str:
    name = text.lower().removeprefix("*.")
    if name.startswith("[") and name.endswith("]"):
        return f"[{ipaddress.IPv6Address(name[1:-1])}]"
    label = r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
    if len(name) > 253 or not re.fullmatch(rf"{label}(\.{label})*", name):
        raise ValueError(text)
    return text.lower()


_HOST = _host()
_PORT = _integer(1, 65535)
_NETWORKS = _list_of(
    lambda text: str(ipaddress.ip_network(text)), "IP addresses or networks such as 10.0.0.0/8"
)
_HOST_PATTERNS = _list_of(
    _host_pattern, "host names such as example.org, or *.example.org for those beneath"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that can be set, one field per environment variable of the same name."""

    environment: str = _variable(
        "DEV",
        *_pattern(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}", "1 to 64 letters, digits, . _ - and spaces"),
        "Name of the environment, shown on the page: DEV, STAGING, PROD",
    )
    host: str = _variable("localhost", *_HOST, "Address on which the service listens")
    port: int = _variable("8000", *_PORT, "Port of the service")
    plan_port: int | None = _variable(
        "8888", *_optional(_PORT, "no second port"), "Second port, the production plan's customary"
    )
    workers: int | None = _variable("auto", *_workers(), "Worker processes")
    redis_host: str = _variable("localhost", *_HOST, "Host of Redis")
    redis_port: int = _variable("6379", *_PORT, "Port of Redis")
    redis_db: int = _variable("0", *_integer(0, 9999), "Number of the Redis database")
    redis_username: Secret = _variable("", *_text(), "User name for Redis (ACL)")
    redis_password: Secret = _variable("", *_text(), "Password for Redis")
    redis_url: Secret = _variable(
        "", *_redis_url(), "Address of Redis as a URL; where given, REDIS_HOST to _PASSWORD rest"
    )
    redis_managed: Management = _variable(
        "auto",
        *_choice(Management),
        "Whether the stack runs its own Redis: auto looks at REDIS_HOST:REDIS_PORT at the first "
        "start, uses what answers there, and else runs one of its own from then on",
    )
    redis_timeout_ms: int = _variable(
        "150", *_integer(10, 60_000), "Milliseconds after which an answer of Redis counts as none"
    )
    redis_connections: int = _variable(
        "16", *_integer(1, 1024), "Connections to Redis that a worker may hold"
    )
    plan_co2: bool = _variable(
        "yes", *_switch(), "Whether a production plan's cost counts CO2 allowances"
    )
    plan_processes: int = _variable(
        "1", *_integer(1, 64), "Large production plans that a worker computes at a time"
    )
    plan_queue: int = _variable(
        "8", *_integer(0, 1000), "Large production plans that may wait; beyond them: 503"
    )
    plan_deadline_s: int = _variable(
        "30", *_integer(1, 3600), "Seconds after which a production plan is given up: 503"
    )
    max_body_bytes: int = _variable(
        "2097152", *_integer(1024, 1 << 30), "Largest request body; more is answered 413"
    )
    tls_certificate: Path | None = _variable(
        "",
        *_optional((Path, "a file"), "no TLS"),
        "Certificate of the service with its chain, PEM; needs TLS_KEY",
    )
    tls_key: Path | None = _variable(
        "", *_optional((Path, "a file"), "no TLS"), "Private key of TLS_CERTIFICATE, PEM"
    )
    tls_port: int = _variable("8443", *_PORT, "Port of the service over TLS, where it has a key")
    http_redirect: bool = _variable(
        "no", *_switch(), "Whether plain HTTP is sent on to TLS_PORT; /health is answered on both"
    )
    hsts_max_age_s: int = _variable(
        "31536000",
        *_integer(0, 63_072_000),
        "Seconds for which a browser that came by TLS comes by nothing else (HSTS); 0: not asked",
    )
    allowed_hosts: tuple[str, ...] = _variable(
        "", *_HOST_PATTERNS, "Hosts that are served, others are answered 421; empty: any"
    )
    trusted_proxies: tuple[str, ...] = _variable(
        "",
        *_NETWORKS,
        "Proxies in front whose X-Forwarded-For and -Proto are believed; nobody else's are",
    )
    client_timeout_s: int = _variable(
        "10",
        *_integer(1, 600),
        "Seconds that a client may take for a request's head, and between two parts of its body "
        "or of the answer that it reads",
    )
    rate_limit_per_s: int = _variable(
        "0", *_integer(0, 1_000_000), "Requests a second from one address; beyond: 429; 0: any"
    )
    rate_limit_burst: int = _variable(
        "50", *_integer(0, 1_000_000), "Requests that an address may be ahead of RATE_LIMIT_PER_S"
    )
    connection_limit: int = _variable(
        "0",
        *_integer(0, 65_535),
        "Requests under way at a time from one address; beyond: 429; 0: any",
    )
    application: str = _variable(
        "app.web.application",
        *_pattern(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", "the name of a Python module"),
        "Module whose make_application() makes what is served; another service's release sets it",
    )
    http_engine: HttpEngine = _variable(
        "windlass",
        *_choice(HttpEngine),
        "What speaks HTTP in a worker: Windlass' engine, or stock Tornado",
    )
    access_log: AccessLines = _variable(
        "unusual",
        *_choice(AccessLines),
        "For which requests a worker writes a line: every one, those that fail or take a second "
        "(Nginx has a line for each anyway), or none",
    )
    metrics: bool = _variable(
        "yes", *_switch(), "Whether requests and the like are counted, for /metrics and the board"
    )
    operator_token: Secret = _variable(
        "",
        *_token(),
        "Who gives it sees /metrics and /status from anywhere; without, only this machine does",
    )
    otlp_endpoint: str | None = _variable(
        "",
        *_optional(
            _pattern(r"https?://[^\s/?#@]+(/[^\s?#]*)?", "http:// or https:// with a host"),
            "no traces are sent",
        ),
        "Where traces are sent by OTLP over HTTP, such as http://localhost:4318; needs "
        "windlass[otel]",
    )
    trace_percent: int = _variable(
        "100",
        *_integer(0, 100),
        "Of the requests that no trace is known of, how many begin one that is sent",
    )
    start_timeout_s: int = _variable(
        "30", *_integer(1, 600), "Seconds a worker may take to become ready"
    )
    drain_timeout_s: int = _variable(
        "10", *_integer(0, 600), "Seconds a stopping worker may take to finish its requests"
    )
    heartbeat_timeout_s: int = _variable(
        "30",
        *_integer(0, 3600),
        "Seconds after which a worker whose event loop stands still is replaced; 0: never",
    )
    probation_s: int = _variable(
        "1", *_integer(0, 600), "Seconds that new workers must last before a reload has succeeded"
    )
    standby_s: int = _variable(
        "0", *_integer(0, 86_400), "Seconds that old workers are kept after a reload, to go back to"
    )
    recycle_after_s: int = _variable(
        "0", *_integer(0, 31_536_000), "Seconds after which a worker is replaced; 0: never"
    )
    recycle_after_requests: int = _variable(
        "0", *_integer(0, 10**12 - 1), "Requests after which a worker is replaced; 0: never"
    )
    recycle_above_mb: int = _variable(
        "0", *_integer(0, 1_000_000), "Megabytes (PSS) above which a worker is replaced; 0: never"
    )
    log_level: LogLevel = _variable(
        "info", *_choice(LogLevel), "Least severe log line that is written"
    )
    log_format: LogFormat = _variable(
        "auto",
        *_choice(LogFormat),
        "Form of log lines; auto: console where ENVIRONMENT is DEV or DEVELOPMENT",
    )
    state_dir: Path | None = _variable(
        "",
        *_optional((Path, "a folder"), "see docs/operations.md"),
        "Folder of logs, sockets and the stack's own Redis",
    )

    @property
    def worker_count(self) -> int:
        """How many workers run: the setting, or the CPUs that this process may use."""
        return self.workers or len(os.sched_getaffinity(0))

    @property
    def ports(self) -> list[int]:
        """The ports of the service."""
        return [port for port in (self.port, self.plan_port) if port]

    @property
    def has_tls(self) -> bool:
        """Whether the service is reached by TLS too."""
        return self.tls_certificate is not None

    @property
    def addresses(self) -> list[str]:
        """Where the service is, as URLs: the page, and the production plan on its own port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        if host in {"0.0.0.0", "[::]"}:  # noqa: S104 - any address: this machine's own is one
            host = "localhost"
        paths = ("/", "/productionplan")
        plain = [
            f"http://{host}:{port}{path}" for port, path in zip(self.ports, paths, strict=False)
        ]
        return [f"https://{host}:{self.tls_port}/", *plain] if self.has_tls else plain

    @property
    def logs_json(self) -> bool:
        """Whether log lines are JSON."""
        if self.log_format is LogFormat.AUTO:
            return self.environment.upper() not in {"DEV", "DEVELOPMENT"}
        return self.log_format is LogFormat.JSON

    @property
    def redis_address(self) -> Secret:
        """Where Redis is, as one URL with its credentials."""
        if self.redis_url:
            return self.redis_url
        user = quote(self.redis_username, safe="")
        password = quote(self.redis_password, safe="")
        credentials = f"{user}:{password}@" if user or password else ""
        host = f"[{self.redis_host}]" if ":" in self.redis_host else self.redis_host
        return Secret(f"redis://{credentials}{host}:{self.redis_port}/{self.redis_db}")


VARIABLES: dict[str, Variable] = {
    f.name.upper(): cast("Variable", f.metadata["variable"]) for f in fields(Settings)
}
"""Every variable by name, in the order in which `windlass config` lists them."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Where settings come from: the environment, and the `.env` file beneath it."""

    environ: Mapping[str, str]
    env_file: Path | None

    def texts(self) -> dict[str, tuple[str, str]]:
        """The text in force for each variable and the name of its source."""
        from_file = self._from_file()
        found: dict[str, tuple[str, str]] = {}
        for name, variable in VARIABLES.items():
            if name in self.environ:
                found[name] = (self.environ[name].strip(), "environment")
            elif from_file.get(name) is not None:
                found[name] = (str(from_file[name]).strip(), str(self.env_file))
            else:
                found[name] = (variable.default, "default")
        return found

    def _from_file(self) -> dict[str, str | None]:
        if self.env_file is None:
            return {}
        try:
            return dict(dotenv_values(self.env_file, interpolate=False))
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(
                "The settings cannot be read:", [Fault(str(self.env_file), str(error))]
            ) from error

    def unknown(self) -> list[Fault]:
        """Names in `.env` that no setting has: each a likely slip of the pen, none an error."""
        return [_unknown(name) for name in self._from_file() if name not in VARIABLES]


def _unknown(name: str) -> Fault:
    close = difflib.get_close_matches(name, VARIABLES, n=1)
    return Fault(
        name, "is not a setting of Windlass" + (f"; did you mean {close[0]}?" if close else "")
    )


def load(sources: Sources, *, lenient: bool = False) -> Settings:
    """Read and check every setting.

    Args:
        sources: where to read them.
        lenient: put the default in the place of a wrong value. For commands that must work on a
            stack whose settings were broken after it came up, such as `windlass down`.

    Raises:
        ConfigError: with every wrong value, each with what is allowed.
    """
    values: dict[str, object] = {}
    faults: list[Fault] = []
    for name, (text, source) in sources.texts().items():
        variable = VARIABLES[name]
        try:
            values[name.lower()] = variable.parse(text)
        except _WrongValueError as error:
            values[name.lower()] = variable.parse(variable.default)
            shown = "" if variable.is_secret else f" {text!r}"
            faults.append(Fault(name, f"the value{shown} from {source} is wrong; allowed: {error}"))
    if values["port"] == values["plan_port"]:
        values["plan_port"] = None  # one port serves everything
    faults += _contradictions(values, lenient=lenient)
    if faults and not lenient:
        raise ConfigError("These settings are wrong (`windlass config --help` explains):", faults)
    return Settings(**cast("dict[str, Any]", values))


def _contradictions(values: dict[str, object], *, lenient: bool) -> list[Fault]:
    """What each setting allows, and another does not; put right where `lenient`."""
    faults: list[Fault] = []
    has_key = values["tls_key"] is not None
    if has_key != (values["tls_certificate"] is not None):
        given, lacking = (
            ("TLS_KEY", "TLS_CERTIFICATE") if has_key else ("TLS_CERTIFICATE", "TLS_KEY")
        )
        faults.append(Fault(given, f"needs {lacking}; set both, or neither"))
    elif has_key and values["tls_port"] in {values["port"], values["plan_port"]}:
        faults.append(Fault("TLS_PORT", "is the port of plain HTTP too; set it to another"))
    elif not has_key and values["http_redirect"]:
        faults.append(
            Fault("HTTP_REDIRECT", "needs TLS_CERTIFICATE and TLS_KEY, to have where to send on to")
        )
    if faults and lenient:
        values |= {"tls_key": None, "tls_certificate": None, "http_redirect": False}
    return faults
