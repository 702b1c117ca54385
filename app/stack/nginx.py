"""Nginx: its command, and the text of its configuration for a plan.

`nginx/nginx.conf` and the parts that it includes are the templates; this module has the values. A
directive that this build of Nginx lacks is left out where the service does without, and refused
with the setting that asks for it where it does not.
"""

from __future__ import annotations

import socket
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from tornado.template import Loader

from app.errors import StackError
from app.process.sockets import BACKLOG, addresses
from app.stack import launch, tls
from app.stack.layout import user_name

if TYPE_CHECKING:
    from pathlib import Path

    from app.config import Settings
    from app.stack.plan import Plan

# What Nginx may answer by itself; the application answers all else.
_ANSWERS = (400, 404, 405, 408, 411, 413, 414, 416, 421, 429, 431, 500, 501, 502, 503, 504, 505)
MAINTENANCE_RETRY_S = 60
_MARGIN_OF_PLAN_S = 5
_LEAST_READ_TIMEOUT_S = 60
_MOST_CONNECTIONS = 8192

_DATA_POLICY = "default-src 'none'; frame-ancestors 'none'"
_PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_PERMISSIONS = (
    "accelerometer", "camera", "display-capture", "geolocation", "gyroscope", "magnetometer",
    "microphone", "midi", "payment", "usb",
)  # fmt: skip
# The OWASP Secure Headers Project's set, for a service whose pages are its own.
SECURITY_HEADERS: Final = (
    ("Content-Security-Policy", "$content_policy"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("X-Permitted-Cross-Domain-Policies", "none"),
    ("Referrer-Policy", "no-referrer"),
    ("Permissions-Policy", ", ".join(f"{name}=()" for name in _PERMISSIONS)),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
)
# Of Mozilla's intermediate list those that need no parameters of their own (DHE does).
_CIPHERS = (
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
    "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
)


def argv(plan: Plan, executable: str | None = None) -> tuple[str, ...]:
    """The command of Nginx; further options may be added at its end.

    Args:
        plan: of the stack.
        executable: the path by which it is run; by default that of the plan's Nginx.
    """
    command = (executable or str(plan.nginx.path), "-p", str(plan.layout.state),
               "-c", str(plan.nginx_conf))  # fmt: skip
    # Older ones would open their compiled-in error log first, which only root may write.
    return (*command, "-e", "stderr") if plan.nginx.version >= (1, 19, 5) else command


def configuration(plan: Plan) -> str:
    """The text of the configuration.

    Raises:
        StackError: this Nginx lacks what a setting asks for, or the certificate does not serve.
    """
    settings, layout = plan.settings, plan.layout
    _require_modules(plan)
    values: dict[str, object] = {
        "user": user_name(),
        "workers": settings.worker_count,
        "run": layout.run,
        "state": layout.state,
        "maintenance": layout.maintenance,
        "backlog": BACKLOG,
        "worker_sockets": [
            layout.run / f"worker-{slot}.sock" for slot in range(settings.worker_count)
        ],
        "addresses": [
            at for port in settings.ports for at in listen_addresses(settings.host, port)
        ],
        "stylesheet": plan.static.stylesheet,
        "favicon": _published(plan, plan.static.favicon),
    }
    values |= _limits(settings) | _answers(settings) | _abilities(plan) | _tls(plan)
    loader = Loader(str(layout.conf / "nginx"), autoescape=None, whitespace="all")
    return loader.load("nginx.conf").generate(**values).decode()


def _published(plan: Plan, source: Path) -> Path:
    """Where a static file is published: a path that is the same for every release that has it.

    Nothing here may name the release's own folder. The text would differ from release to release,
    and Nginx, loading it anew, closes idle connections on which a client may just be sending.
    """
    names = [name for name, path in plan.static.files.items() if path == source]
    return plan.layout.static / names[0]


def listen_addresses(host: str, port: int) -> list[str]:
    """The addresses of a host name that this machine can listen on, as Nginx writes them."""
    return [
        f"[{ip}]:{port}" if family == socket.AF_INET6 else f"{ip}:{port}"
        for family, (ip, _) in addresses(host, port)
        if family != socket.AF_INET6 or _has_ipv6(ip)
    ]


def _require_modules(plan: Plan) -> None:
    settings = plan.settings
    needs = (
        (settings.has_tls, "http_ssl", "TLS_CERTIFICATE"),
        (bool(settings.trusted_proxies), "http_realip", "TRUSTED_PROXIES"),
    )
    for wanted, module, setting in needs:
        if wanted and not plan.nginx.has(module):
            raise StackError(
                f"{plan.nginx.path} was built without its module {module}, which {setting} needs; "
                f"install one that has it (nginx -V lists --with-{module}_module), or leave "
                f"{setting} empty"
            )


def _limits(settings: Settings) -> dict[str, object]:
    open_files = launch.open_files_limit()
    return {
        "open_files": open_files,
        # What is left over: files, logs, connections that wait for a worker.
        "worker_connections": max(256, min(_MOST_CONNECTIONS, open_files // 2)),
        "client_timeout_s": settings.client_timeout_s,
        "max_body_bytes": settings.max_body_bytes,
        "trusted_proxies": settings.trusted_proxies,
        "rate_limit": settings.rate_limit_per_s,
        "rate_limit_burst": settings.rate_limit_burst,
        "connection_limit": settings.connection_limit,
        "allowed_hosts": settings.allowed_hosts,
        "http_redirect": settings.http_redirect,
        "read_timeout_s": max(_LEAST_READ_TIMEOUT_S, settings.plan_deadline_s + _MARGIN_OF_PLAN_S),
    }


def _answers(settings: Settings) -> dict[str, object]:
    problems = [(str(code), code, HTTPStatus(code).phrase) for code in _ANSWERS]
    return {
        "problems": [*problems, ("maintenance", 503, "Closed for maintenance")],
        "maintenance_retry_s": MAINTENANCE_RETRY_S,
        "security_headers": SECURITY_HEADERS,
        "data_policy": _DATA_POLICY,
        "page_policy": _PAGE_POLICY,
        "hsts_max_age_s": settings.hsts_max_age_s if settings.has_tls else 0,
    }


def _abilities(plan: Plan) -> dict[str, object]:
    """What this Nginx can do of what is good to have."""
    nginx = plan.nginx
    has_http2 = nginx.has("http_v2")
    return {
        "has_ssl": nginx.has("http_ssl"),
        "gzip_static": nginx.has("http_gzip_static"),
        "keepalive_min_timeout": nginx.version >= (1, 27, 4),
        "http2_directive": has_http2 and nginx.version >= (1, 25, 1),
        "http2_of_listen": has_http2 and nginx.version < (1, 25, 1),
    }


def _tls(plan: Plan) -> dict[str, object]:
    settings = plan.settings
    if settings.tls_certificate is None or settings.tls_key is None:
        return {"tls_addresses": [], "tls_suffix": ""}
    certificate, key = (
        path.expanduser().absolute() for path in (settings.tls_certificate, settings.tls_key)
    )
    return {
        "tls_addresses": listen_addresses(settings.host, settings.tls_port),
        "tls_suffix": "" if settings.tls_port == 443 else f":{settings.tls_port}",
        "certificate": certificate,
        "certificate_digest": tls.check(certificate, key),
        "key": key,
        "ciphers": _CIPHERS,
    }


def _has_ipv6(ip: str) -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind((ip, 0))
    except OSError:
        return False
    return True
