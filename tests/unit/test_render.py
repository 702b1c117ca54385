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
from app.stack import launch, layout, render
from app.stack.binaries import Binary
from app.stack.plan import Plan, StaticFiles

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


def read_by_supervisord(plan: Plan) -> Any:  # noqa: ANN401 - supervisor has no types
    render.write(plan)
    options = ServerOptions()
    options.realize(["-c", str(plan.supervisord_conf)], doc="")
    return options


# ---- Nginx


def test_nginx_listens_on_both_ports(plan: Plan) -> None:
    assert directive(render.nginx(plan), "listen") == ["127.0.0.1:8000", "127.0.0.1:8888"]


def test_nginx_listens_on_one_port_without_a_plan_port(state: Path) -> None:
    plan = plan_of(state, PORT="9000", PLAN_PORT="")
    assert directive(render.nginx(plan), "listen") == ["127.0.0.1:9000"]


def test_nginx_balances_over_the_socket_of_every_worker(state: Path) -> None:
    text = render.nginx(plan_of(state, WORKERS="3"))
    assert directive(text, "worker_processes") == ["3"]
    assert directive(text, "server") == [
        f'"unix:{state}/run/worker-{slot}.sock" max_fails=0' for slot in range(3)
    ]


def test_nginx_refuses_a_body_larger_than_the_setting(state: Path) -> None:
    text = render.nginx(plan_of(state, MAX_BODY_BYTES="4096"))
    assert directive(text, "client_max_body_size") == ["4096"]


def test_gzip_static_is_left_out_where_the_build_of_nginx_lacks_it(plan: Plan) -> None:
    assert directive(render.nginx(plan), "gzip_static") == ["on"]
    lacking = replace(plan, nginx=replace(NGINX, build="nginx version: nginx/1.22.1\n--with-debug"))
    assert directive(render.nginx(lacking), "gzip_static") == []


@pytest.mark.parametrize(("version", "found"), [((1, 27, 3), []), ((1, 27, 4), ["5s"])])
def test_kept_alive_clients_get_time_at_a_reload_where_nginx_can(
    plan: Plan, version: tuple[int, ...], found: list[str]
) -> None:
    text = render.nginx(replace(plan, nginx=replace(NGINX, version=version)))
    assert directive(text, "keepalive_min_timeout") == found


def test_every_path_in_nginxs_configuration_is_quoted(plan: Plan, state: Path) -> None:
    text = render.nginx(plan)
    assert f'pid "{state}/run/nginx.pid";' in text
    assert f'alias "{state}/favicon.svg";' in text
    places = [match.start() for match in re.finditer(re.escape(str(state)), text)]
    assert len(places) >= 9
    for place in places:
        start = text.rindex("\n", 0, place)
        assert text.count('"', start, place) % 2 == 1, text[start : place + 60]


def test_nginx_runs_as_root_only_where_root_starts_it(plan: Plan) -> None:
    assert directive(render.nginx(plan), "user") == (["root"] if os.geteuid() == 0 else [])


def test_nginx_answers_each_error_in_both_forms(plan: Plan) -> None:
    text = render.nginx(plan)
    pages = [page for page in directive(text, "error_page") if "=" not in page]
    codes = [page.split()[0] for page in pages]
    assert {"404", "413", "502", "504"} <= set(codes)
    answers = re.findall(r"return (\d+) '(\{.*\})\\n';", text)
    assert [code for code, _ in answers] == codes
    for code, body in answers:
        problem = json.loads(body.replace("$request_id", "r"))
        assert problem["status"] == int(code)
        assert problem["type"] == "about:blank"
        assert problem["title"]
        assert problem["request_id"] == "r"
    assert text.count('href="/static/w.0.css"') == len(codes)
    # 405 must say what is allowed (RFC 9110, section 15.5.6), in both forms.
    assert text.count('add_header Allow "GET, HEAD" always;') == 2


def test_nothing_of_the_templates_stays_in_what_is_rendered(plan: Plan) -> None:
    for text in (render.nginx(plan), render.supervisord(plan)):
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
    argv = render.nginx_argv(replace(plan, nginx=replace(NGINX, version=version)))
    state, conf = str(plan.layout.state), str(plan.nginx_conf)
    assert argv == ("/opt/n g/nginx", "-p", state, "-c", conf, *end)


# ---- the addresses


def test_address_is_written_as_nginx_reads_it() -> None:
    assert render.listen_addresses("0.0.0.0", 80) == ["0.0.0.0:80"]
    assert "127.0.0.1:80" in render.listen_addresses("localhost", 80)


def test_ipv6_address_is_in_brackets_and_left_out_where_the_machine_has_none() -> None:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        assert render.listen_addresses("::1", 80) == []
    else:
        assert render.listen_addresses("::1", 80) == ["[::1]:80"]


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
    odd = replace(plan, nginx=replace(NGINX, path=Path("/opt/100%/%(x)s/nginx")))
    options = read_by_supervisord(odd)
    (command,) = [
        process.command
        for group in options.process_group_configs
        for process in group.process_configs
        if process.name == "nginx"
    ]
    assert "/opt/100%/%(x)s/nginx" in shlex.split(command)


# ---- what is written


def test_write_leaves_both_configurations_and_no_half_files(plan: Plan) -> None:
    render.write(plan)
    render.write(plan)
    assert names(plan.output) == ["nginx.conf", "supervisord.conf"]
    assert plan.nginx_conf.read_text() == render.nginx(plan)
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


def test_static_file_that_is_published_is_not_written_again(plan: Plan) -> None:
    render.publish_static(plan)
    published = plan.layout.static / "favicon.0.svg"
    before = published.stat()
    render.publish_static(plan)
    assert published.stat() == before
