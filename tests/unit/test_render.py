"""The configuration that settings become; supervisord's is read back by supervisord's own parser.

Nginx's is read by a real Nginx in the integration tests.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import shlex
import shutil
import socket
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from supervisor.options import ServerOptions

from app.config import Sources, load
from app.errors import StackError
from app.server.engine import MAX_HEAD_BYTES
from app.stack import launch, layout, nginx, render
from app.stack.binaries import Binary
from app.stack.plan import Plan, StaticFiles
from tests.nginx_front import make_certificate

if TYPE_CHECKING:
    from collections.abc import Iterator

NGINX = Binary(Path("/opt/n g/nginx"), (1, 22, 1), "--with-http_gzip_static_module --with-threads")
REDIS = Binary(Path("/opt/redis-server"), (7, 0), "")


@pytest.fixture
def state() -> Iterator[Path]:
    """A folder whose name has what a shell, supervisord or Nginx could trip over."""
    folder = Path(tempfile.mkdtemp(prefix="a b'c#d,", dir="/tmp"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def plan(state: Path) -> Plan:
    return plan_of(state)


def plan_of(state: Path, redis: Binary | None = REDIS, **environ: str) -> Plan:
    defaults = {"STATE_DIR": str(state), "HOST": "127.0.0.1", "WORKERS": "2"}
    settings = load(Sources(defaults | environ, None))
    folders = layout.find(settings)
    folders.prepare()
    favicon = state / "favicon.svg"
    favicon.write_text("<svg/>")
    static = StaticFiles({"favicon.0.svg": favicon}, "/static/w.0.css", favicon)
    return Plan(settings, folders, NGINX, redis, static, folders.rendered)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def directive(text: str, name: str) -> list[str]:
    """The arguments of each directive of this name, as they are written."""
    return re.findall(rf"^\s*{name}\s+(.*);$", text, re.MULTILINE)


def listeners(plan: Plan) -> list[str]:
    """The addresses at which the configuration listens."""
    return [text.split()[0] for text in directive(nginx.configuration(plan), "listen")]


def read_by_supervisord(plan: Plan) -> Any:  # noqa: ANN401 - supervisor has no types
    render.write(plan)
    options = ServerOptions()
    options.realize(["-c", str(plan.supervisord_conf)], doc="")
    return options


# ---- Nginx


def test_nginx_listens_on_both_ports(plan: Plan) -> None:
    assert listeners(plan) == ["127.0.0.1:8000", "127.0.0.1:8888"]


def test_nginx_listens_on_one_port_without_a_plan_port(state: Path) -> None:
    plan = plan_of(state, PORT="9000", PLAN_PORT="")
    assert listeners(plan) == ["127.0.0.1:9000"]


def test_nginx_balances_over_the_socket_of_every_worker(state: Path) -> None:
    text = nginx.configuration(plan_of(state, WORKERS="3"))
    assert directive(text, "worker_processes") == ["3"]
    assert directive(text, "server") == [
        f'"unix:{state}/run/worker-{slot}.sock" max_fails=0' for slot in range(3)
    ]


def test_nginx_refuses_a_body_larger_than_the_setting(state: Path) -> None:
    text = nginx.configuration(plan_of(state, MAX_BODY_BYTES="4096"))
    assert directive(text, "client_max_body_size") == ["4096"]


def test_container_logs_to_standard_output(plan: Plan) -> None:
    for process in programs_of(replace(plan, logs_to_stdout=True)):
        assert process.stdout_logfile == "/dev/stdout"
        assert process.stdout_logfile_maxbytes == 0
    for process in programs_of(plan):
        assert process.stdout_logfile == str(plan.layout.logs / f"{process.name}.log")


def programs_of(plan: Plan) -> list[Any]:
    groups = read_by_supervisord(plan).process_group_configs
    return [process for group in groups for process in group.process_configs]


def test_gzip_static_is_left_out_where_the_build_of_nginx_lacks_it(plan: Plan) -> None:
    assert directive(nginx.configuration(plan), "gzip_static") == ["on"]
    lacking = replace(plan, nginx=replace(NGINX, build="nginx version: nginx/1.22.1\n--with-debug"))
    assert directive(nginx.configuration(lacking), "gzip_static") == []


@pytest.mark.parametrize(("version", "found"), [((1, 27, 3), []), ((1, 27, 4), ["5s"])])
def test_kept_alive_clients_get_time_at_a_reload_where_nginx_can(
    plan: Plan, version: tuple[int, ...], found: list[str]
) -> None:
    text = nginx.configuration(replace(plan, nginx=replace(NGINX, version=version)))
    assert directive(text, "keepalive_min_timeout") == found


def test_every_path_in_nginxs_configuration_is_quoted(plan: Plan, state: Path) -> None:
    text = nginx.configuration(plan)
    assert f'pid "{state}/run/nginx.pid";' in text
    assert f'alias "{plan.layout.static}/favicon.0.svg";' in text
    places = [match.start() for match in re.finditer(re.escape(str(state)), text)]
    assert len(places) >= 9
    for place in places:
        start = text.rindex("\n", 0, place)
        assert text.count('"', start, place) % 2 == 1, text[start : place + 60]


def test_nginx_runs_as_root_only_where_root_starts_it(plan: Plan) -> None:
    assert directive(nginx.configuration(plan), "user") == (["root"] if os.geteuid() == 0 else [])


def test_nginx_answers_each_error_in_both_forms(plan: Plan) -> None:
    text = nginx.configuration(plan)
    pages = [page for page in directive(text, "error_page") if "=" not in page]
    codes = [page.split()[0] for page in pages]
    assert {"404", "413", "502", "504"} <= set(codes)
    answers = re.findall(r"return (\d+) '(\{.*\})\\n';", text)
    assert [code for code, _ in answers] == [*codes, "503"], "and one for maintenance"
    for code, body in answers:
        problem = json.loads(body.replace("$request_id", "r"))
        assert problem["status"] == int(code)
        assert problem["type"] == "about:blank"
        assert problem["title"]
        assert problem["request_id"] == "r"
    assert text.count('href="/static/w.0.css"') == len(answers)


def test_every_added_header_field_is_at_the_top_where_nothing_hides_it(plan: Plan) -> None:
    text = nginx.configuration(plan)
    lines = [line for line in text.splitlines() if "add_header" in line and "#" not in line]
    assert len(lines) > 10
    assert all(re.match(r" {4}add_header .* always;$", line) for line in lines)


def test_limits_on_clients_follow_the_settings(state: Path) -> None:
    text = nginx.configuration(plan_of(state, CLIENT_TIMEOUT_S="7"))
    for name in ("client_header_timeout", "client_body_timeout", "send_timeout"):
        assert directive(text, name) == ["7s"]
    assert directive(text, "limit_req") == directive(text, "limit_conn") == []
    text = nginx.configuration(
        plan_of(state, RATE_LIMIT_PER_S="5", RATE_LIMIT_BURST="9", CONNECTION_LIMIT="3")
    )
    assert directive(text, "limit_req") == ["zone=requests burst=9 nodelay"]
    assert directive(text, "limit_req_zone") == ["$limited_client zone=requests:10m rate=5r/s"]
    assert directive(text, "limit_conn") == ["connections 3"]
    text = nginx.configuration(plan_of(state, RATE_LIMIT_PER_S="5", RATE_LIMIT_BURST="0"))
    assert directive(text, "limit_req") == ["zone=requests"]


def test_worker_has_longer_for_a_plan_than_the_plan_may_take(state: Path) -> None:
    for deadline_s, least_s in (("1", 60), ("600", 601)):
        text = nginx.configuration(plan_of(state, PLAN_DEADLINE_S=deadline_s))
        (timeout,) = directive(text, "proxy_read_timeout")
        assert int(timeout.removesuffix("s")) >= least_s


def test_head_that_nginx_passes_on_is_one_that_a_worker_reads(plan: Plan) -> None:
    text = nginx.configuration(plan)
    (buffers,) = directive(text, "large_client_header_buffers")
    count, size = re.fullmatch(r"(\d+) (\d+)k", buffers).groups()  # type: ignore[union-attr]
    assert int(count) * int(size) * 1024 + 1024 + 4096 < MAX_HEAD_BYTES


def with_tls(state: Path, build: str, version: tuple[int, ...] = (1, 22, 1)) -> Plan:
    certificate, key = make_certificate(state)
    plan = plan_of(state, TLS_CERTIFICATE=str(certificate), TLS_KEY=str(key))
    return replace(plan, nginx=replace(NGINX, build=build, version=version))


TLS_BUILD = "--with-http_ssl_module --with-http_v2_module"


@pytest.mark.parametrize(
    ("build", "version", "listen", "http2"),
    [
        (TLS_BUILD, (1, 25, 0), "ssl http2 default_server", []),
        (TLS_BUILD, (1, 25, 1), "ssl default_server", ["on"]),
        ("--with-http_ssl_module", (1, 31), "ssl default_server", []),
    ],
)
def test_http_2_is_asked_for_as_this_nginx_understands(
    state: Path, build: str, version: tuple[int, ...], listen: str, http2: list[str]
) -> None:
    text = nginx.configuration(with_tls(state, build, version))
    assert f"listen 127.0.0.1:8443 {listen} backlog=" in text
    assert directive(text, "http2") == http2


def test_nginx_without_a_module_that_a_setting_needs_is_refused(state: Path) -> None:
    with pytest.raises(StackError, match=r"without its module http_ssl, which TLS_CERTIFICATE"):
        nginx.configuration(with_tls(state, "--with-http_v2_module"))
    with pytest.raises(StackError, match=r"without its module http_realip, which TRUSTED_PROXIES"):
        nginx.configuration(plan_of(state, TRUSTED_PROXIES="10.0.0.1"))


def test_renewed_certificate_is_another_configuration(state: Path) -> None:
    first = nginx.configuration(with_tls(state, TLS_BUILD))
    assert first != nginx.configuration(with_tls(state, TLS_BUILD))


def test_nothing_of_the_templates_stays_in_what_is_rendered(plan: Plan) -> None:
    for text in (nginx.configuration(plan), render.supervisord(plan)):
        assert "{{" not in text
        assert "{%" not in text
        assert "None" not in text


@pytest.mark.parametrize(
    ("version", "end"),
    [((1, 18), []), ((1, 19, 4), []), ((1, 19, 5), ["-e", "stderr"]), ((1, 31), ["-e", "stderr"])],
)
def test_nginx_is_told_of_its_first_error_log_where_it_understands(
    plan: Plan, version: tuple[int, ...], end: list[str]
) -> None:
    argv = nginx.argv(replace(plan, nginx=replace(NGINX, version=version)))
    state, conf = str(plan.layout.state), str(plan.nginx_conf)
    assert argv == ("/opt/n g/nginx", "-p", state, "-c", conf, *end)


# ---- the addresses


def test_address_is_written_as_nginx_reads_it() -> None:
    assert nginx.listen_addresses("0.0.0.0", 80) == ["0.0.0.0:80"]
    assert "127.0.0.1:80" in nginx.listen_addresses("localhost", 80)


def test_ipv6_address_is_in_brackets_and_left_out_where_the_machine_has_none() -> None:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        assert nginx.listen_addresses("::1", 80) == []
    else:
        assert nginx.listen_addresses("::1", 80) == ["[::1]:80"]


# ---- supervisord


def test_programs_start_in_order_and_redis_only_where_it_is_the_stacks_own(plan: Plan) -> None:
    assert [program.name for program in render.programs(plan)] == ["redis", "web", "nginx"]
    assert [program.priority for program in render.programs(plan)] == [10, 20, 30]
    without = replace(plan, redis=None)
    assert [program.name for program in render.programs(without)] == ["web", "nginx"]
    assert "[program:redis]" not in render.supervisord(without)


def test_supervisord_reads_the_very_commands_in_a_folder_with_an_unusual_name(plan: Plan) -> None:
    options = read_by_supervisord(plan)
    read = {
        process.name: process
        for group in options.process_group_configs
        for process in group.process_configs
    }
    assert sorted(read) == ["nginx", "redis", "web"]
    for program in render.programs(plan):
        found = read[program.name]
        argv = launch.argv(plan.layout.run, program.name, program.argv)
        assert tuple(shlex.split(found.command)) == argv
        assert found.stdout_logfile == str(plan.layout.logs / f"{program.name}.log")
        assert found.directory == str(plan.layout.state)
        assert found.autorestart
        assert found.redirect_stderr


def test_a_master_that_is_started_anew_is_of_the_profile_where_there_is_one(
    plan: Plan, state: Path
) -> None:
    profile = state / "profile"
    (web,) = [one for one in render.programs(replace(plan, profile=profile)) if one.name == "web"]
    assert web.argv == (str(profile / "bin" / "windlass"), "serve")


def test_nginxs_configuration_is_the_same_from_another_folder_of_the_same_release(
    plan: Plan, tmp_path: Path
) -> None:
    shutil.copytree(plan.layout.conf / "nginx", tmp_path / "nginx")
    moved = replace(plan, layout=replace(plan.layout, root=tmp_path, conf=tmp_path))
    assert nginx.configuration(moved) == nginx.configuration(plan)


def test_supervisord_listens_on_a_socket_of_this_user_only(plan: Plan) -> None:
    options = read_by_supervisord(plan)
    (server,) = options.server_configs
    assert server["file"] == str(plan.layout.run / "supervisord.sock")
    assert server["chmod"] == 0o700
    assert options.logfile == str(plan.layout.logs / "supervisord.log")
    assert options.pidfile == str(plan.layout.run / "supervisord.pid")


def test_programs_may_finish_their_requests_before_supervisord_kills_them(state: Path) -> None:
    options = read_by_supervisord(plan_of(state, DRAIN_TIMEOUT_S="60"))
    waits = {
        process.name: process.stopwaitsecs
        for group in options.process_group_configs
        for process in group.process_configs
    }
    assert waits["web"] > 60
    assert waits["nginx"] > 60


def test_percent_sign_of_a_command_survives_supervisords_expansion(plan: Plan) -> None:
    odd = replace(plan, redis=replace(REDIS, path=Path("/opt/100%/%(x)s/redis-server")))
    options = read_by_supervisord(odd)
    (command,) = [
        process.command
        for group in options.process_group_configs
        for process in group.process_configs
        if process.name == "redis"
    ]
    assert "/opt/100%/%(x)s/redis-server" in shlex.split(command)


# ---- what is written


def test_write_leaves_both_configurations_and_no_half_files(plan: Plan) -> None:
    render.write(plan)
    render.write(plan)
    assert names(plan.output) == ["nginx.conf", "supervisord.conf"]
    assert plan.nginx_conf.read_text() == nginx.configuration(plan)
    assert plan.supervisord_conf.read_text() == render.supervisord(plan)


def test_static_files_get_a_gzip_beside_them_where_that_is_smaller(plan: Plan, state: Path) -> None:
    for name, content in (("w.css", b"a" * 5000), ("t.css", b"a"), ("p.png", b"a" * 5000)):
        (state / name).write_bytes(content)
    sources = {f"{name}.0": state / name for name in ("w.css", "t.css", "p.png")}
    render.publish_static(replace(plan, static=replace(plan.static, files=sources)))
    static = plan.layout.static
    assert names(static) == ["p.png.0", "t.css.0", "w.css.0", "w.css.0.gz"]
    assert gzip.decompress((static / "w.css.0.gz").read_bytes()) == b"a" * 5000
    assert (static / "w.css.0").read_bytes() == b"a" * 5000


def test_gzip_that_a_release_carries_is_published_as_it_is(plan: Plan, state: Path) -> None:
    source = state / "w.css"
    source.write_bytes(b"a" * 5000)
    carried = gzip.compress(b"a" * 5000, compresslevel=1, mtime=0)
    source.with_name("w.css.gz").write_bytes(carried)
    small = state / "s.css"
    small.write_bytes(b"a")
    small.with_name("s.css.gz").write_bytes(gzip.compress(b"a", mtime=0))
    sources = {"w.0.css": source, "s.0.css": small}
    render.publish_static(replace(plan, static=replace(plan.static, files=sources)))
    static = plan.layout.static
    assert (static / "w.0.css.gz").read_bytes() == carried
    assert names(static) == ["s.0.css", "w.0.css", "w.0.css.gz"], "none that is larger"


def test_static_file_that_is_published_is_not_written_again(plan: Plan) -> None:
    render.publish_static(plan)
    published = plan.layout.static / "favicon.0.svg"
    before = published.stat()
    render.publish_static(plan)
    assert published.stat() == before
