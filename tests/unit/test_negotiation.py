"""Who gets HTML (RFC 9110, section 12.5.1)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tornado.httputil import HTTPHeaders, HTTPServerRequest, RequestStartLine

from app.errors import MediaTypeError
from app.web.negotiation import FORM, JSON, media_type, prefers_html

TEXT = "text/plain"

BROWSERS = {
    "Chrome": (
        "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,"
        "*/*;q=0.8,application/signed-exchange;v=b3;q=0.7"
    ),
    "Firefox": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "Firefox, older": (
        "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"
    ),
    "Safari": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "Internet Explorer 11": "text/html, application/xhtml+xml, image/jxr, */*",
    "Lynx": "text/html, text/plain;q=0.9, text/css, */*;q=0.01",
    "w3m": "text/html, text/*;q=0.5, image/*, application/*, audio/*, video/*",
}
PROGRAMS = {
    "curl": "*/*",
    "none": "",
    "fetch": "*/*",
    "axios": "application/json, text/plain, */*",
    "jQuery": "application/json, text/javascript, */*; q=0.01",
    "HTTPie": "application/json, */*;q=0.5",
    "browser's stylesheet": "text/css,*/*;q=0.1",
    "browser's image": "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8",
}


@pytest.mark.parametrize("alternative", [JSON, TEXT])
@pytest.mark.parametrize("accept", BROWSERS.values(), ids=BROWSERS)
def test_browser_gets_html(accept: str, alternative: str) -> None:
    assert prefers_html(accept, alternative)


@pytest.mark.parametrize("alternative", [JSON, TEXT])
@pytest.mark.parametrize("accept", PROGRAMS.values(), ids=PROGRAMS)
def test_program_gets_the_other_form(accept: str, alternative: str) -> None:
    assert not prefers_html(accept, alternative)


@pytest.mark.parametrize(
    ("accept", "alternative", "html"),
    [
        # named outright
        ("text/html", JSON, True),
        ("TEXT/HTML", JSON, True),
        (" text/html ", JSON, True),
        ("text/html;charset=utf-8", JSON, True),
        (JSON, JSON, False),
        ("image/png", JSON, False),
        ("text/htmlx", JSON, False),
        # weights
        ("text/html;q=0.5, application/json", JSON, False),
        ("text/html, application/json;q=0.5", JSON, True),
        ("text/html;q=0.501, application/json;q=0.5", JSON, True),
        ("text/html;q=0.5, application/json;q=0.501", JSON, False),
        ("text/html; q=0.5 , application/json ; Q=0.4", JSON, True),
        ("text/html;level=1;q=0.4, application/json;q=0.5", JSON, False),
        ("text/html, application/json", JSON, False),
        ("application/json, text/html", JSON, False),
        # ranges: the closest decides, not the first or the heaviest
        ("text/*", JSON, True),
        ("text/*", TEXT, False),
        ("application/*", JSON, False),
        ("text/*;q=0.9, application/json", JSON, False),
        ("*/*, text/html;q=0.1", JSON, False),
        ("text/html, */*", JSON, True),
        ("text/html;q=0.5, */*;q=0.4", JSON, True),
        ("text/*, text/html;q=0.3, application/json;q=0.4", JSON, False),
        ("text/*;q=0.3, text/html;q=0.7, text/plain;q=0.5", TEXT, True),
        # after RFC 9110's own example: plain text is wanted more
        ("text/*;q=0.3, text/plain;q=0.7, text/plain;format=flowed, */*;q=0.5", TEXT, False),
        # refused outright
        ("text/html;q=0", JSON, False),
        ("text/html;q=0.000", JSON, False),
        ("text/*;q=0", JSON, False),
        ("text/html;q=0, */*", JSON, False),
        ("text/html;q=0, application/json;q=0", JSON, False),
        ("*/*;q=0", JSON, False),
        ("application/json;q=0, */*;q=0.1", JSON, True),
        ("application/json;q=0, text/html;q=0.1", JSON, True),
        # weights that are none count as 0
        ("text/html, application/json;q=high", JSON, True),
        ("text/html, application/json;q=", JSON, True),
        ("text/html, application/json;q=nan", JSON, True),
        ("text/html, application/json;q=-1", JSON, True),
        ("text/html;q=nan, image/png", JSON, False),
        ("text/html;q=high, image/png", JSON, False),
        # text that is no list of ranges
        (",,,", JSON, False),
        (";q=1", JSON, False),
        ("*", JSON, False),
        ("text/html,,", JSON, True),
    ],
)  # fmt: skip
def test_preference(accept: str, alternative: str, *, html: bool) -> None:
    assert prefers_html(accept, alternative) is html


@given(accept=st.text(), alternative=st.sampled_from([JSON, TEXT]))
def test_arbitrary_header_never_raises(accept: str, alternative: str) -> None:
    assert prefers_html(accept, alternative) in {True, False}


_RANGES = st.sampled_from(["text/html", "text/*", "*/*", JSON, TEXT, "image/png", ""])
_WEIGHTS = st.just("") | (st.floats().map(str) | st.text(max_size=5)).map(";q={}".format)
_HEADERS = st.lists(st.tuples(_RANGES, _WEIGHTS).map("".join), max_size=6).map(",".join)


@given(accept=_HEADERS)
def test_html_is_only_for_who_names_it_or_its_family(accept: str) -> None:
    if prefers_html(accept, JSON) and "*/*" not in accept:
        assert "text/" in accept


@given(ranges=st.permutations(["text/html;q=0.4", "text/*;q=0.9", "*/*;q=0.6", "image/png"]))
def test_order_of_ranges_does_not_matter(ranges: list[str]) -> None:
    assert not prefers_html(",".join(ranges), JSON)


# ---- the media type


def request(content_type: str | None) -> HTTPServerRequest:
    given_type = {} if content_type is None else {"Content-Type": content_type}
    headers = HTTPHeaders({"Host": "a.org"} | given_type)
    start_line = RequestStartLine("POST", "/", "HTTP/1.1")
    return HTTPServerRequest(start_line=start_line, headers=headers)


@pytest.mark.parametrize(
    ("given_type", "found"),
    [
        (None, JSON),
        ("application/json", JSON),
        ("Application/JSON; charset=utf-8", JSON),
        (" application/x-www-form-urlencoded ", FORM),
    ],
)
def test_media_type_of_a_body(given_type: str | None, found: str) -> None:
    assert media_type(request(given_type), JSON, FORM) == found


@pytest.mark.parametrize("given_type", ["text/plain", "application/jsonx", "json", ""])
def test_media_type_that_is_not_read_is_refused_with_those_that_are(given_type: str) -> None:
    with pytest.raises(MediaTypeError) as caught:
        media_type(request(given_type), JSON, FORM)
    assert "Content-Type: application/json" in str(caught.value)
    assert "Content-Type: application/x-www-form-urlencoded" in str(caught.value)
