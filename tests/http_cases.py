"""Requests, sound and hostile, with the answer that each must have however its bytes arrive.

An answer is a status and what `Echo` says of the request. `LAST` is sent after each case: a
connection that must still be open answers it, one that must be closed does not.
"""

from __future__ import annotations

from dataclasses import dataclass

from tornado import web

MAX_HEAD_BYTES = 4096
MAX_FIELDS = 20
MAX_BODY_BYTES = 10_000

LAST = b"GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
LAST_ANSWER = "200 GET /last HTTP/1.1 b''"
HOST = b"Host: a\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"


@dataclass(frozen=True, slots=True)
class Case:
    """What a client sends, and what it must get.

    Attributes:
        name: of the case.
        data: what is sent.
        answers: what must come back, in order.
        closes: whether the connection must then be closed.
        methods: of the requests, where a response's framing hangs on them.
        is_whole: false for what never ends; `LAST` would end it.
    """

    name: str
    data: bytes
    answers: tuple[str, ...]
    closes: bool = False
    methods: tuple[str, ...] = ()
    is_whole: bool = True


class Echo(web.RequestHandler):
    """Answers with what it was asked."""

    SUPPORTED_METHODS = (*web.RequestHandler.SUPPORTED_METHODS, "PROPFIND", "QUERY")

    def get(self) -> None:
        request = self.request
        extra = f" X={request.headers['X']!r}" if "X" in request.headers else ""
        self.write(f"{request.method} {request.uri} {request.version} {request.body!r}{extra}")

    head = post = put = patch = delete = options = propfind = query = get


class NoContent(web.RequestHandler):
    """Answers without a body."""

    def get(self, status: str) -> None:
        self.set_status(int(status))

    head = post = get


class Streamed(web.RequestHandler):
    """Answers with a body whose length is not known beforehand."""

    async def get(self) -> None:
        for part in (b"one ", b"two ", b"three"):
            self.write(part)
            await self.flush()

    head = post = get


@web.stream_request_body
class Early(web.RequestHandler):
    """Answers before it has the body."""

    def prepare(self) -> None:
        self.set_status(403)
        self.finish("no")

    def data_received(self, chunk: bytes) -> None:
        """Not asked for."""


def application() -> web.Application:
    """What the cases are sent to."""
    return web.Application(
        [
            (r"/(204|304)", NoContent),
            (r"/streamed", Streamed),
            (r"/early", Early),
            (r".*", Echo),
        ]
    )


def request(line: bytes = b"GET / HTTP/1.1", *fields: bytes, body: bytes = b"") -> bytes:
    """A request with a `Host`; `fields` without their line breaks."""
    return raw(line, b"Host: a", *fields, body=body)


def raw(line: bytes, *fields: bytes, body: bytes = b"") -> bytes:
    """A request of these lines only."""
    return b"".join([line, b"\r\n", *(field + b"\r\n" for field in fields), b"\r\n", body])


def post(*fields: bytes, body: bytes = b"") -> bytes:
    """A POST."""
    return request(b"POST / HTTP/1.1", *fields, body=body)


def chunked(body: bytes) -> bytes:
    """A POST in chunks."""
    return post(b"Transfer-Encoding: chunked", body=body)


def good(name: str, data: bytes, *answers: str, methods: tuple[str, ...] = ()) -> Case:
    """A request after which the connection goes on."""
    return Case(name, data, answers or ("200 GET / HTTP/1.1 b''",), methods=methods)


def last(name: str, data: bytes, *answers: str, methods: tuple[str, ...] = ()) -> Case:
    """A request after which the connection is closed."""
    return Case(name, data, answers or ("200 GET / HTTP/1.1 b''",), closes=True, methods=methods)


def bad(name: str, data: bytes, status: int = 400) -> Case:
    """What is refused."""
    return Case(name, data, (str(status),), closes=True)


def endless(name: str, data: bytes, status: int) -> Case:
    """What is refused although its end has not come."""
    return Case(name, data, (str(status),), closes=True, is_whole=False)


def posted(body: bytes, extra: str = "") -> str:
    """What `Echo` says of a POST."""
    return f"200 POST / HTTP/1.1 {body!r}{extra}"


LENGTH = [
    good("content-length", post(b"Content-Length: 3", body=b"abc"), posted(b"abc")),
    good("content-length zero", post(b"Content-Length: 0"), posted(b"")),
    good("content-length with zeros before", post(b"Content-Length: 003", body=b"abc"),
         posted(b"abc")),
    good("content-length with spaces around", post(b"Content-Length: \t 3 \t", body=b"abc"),
         posted(b"abc")),
    good("post without a body", post(), posted(b"")),
    good("get with a body", request(b"GET / HTTP/1.1", b"Content-Length: 3", body=b"abc"),
         "200 GET / HTTP/1.1 b'abc'"),
    good("body that looks like a request", post(b"Content-Length: 18",
         body=b"GET /x HTTP/1.1\r\n\r"),
         posted(b"GET /x HTTP/1.1\r\n\r")),
    bad("content-length twice, alike", post(b"Content-Length: 3", b"Content-Length: 3",
         body=b"abc")),
    bad("content-length twice, unlike", post(b"Content-Length: 3", b"Content-Length: 4",
         body=b"abcd")),
    bad("content-length as a list", post(b"Content-Length: 3, 3", body=b"abc")),
    bad("content-length with plus", post(b"Content-Length: +3", body=b"abc")),
    bad("content-length with minus", post(b"Content-Length: -3", body=b"abc")),
    bad("content-length in hex", post(b"Content-Length: 0x3", body=b"abc")),
    bad("content-length as a fraction", post(b"Content-Length: 3.0", body=b"abc")),
    bad("content-length with underscore", post(b"Content-Length: 1_0", body=b"0123456789")),
    bad("content-length with space inside", post(b"Content-Length: 1 0", body=b"0123456789")),
    bad("content-length empty", post(b"Content-Length:")),
    bad("content-length of 64 bits and one", post(b"Content-Length: 18446744073709551616")),
    bad("content-length of 64 bits", post(b"Content-Length: 18446744073709551615")),
    bad("content-length of many digits", post(b"Content-Length: " + b"9" * 1000)),
    bad("content-length of other digits", post("Content-Length: \xb2".encode("latin-1"))),
    bad("content-length over the limit", post(b"Content-Length: 10001")),
]  # fmt: skip

CODINGS = [
    good("chunked", chunked(b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"), posted(b"abcde")),
    good("chunked in capitals", post(b"TRANSFER-ENCODING: CHUNKED", body=b"0\r\n\r\n"),
         posted(b"")),
    good("chunked with spaces around", post(b"Transfer-Encoding: \t chunked  ", body=b"0\r\n\r\n"),
         posted(b"")),
    bad("length and chunked", post(b"Content-Length: 5", b"Transfer-Encoding: chunked",
                                   body=b"0\r\n\r\n")),
    bad("chunked and length", post(b"Transfer-Encoding: chunked", b"Content-Length: 5",
                                   body=b"0\r\n\r\n")),
    bad("length zero and chunked", post(b"Content-Length: 0", b"Transfer-Encoding: chunked",
                                        body=b"0\r\n\r\n")),
    *(
        bad(f"coding {value!r}", post(b"Transfer-Encoding: " + value, body=b"0\r\n\r\n"))
        for value in (
            b"", b"identity", b"xchunked", b"chunkedx", b"chunke", b"chunked, identity",
            b"identity, chunked", b"gzip, chunked", b"chunked, chunked", b"chunked,", b",chunked",
            b'"chunked"', b"chunked;q=1", b"chunked\x0b", b"chunked\t", b"\x0bchunked",
                 b"chunked\x00",
            b"ch unked", b"chunked identity", b"\xffchunked", b"chunked\xa0", b"cow",
        )
    ),
    bad("coding twice", post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked",
                             body=b"0\r\n\r\n")),
    bad("coding twice, unlike", post(b"Transfer-Encoding: identity", b"Transfer-Encoding: chunked",
                                     body=b"0\r\n\r\n")),
    bad("coding twice, unlike, other way", post(b"Transfer-Encoding: chunked",
         b"Transfer-encoding: x",
                                                body=b"0\r\n\r\n")),
    bad("coding on a folded line", post(b"Transfer-Encoding:\r\n chunked", body=b"0\r\n\r\n")),
    bad("coding with space before colon", post(b"Transfer-Encoding : chunked", body=b"0\r\n\r\n")),
    bad("coding with tab before colon", post(b"Transfer-Encoding\t: chunked", body=b"0\r\n\r\n")),
    bad("coding on a line with space before", post(b"X: y", b" Transfer-Encoding: chunked",
                                                   body=b"0\r\n\r\n")),
    bad("coding after a bare line feed", post(b"X: y\nTransfer-Encoding: chunked",
         body=b"0\r\n\r\n")),
    bad("coding after a bare return", post(b"X: y\rTransfer-Encoding: chunked", body=b"0\r\n\r\n")),
    bad("coding in HTTP/1.0", request(b"POST / HTTP/1.0", b"Transfer-Encoding: chunked",
                                      body=b"0\r\n\r\n")),
    good("coding with an underscore is another field", post(b"Transfer_Encoding: chunked"),
         posted(b"")),
]  # fmt: skip

_SIZES = (
    b"-1", b"+1", b"0x1", b"1h", b"", b" 1", b"1 ", b"\t1", b"1\t", b"g", b"1_0", b"1 2", b"\x001",
    b"10000000000000000", b"ffffffffffffffff1", b"f" * 64, b"1,", b"\xb9",
)  # fmt: skip

CHUNKS = [
    good("one byte each", chunked(b"1\r\na\r\n" * 50 + b"0\r\n\r\n"), posted(b"a" * 50)),
    good("sizes in both cases",
         chunked(b"A\r\n" + b"x" * 10 + b"\r\na\r\n" + b"y" * 10 + b"\r\n0\r\n\r\n"),
         posted(b"x" * 10 + b"y" * 10)),
    good("zeros before the size", chunked(b"0003\r\nabc\r\n0000\r\n\r\n"), posted(b"abc")),
    good("extension", chunked(b"3;a=b\r\nabc\r\n0;c\r\n\r\n"), posted(b"abc")),
    good("extension in quotes", chunked(b'3;a="b;\\"c"\r\nabc\r\n0\r\n\r\n'), posted(b"abc")),
    good("trailer", chunked(b"3\r\nabc\r\n0\r\nX: late\r\nY: z\r\n\r\n"), posted(b"abc")),
    good("trailer does not become a header",
         post(b"Transfer-Encoding: chunked", b"X: early",
              body=b"0\r\nX: late\r\nCookie: a=b\r\n\r\n"),
         posted(b"", " X='early'")),
    good("trailer with Host", chunked(b"0\r\nHost: b\r\n\r\n"), posted(b"")),
    bad("trailer with Content-Length", chunked(b"0\r\nContent-Length: 3\r\n\r\nabc")),
    bad("trailer with Transfer-Encoding", chunked(b"0\r\nTransfer-Encoding: chunked\r\n\r\n")),
    bad("trailer without a colon", chunked(b"0\r\nabc\r\n\r\n")),
    bad("trailer folded", chunked(b"0\r\nX: y\r\n z\r\n\r\n")),
    bad("trailer with NUL", chunked(b"0\r\nX: \x00\r\n\r\n")),
    endless("trailer without end", chunked(b"0\r\n" + b"X: y\r\n" * 2000), 400),
    endless("extensions without end", chunked(b"1;" + b"a" * 20_000), 400),
    bad("extensions of every chunk", chunked((b"1;" + b"a" * 400 + b"\r\na\r\n") * 100)),
    bad("extension with a bare line feed", chunked(b"3;a\nabc\r\n0\r\n\r\n")),
    bad("extension with a bare return", chunked(b"3;a\rb\r\nabc\r\n0\r\n\r\n")),
    *(bad(f"size {size!r}", chunked(size + b"\r\na\r\n0\r\n\r\n")) for size in _SIZES),
    bad("no line break after a chunk", chunked(b"3\r\nabc0\r\n\r\n")),
    bad("a bare line feed after a chunk", chunked(b"3\r\nabc\n0\r\n\r\n")),
    bad("a bare return after a chunk", chunked(b"3\r\nabc\r0\r\n\r\n")),
    bad("chunk longer than its size", chunked(b"3\r\nabcd\r\n0\r\n\r\n")),
    bad("bare line feed after the size", chunked(b"3\nabc\r\n0\r\n\r\n")),
    bad("bare line feeds at the end", chunked(b"3\r\nabc\r\n0\n\n")),
    bad("other bytes after the last chunk", chunked(b"0\r\nxx\r\n")),
    bad("chunks over the limit",
         chunked(b"1000\r\n" + b"x" * 4096 + b"\r\n2000\r\n" + b"x" * 8192)),
]  # fmt: skip

_CONTROLS = (*range(9), *range(10, 32), 127)

FIELDS = [
    good("space around a value", request(b"GET / HTTP/1.1", b"X: \t y z \t "),
         "200 GET / HTTP/1.1 b'' X='y z'"),
    good("no space before a value", request(b"GET / HTTP/1.1", b"X:y"),
         "200 GET / HTTP/1.1 b'' X='y'"),
    good("empty value", request(b"GET / HTTP/1.1", b"X:"), "200 GET / HTTP/1.1 b'' X=''"),
    good("spaces only as a value", request(b"GET / HTTP/1.1", b"X: \t "),
         "200 GET / HTTP/1.1 b'' X=''"),
    good("tab within a value", request(b"GET / HTTP/1.1", b"X: a\tb"),
         "200 GET / HTTP/1.1 b'' X='a\\tb'"),
    good("bytes above ASCII in a value", request(b"GET / HTTP/1.1", b"X: \xe9\xff"),
         "200 GET / HTTP/1.1 b'' X='\xe9\xff'"),
    good("field twice", request(b"GET / HTTP/1.1", b"X: a", b"x: b"),
         "200 GET / HTTP/1.1 b'' X='a,b'"),
    good("every character of a name", request(b"GET / HTTP/1.1", b"!#$%&'*+-.^_`|~09azAZ: y")),
    bad("folded line", request(b"GET / HTTP/1.1", b"X: a\r\n b")),
    bad("folded line with tab", request(b"GET / HTTP/1.1", b"X: a\r\n\tb")),
    bad("folded line after an empty value", request(b"GET / HTTP/1.1", b"X:\r\n b")),
    bad("space before the first field", raw(b"GET / HTTP/1.1", b" Host: a")),
    bad("space before colon", request(b"GET / HTTP/1.1", b"X : y")),
    bad("space within a name", request(b"GET / HTTP/1.1", b"X Y: z")),
    bad("no name", request(b"GET / HTTP/1.1", b": y")),
    bad("no colon", request(b"GET / HTTP/1.1", b"XY")),
    bad("bytes above ASCII in a name", request(b"GET / HTTP/1.1", b"X\xe9: y")),
    *(bad(f"separator {sign!r} in a name", request(b"GET / HTTP/1.1", b"X%cY: z" % sign))
      for sign in b'(),/;<=>?@[\\]{}"'),
    *(bad(f"control {code} in a name", request(b"GET / HTTP/1.1", b"X%cY: z" % code))
      for code in (*_CONTROLS, 9)),
    *(bad(f"control {code} in a value", request(b"GET / HTTP/1.1", b"X: a%cb" % code))
      for code in _CONTROLS),
    bad("bare line feeds only", b"GET / HTTP/1.1\nHost: a\n\n"),
    bad("bare line feed at the head's end", b"GET / HTTP/1.1\r\nHost: a\r\n\n"),
    bad("bare line feed after a field", b"GET / HTTP/1.1\r\nHost: a\n\r\n"),
    bad("bare returns only", b"GET / HTTP/1.1\rHost: a\r\r"),
    bad("two returns", b"GET / HTTP/1.1\r\r\nHost: a\r\n\r\n"),
    bad("too many fields", request(b"GET / HTTP/1.1", *[b"X: y"] * MAX_FIELDS), 431),
    good("the most fields", request(b"GET / HTTP/1.1", *[b"Y: y"] * (MAX_FIELDS - 1))),
    bad("giant value", request(b"GET / HTTP/1.1", b"X: " + b"x" * 2 * MAX_HEAD_BYTES), 431),
    bad("giant first value", raw(b"GET / HTTP/1.1", b"X: " + b"x" * 2 * MAX_HEAD_BYTES), 431),
    bad("giant name", request(b"GET / HTTP/1.1", b"X" * 2 * MAX_HEAD_BYTES + b": x"), 431),
    bad("giant head of many", request(b"GET / HTTP/1.1", *[b"X: " + b"x" * 600] * 10), 431),
    endless("value without end", b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 6 * MAX_HEAD_BYTES,
         431),
]  # fmt: skip

TARGETS = [
    good("query", request(b"GET /a?b=c&d HTTP/1.1"), "200 GET /a?b=c&d HTTP/1.1 b''"),
    good("absolute target", request(b"GET http://a/b?c HTTP/1.1"),
         "200 GET http://a/b?c HTTP/1.1 b''"),
    good("asterisk", request(b"OPTIONS * HTTP/1.1"), "200 OPTIONS * HTTP/1.1 b''"),
    good("two slashes", request(b"GET //b HTTP/1.1"), "200 GET //b HTTP/1.1 b''"),
    good("dots", request(b"GET /../../b HTTP/1.1"), "200 GET /../../b HTTP/1.1 b''"),
    good("escapes", request(b"GET /%00%0d%0a HTTP/1.1"), "200 GET /%00%0d%0a HTTP/1.1 b''"),
    bad("no target", request(b"GET  HTTP/1.1")),
    bad("word as target", request(b"GET x HTTP/1.1")),
    bad("space in target", request(b"GET /a b HTTP/1.1")),
    bad("tab before target", request(b"GET\t/ HTTP/1.1")),
    bad("tab after target", request(b"GET /\tHTTP/1.1")),
    bad("bytes above ASCII in target", request("GET /\xe9 HTTP/1.1".encode("latin-1"))),
    *(bad(f"control {code} in target", request(b"GET /a%cb HTTP/1.1" % code))
      for code in (*_CONTROLS, 9)),
    bad("giant target", request(b"GET /" + b"x" * 2 * MAX_HEAD_BYTES + b" HTTP/1.1"), 414),
    endless("target without end", b"GET /" + b"x" * 6 * MAX_HEAD_BYTES, 414),
]  # fmt: skip

LINES = [
    *(good(f"method {name}", request(f"{name} / HTTP/1.1".encode()), f"200 {name} / HTTP/1.1 b''")
      for name in ("PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND")),
    good("method that the application does not know", request(b"SEARCH / HTTP/1.1"), "405"),
    good("empty lines before", b"\r\n\r\n" + request()),
    good("empty lines between", request() + b"\r\n\r\n" + request(),
         *["200 GET / HTTP/1.1 b''"] * 2),
    bad("unknown method", request(b"FOO / HTTP/1.1")),
    bad("method in lower case", request(b"get / HTTP/1.1")),
    bad("method with more after it", request(b"GETX / HTTP/1.1")),
    bad("method with NUL", request(b"GE\x00T / HTTP/1.1")),
    bad("method of RTSP", request(b"PLAY / HTTP/1.1")),
    bad("space before the method", request(b" GET / HTTP/1.1")),
    bad("HTTP/0.9", b"GET /\r\n\r\n"),
    bad("HTTP/0.9 that says so", request(b"GET / HTTP/0.9")),
    bad("HTTP/1.2", request(b"GET / HTTP/1.2")),
    bad("HTTP/1", request(b"GET / HTTP/1")),
    bad("HTTP/1.10", request(b"GET / HTTP/1.10")),
    bad("HTTP/01.1", request(b"GET / HTTP/01.1")),
    bad("HTTP/2.0", request(b"GET / HTTP/2.0")),
    bad("HTTP/3.0", request(b"GET / HTTP/3.0")),
    bad("preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00" * 9),
    bad("http in lower case", request(b"GET / http/1.1")),
    bad("no version", request(b"GET / ")),
    bad("another protocol", request(b"GET / HTCPCP/1.1")),
    bad("words after the version", request(b"GET / HTTP/1.1 x")),
    bad("a space after the version", request(b"GET / HTTP/1.1 ")),
    bad("a response", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    bad("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 40),
    bad("NULs", b"\x00" * 64),
    bad("a line of another protocol", b"EHLO a\r\n"),
]  # fmt: skip

HOSTS = [
    *(good(f"host {host!r}", raw(b"GET / HTTP/1.1", b"Host: " + host))
      for host in (b"", b"a", b"a.b:80", b"[::1]:80", b"a%20b", b"127.0.0.1", b" a ", b"a_b")),
    *(bad(f"host {host!r}", raw(b"GET / HTTP/1.1", b"Host: " + host))
      for host in (b"a b", b"a/b", b"a@b", b"a?b", b"a#b", b"a\\b", b"a<b", b'a"b', b"a%2",
           b"\xe9")),
    bad("no host", raw(b"GET / HTTP/1.1", b"X: y")),
    bad("host twice", raw(b"GET / HTTP/1.1", b"Host: a", b"Host: b")),
    bad("host twice, alike", raw(b"GET / HTTP/1.1", b"Host: a", b"Host: a")),
    bad("host after a comma", raw(b"GET / HTTP/1.1", b"Host: a", b"Host: ")),
    last("no host in HTTP/1.0", raw(b"GET / HTTP/1.0"), "200 GET / HTTP/1.0 b''"),
    bad("host twice in HTTP/1.0", raw(b"GET / HTTP/1.0", b"Host: a", b"Host: b")),
]  # fmt: skip

KEEPING = [
    last("HTTP/1.0", request(b"GET / HTTP/1.0"), "200 GET / HTTP/1.0 b''"),
    good("HTTP/1.0 kept alive", request(b"GET / HTTP/1.0", b"Connection: keep-alive"),
         "200 GET / HTTP/1.0 b''"),
    good("HTTP/1.0 kept alive, in capitals", request(b"GET / HTTP/1.0", b"Connection: Keep-Alive"),
         "200 GET / HTTP/1.0 b''"),
    good("HTTP/1.0 kept alive with a body",
         request(b"POST / HTTP/1.0", b"Connection: keep-alive", b"Content-Length: 3", body=b"abc"),
         "200 POST / HTTP/1.0 b'abc'"),
    last("HTTP/1.0 without a length", request(b"GET /streamed HTTP/1.0", b"Connection: keep-alive"),
         "200 one two three"),
    last("close", request(b"GET / HTTP/1.1", b"Connection: close")),
    last("close in capitals", request(b"GET / HTTP/1.1", b"Connection: CLOSE")),
    last("close among others", request(b"GET / HTTP/1.1", b"Connection: te, close")),
    last("close, then more", request(b"GET / HTTP/1.1", b"Connection: close") + request()),
    good("head", request(b"HEAD / HTTP/1.1"), "200", methods=("HEAD",)),
    good("head of what is streamed", request(b"HEAD /streamed HTTP/1.1"), "200", methods=("HEAD",)),
    good("streamed", request(b"GET /streamed HTTP/1.1"), "200 one two three"),
    good("204", request(b"GET /204 HTTP/1.1"), "204"),
    good("304", request(b"GET /304 HTTP/1.1"), "304"),
    good("204 to a post", request(b"POST /204 HTTP/1.1", b"Content-Length: 3", body=b"abc"), "204"),
    good("pipeline", b"".join(request(f"GET /{n} HTTP/1.1".encode()) for n in range(20)),
         *[f"200 GET /{n} HTTP/1.1 b''" for n in range(20)]),
    good("pipeline with bodies",
         (post(b"Content-Length: 3", body=b"abc") + chunked(b"3\r\ndef\r\n0\r\n\r\n")) * 5,
         *[posted(b"abc"), posted(b"def")] * 5),
    good("pipeline after a long body", post(b"Content-Length: 9000", body=b"x" * 9000) * 8,
         *[posted(b"x" * 9000)] * 8),
    good("chunks after a long body",
         (post(b"Content-Length: 9000",
              body=b"x" * 9000) + chunked(b"1\r\na\r\n" * 50 + b"0\r\n\r\n"))
         * 4, *[posted(b"x" * 9000), posted(b"a" * 50)] * 4),
    last("early answer to an upload",
         request(b"POST /early HTTP/1.1", b"Content-Length: 9000", body=b"x" * 9000), "403 no"),
    last("early answer to chunks",
         request(b"POST /early HTTP/1.1", b"Transfer-Encoding: chunked",
                 body=b"1000\r\n" + b"x" * 4096 + b"\r\n0\r\n\r\n"), "403 no"),
    good("early answer without a body", request(b"POST /early HTTP/1.1"), "403 no"),
]  # fmt: skip

EXPECTATIONS = [
    good("100-continue", post(b"Expect: 100-continue", b"Content-Length: 3", body=b"abc"),
         "100", posted(b"abc")),
    good("100-continue in capitals", post(b"Expect: 100-Continue ", b"Content-Length: 3",
         body=b"abc"),
         "100", posted(b"abc")),
    good("100-continue with chunks",
         post(b"Expect: 100-continue", b"Transfer-Encoding: chunked",
              body=b"3\r\nabc\r\n0\r\n\r\n"),
         "100", posted(b"abc")),
    good("100-continue without a body", request(b"GET / HTTP/1.1", b"Expect: 100-continue")),
    last("100-continue in HTTP/1.0",
         request(b"POST / HTTP/1.0", b"Expect: 100-continue", b"Content-Length: 3", body=b"abc"),
         "200 POST / HTTP/1.0 b'abc'"),
    good("unknown expectation", post(b"Expect: 200-ok", b"Content-Length: 3", body=b"abc"),
         posted(b"abc")),
    bad("100-continue with too long a body", post(b"Expect: 100-continue",
         b"Content-Length: 10001")),
    last("100-continue answered early",
         request(b"POST /early HTTP/1.1", b"Expect: 100-continue", b"Content-Length: 3",
              body=b"abc"),
         "403 no"),
]  # fmt: skip

UPGRADES = [
    good("h2c", request(b"GET / HTTP/1.1", b"Upgrade: h2c", b"Connection: Upgrade, HTTP2-Settings",
                        b"HTTP2-Settings: AAMAAABkAAQAAP__")),
    good("h2c with a body",
         post(b"Upgrade: h2c", b"Connection: Upgrade", b"Content-Length: 3", body=b"abc"),
         posted(b"abc")),
    good("h2c with chunks",
         post(b"Upgrade: h2c", b"Connection: Upgrade", b"Transfer-Encoding: chunked",
              body=b"3\r\nabc\r\n0\r\n\r\n"), posted(b"abc")),
    good("h2c, then more", request(b"GET / HTTP/1.1", b"Upgrade: h2c", b"Connection: upgrade")
         + post(b"Content-Length: 3", body=b"abc"), "200 GET / HTTP/1.1 b''", posted(b"abc")),
    good("h2c with a body after another request",
         request(b"GET /streamed HTTP/1.1")
         + post(b"Upgrade: h2c", b"Connection: Upgrade", b"Content-Length: 3", body=b"abc"),
         "200 one two three", posted(b"abc")),
    good("upgrade that is not asked for", request(b"GET / HTTP/1.1", b"Upgrade: h2c")),
    good("connect", request(b"CONNECT a:443 HTTP/1.1"), "405"),
    bad("h2c, host twice", request(b"GET / HTTP/1.1", b"Host: b", b"Upgrade: h2c",
                                   b"Connection: upgrade")),
    bad("h2c, length and chunked",
        post(b"Upgrade: h2c", b"Connection: Upgrade", b"Content-Length: 3",
             b"Transfer-Encoding: chunked", body=b"3\r\nabc\r\n0\r\n\r\n")),
    bad("h2c, unknown coding",
        post(b"Upgrade: h2c", b"Connection: Upgrade", b"Transfer-Encoding: xchunked",
             body=b"0\r\n\r\n")),
]  # fmt: skip

GROUPS = {
    "length": LENGTH, "codings": CODINGS, "chunks": CHUNKS, "fields": FIELDS, "targets": TARGETS,
    "lines": LINES, "hosts": HOSTS, "keeping": KEEPING, "expectations": EXPECTATIONS,
    "upgrades": UPGRADES,
}  # fmt: skip
CASES = [case for group in GROUPS.values() for case in group]
