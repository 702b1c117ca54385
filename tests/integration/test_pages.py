"""The pages in a real browser: whole without scripts, by keyboard, narrow, dark, small."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from tests import browser as browsing
from tests.browser import Visit, visit
from tests.support import HTML, Stack, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, Page

MOST_BYTES = 60_000
PAGES = {
    "/": 200,
    "/calculator": 200,
    "/calculator?expression=sqrt(2)/3": 200,
    "/calculator?expression=2+%2B+(3": 422,
    "/productionplan": 200,
    "/status": 200,
    "/docs": 200,
    "/nowhere": 404,
    "/static/none.css": 404,
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browsing.running() as found:
        yield found


@pytest.fixture
def new(browser: Browser) -> Iterator[Callable[..., Visit]]:
    """Open visits that are closed when the test ends."""
    opened: list[Any] = []

    def make(**options: Any) -> Visit:  # noqa: ANN401
        opened.append(visit(browser, **options))
        found: Visit = opened[-1].__enter__()
        return found

    yield make
    for context in reversed(opened):
        context.__exit__(None, None, None)


def compute(page: Page) -> None:
    """Ask for the plan that the form states, by its button."""
    page.get_by_role("button", name="Compute the plan").click()


def wait_for_plan(page: Page) -> None:
    page.get_by_role("img", name=re.compile("Merit order")).wait_for()


# ---- every page


@pytest.mark.parametrize("path", PAGES)
def test_page_is_sound(service: Stack, new: Callable[..., Visit], path: str) -> None:
    """Light and wide, dark and narrow: accessible, of one host, within its policy and weight."""
    for options in (
        {"color_scheme": "light", "viewport": {"width": 1200, "height": 800}},
        {"color_scheme": "dark", "viewport": {"width": 320, "height": 640}},
    ):
        seen = new(**options)
        answer = seen.open(service.url + path)
        assert answer.status == PAGES[path]
        assert 0 < seen.bytes < MOST_BYTES
        assert seen.inaccessible() == []
        assert seen.overflow() <= 0
        assert seen.violations() == []
        assert seen.hosts == {urlsplit(service.url).netloc}
        # The browser itself complains of a page that is an error.
        assert [text for text in seen.complaints if str(PAGES[path]) not in text] == []


def test_policy_forbids_what_is_inline(service: Stack, new: Callable[..., Visit]) -> None:
    seen = new()
    answer = seen.open(service.url)
    assert "unsafe" not in answer.headers["content-security-policy"]
    seen.page.evaluate("document.body.setAttribute('style', 'color: red')")
    seen.page.evaluate(
        "document.body.append(Object.assign(document.createElement('script'), {text: '1'}))"
    )
    assert {text.partition(":")[0] for text in seen.violations()} == {
        "style-src-attr", "script-src-elem",
    }  # fmt: skip


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_follows_the_colours_of_the_system(
    service: Stack, new: Callable[..., Visit], scheme: str
) -> None:
    seen = new(color_scheme=scheme)
    seen.open(service.url)
    colour = seen.page.evaluate("getComputedStyle(document.body).backgroundColor")
    red, green, blue = (int(part) for part in re.findall(r"\d+", colour)[:3])
    assert (red + green + blue < 200) == (scheme == "dark")


def test_typeface_comes_from_the_service_itself(service: Stack, new: Callable[..., Visit]) -> None:
    seen = new()
    seen.open(service.url)
    assert seen.page.evaluate(
        "document.fonts.ready.then(() => document.fonts.check('1em Figtree'))"
    )


# ---- by keyboard


def test_first_stop_of_the_keyboard_leads_past_the_navigation(
    service: Stack, new: Callable[..., Visit]
) -> None:
    page = new().page
    page.goto(service.url)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    box = page.locator(".skip").bounding_box()
    assert box is not None
    assert box["y"] >= 0, "it is seen while it has the focus"
    page.keyboard.press("Enter")
    assert page.url.endswith("#main")


def test_calculator_by_keyboard_alone(service: Stack, new: Callable[..., Visit]) -> None:
    seen = new()
    page = seen.page
    page.goto(service.url + "/calculator")
    page.keyboard.type("1/3 + 1/6")
    page.keyboard.press("Enter")
    page.locator("output", has_text="0.5").wait_for()
    assert page.locator("#answer [role=status]").text_content() == "Result 0.5"
    assert "expression=1%2F3" in page.url, "the address can be passed on"
    page.keyboard.press("Escape")
    assert page.get_by_label("Expression").input_value() == ""
    page.keyboard.type("2 + * 3")
    page.keyboard.press("Enter")
    page.locator("#error").wait_for()
    assert page.get_by_label("Expression").get_attribute("aria-invalid") == "true"
    assert page.evaluate("document.activeElement.id") == "expression"
    page.keyboard.press("End")
    page.keyboard.press("Shift+Home")
    page.keyboard.type("2 * 3")
    page.keyboard.press("Tab")
    page.keyboard.type("5")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.locator("output", has_text="6").wait_for()
    assert page.get_by_label("Expression").get_attribute("aria-invalid") is None
    assert seen.violations() == []


def test_plan_by_keyboard_alone(service: Stack, new: Callable[..., Visit]) -> None:
    seen = new()
    page = seen.page
    page.goto(service.url + "/productionplan?example=1")
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "/load":
            break
    page.keyboard.type("500")
    page.keyboard.press("Enter")
    wait_for_plan(page)
    assert "load 500.0 MW" in str(page.locator("svg.chart").first.text_content())
    spoken = page.get_by_role("status").text_content()
    assert re.fullmatch(r"The plan costs [\d,.]+ euro an hour\.", str(spoken))
    page.get_by_role("button", name="Add a plant").focus()
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.activeElement.id == '/powerplants/6/name'")
    page.keyboard.type("new")
    page.get_by_role("button", name="Remove plant 1, gasfiredbig1").focus()
    page.keyboard.press("Enter")
    page.wait_for_function("() => !document.getElementById('/powerplants/6/name')")
    assert page.locator("[id='/powerplants/5/name']").input_value() == "new"
    assert seen.violations() == []


def test_faults_stand_at_their_fields_and_take_the_focus(
    service: Stack, new: Callable[..., Visit]
) -> None:
    seen = new()
    page = seen.page
    page.goto(service.url + "/productionplan")
    field = page.get_by_label("Wind (%)")
    field.fill("101")
    compute(page)
    page.locator("[id='wrong:/fuels/wind(%)']").wait_for()
    assert field.get_attribute("aria-describedby") == "wrong:/fuels/wind(%)"
    assert page.evaluate("document.activeElement.id") == "/fuels/wind(%)"
    assert seen.inaccessible() == []
    field.fill("100")
    compute(page)
    wait_for_plan(page)
    assert field.get_attribute("aria-invalid") is None
    assert seen.inaccessible() == []
    assert seen.overflow() <= 0


def test_change_of_the_plants_that_fails_once_is_made_by_the_browser(
    service: Stack, new: Callable[..., Visit]
) -> None:
    page = new().page
    page.goto(service.url + "/productionplan?example=1")
    page.route("**/productionplan", lambda route: route.abort(), times=1)
    page.get_by_role("button", name="Add a plant").click()
    page.wait_for_function("() => document.getElementById('/powerplants/6/name')")
    assert page.locator("svg.chart").count() == 0, "nobody asked for the plan"


# ---- without scripts


def test_forms_work_without_scripts(service: Stack, new: Callable[..., Visit]) -> None:
    page = new(java_script_enabled=False).page
    page.goto(service.url + "/calculator")
    page.get_by_label("Expression").fill("2/3")
    page.get_by_label("Digits shown").fill("4")
    page.get_by_role("button", name="Calculate").click()
    assert page.locator("output").text_content() == "0.6667"
    page.goto(service.url + "/productionplan")
    page.get_by_label("Load (MW)").fill("480")
    page.get_by_role("button", name="Add a plant").click()
    assert page.get_by_label("Load (MW)").input_value() == "480", "what was typed is kept"
    page.get_by_role("button", name="Remove plant 7").click()
    compute(page)
    wait_for_plan(page)
    rows = page.get_by_role("region", name="The plan, plant by plant").locator("tbody tr")
    powers = [float(text) for text in rows.locator("td:nth-child(4)").all_text_contents()]
    assert round(sum(powers), 1) == 480
    page.get_by_label("Load (MW)").fill("-1")
    compute(page)
    assert page.locator("[id='wrong:/load']").is_visible()


def test_board_and_documents_are_whole_without_scripts(
    service: Stack, new: Callable[..., Visit]
) -> None:
    page = new(java_script_enabled=False).page
    page.goto(service.url + "/status")
    assert page.locator("#workers tr").count() == 2
    assert page.locator("#verdict").text_content()
    page.goto(service.url + "/docs")
    assert page.locator("[id='post-productionplan']").is_visible()
    assert page.locator(".try:visible").count() == 0, "what needs scripts is not shown"


# ---- with scripts, better


def test_board_is_live(service: Stack, new: Callable[..., Visit]) -> None:
    seen = new()
    page = seen.page
    page.goto(service.url + "/status")
    page.locator("#live", has_text="live").wait_for()
    before = int(str(page.locator("#requests").text_content()).replace(",", ""))
    for _ in range(20):
        service.get("/health")
    page.wait_for_function(
        "before => Number(document.getElementById('requests').textContent.replaceAll(',', ''))"
        " >= before + 20",
        arg=before,
    )
    page.locator(".plot canvas").first.wait_for()
    assert seen.inaccessible() == []
    assert seen.violations() == []
    assert seen.complaints == []


def test_board_says_that_it_knows_nothing_and_comes_back_by_itself(
    service: Stack, new: Callable[..., Visit]
) -> None:
    """After a 502, as after any status but 200, a browser does not ask for the events again."""
    page = new().page
    page.goto(service.url + "/status")
    page.locator("#live", has_text=re.compile("^live$")).wait_for()
    supervise(service, "stop", "web")
    try:
        page.locator("#verdict.warn", has_text="How it is now is not known").wait_for()
        page.locator("#live", has_text="trying again").wait_for()
    finally:
        supervise(service, "start", "web")
    page.locator("#verdict", has_text="not known").wait_for(state="detached", timeout=30_000)
    page.locator("#live", has_text=re.compile("^live$")).wait_for()
    before = page.locator("#at").text_content()
    page.wait_for_function(
        "before => document.getElementById('at').textContent !== before", arg=before
    )


def supervise(service: Stack, *words: str) -> None:
    """Have supervisord do something with a program of the stack."""
    conf = str(service.state / "conf" / "supervisord.conf")
    command = (sys.executable, "-m", "supervisor.supervisorctl", "-c", conf, *words)
    subprocess.run(command, check=True, capture_output=True, timeout=60)


def test_lone_value_is_seen_in_a_plot(service: Stack, new: Callable[..., Visit]) -> None:
    """A quiet service answers now and then, between steps in which there is nothing to draw."""
    page = new().page
    page.goto(service.url + "/status")
    page.locator(".plot canvas").first.wait_for()
    drawn = """async (value) => {
        const plot = plots.get("durations");
        plot.setData([[0, 30, 60, 90], [null, value, null, null], [null, null, null, null]]);
        await null; // what is new is drawn before any event
        return plot.ctx.canvas.toDataURL();
    }"""
    assert page.evaluate(drawn, 1) != page.evaluate(drawn, None)
    page = new(java_script_enabled=False).page
    page.goto(service.url + "/status")
    place = page.locator(".plot").first
    pictures = [
        place.evaluate(f"at => at.innerHTML = '<svg class=chart>{path}</svg>'")
        and place.screenshot()
        for path in ("", "<path class=line d=M50,50L50,50 />")
    ]
    assert pictures[0] != pictures[1]


def test_what_changed_is_marked_in_the_plots(service: Stack, new: Callable[..., Visit]) -> None:
    page = new().page
    page.goto(service.url + "/status")
    page.locator(".plot canvas").first.wait_for()
    drawn = """async (events) => {
        const plot = plots.get("durations");
        changes = events;
        plot.setData([[0, 30, 60, 90], [1, 1, 1, 1], [2, 2, 2, 2]]);
        await null;
        return plot.ctx.canvas.toDataURL();
    }"""
    nothing, reloaded, died, before = (
        page.evaluate(drawn, events)
        for events in ([], *([{"at": at, "kind": kind}] for at, kind in (
            (45, "reloaded"), (45, "worker died"), (-9, "worker died"))))
    )  # fmt: skip
    assert len({nothing, reloaded, died}) == 3, "marked, and a failure in another colour"
    assert before == nothing, "what was before the hour is left out"


def test_what_changed_is_marked_without_scripts(service: Stack) -> None:
    """From the end of its half minute on, as all that is drawn."""
    started = re.compile(r'<line class="mark ok"[^>]*><title>[\d:]{8} started</title>')
    wait_for(
        lambda: started.search(service.get("/status", headers=HTML).text), "the mark", timeout_s=60
    )


def test_documents_try_what_they_describe(service: Stack, new: Callable[..., Visit]) -> None:
    seen = new()
    page = seen.page
    page.goto(service.url + "/docs#post-productionplan")
    section = page.locator("[id='post-productionplan']")
    section.get_by_text("Try it here").click()
    section.get_by_role("button", name="Send").click()
    section.get_by_role("status").get_by_text("200 OK").wait_for()
    assert '"marginal_price"' in str(section.locator("form pre").text_content())
    assert f"'{service.url}/productionplan?details=true'" in str(section.text_content())
    endless = page.locator("[id='get-status-events']")
    assert endless.get_by_text("Ask for it").is_visible()
    assert endless.locator("form").count() == 0, "its answer would never be whole"
    assert seen.inaccessible() == []
    assert seen.violations() == []


def test_every_link_within_the_pages_leads_somewhere(service: Stack) -> None:
    seen: set[str] = set()
    for path in ("/", "/calculator", "/productionplan", "/status", "/docs"):
        page = service.get(path, headers=HTML).text
        marks = set(re.findall(r' id="([^"]+)"', page))
        for link in re.findall(r'href="([^"]+)"', page):
            address, _, mark = link.replace("&amp;", "&").partition("#")
            assert not mark or address or mark in marks, link
            if address and address not in seen:
                seen.add(address)
                assert service.get(address, headers=HTML).status_code == 200, link
