"""What a client may send: sound requests, requests with one thing wrong, and bytes gone astray."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random

_METHODS = (b"GET", b"POST", b"PUT", b"HEAD", b"OPTIONS", b"DELETE", b"PATCH")
_ODD_METHODS = (b"FOO", b"get", b"CONNECT", b"PRI", b"M-SEARCH", b"", b"G\x00T", b"PLAY", b"QUERY")
_TARGETS = (b"/", b"/a", b"/a?b=c", b"/held", b"/later", b"/early", b"/slow", b"*", b"http://a/b")
_ODD_TARGETS = (b"", b"x", b"/ b", b"/\x00", b"/\xe9", b"/\t", b"//", b"/#f", b"http://", b"/%zz")
_VERSIONS = (b"HTTP/1.1",) * 8 + (b"HTTP/1.0",)
_ODD_VERSIONS = (b"HTTP/0.9", b"HTTP/2.0", b"HTTP/1.2", b"http/1.1", b"HTTP/1.1 ", b"", b"RTSP/1.0")
_FIELDS = (
    b"Connection: close", b"Connection: keep-alive", b"Connection: te", b"Expect: 100-continue",
    b"Cookie: a=b; c=d", b"X: y", b"X:y", b"X: \xe9", b"X:", b"X:  y \t", b"Accept: */*",
    b"Content-Type: text/plain",
)  # fmt: skip
_ODD_FIELDS = (
    b"Content-Length: 3", b"Content-Length: 0", b"Content-Length: -1", b"Content-Length: 3, 3",
    b"Content-Length: 0x3", b"Content-Length: 18446744073709551616", b"Content-Length : 3",
    b"Content-Length:", b"Transfer-Encoding: chunked", b"Transfer-Encoding: xchunked",
    b"Transfer-Encoding: chunked, identity", b"Transfer-Encoding: gzip, chunked",
    b"Transfer-Encoding:\r\n chunked", b"Transfer-Encoding : chunked", b"Transfer-Encoding: ",
    b"Transfer-Encoding: Chunked ", b"transfer-encoding:\tchunked", b"Host: b", b"Host: a b",
         b"Host:",
    b" folded", b"\tfolded", b"no colon", b": no name", b"X\x00: y", b"X: \x00", b"X: a\rb",
         b"X: a\nb",
    b"X\xe9: y", b"Upgrade: h2c\r\nConnection: upgrade", b"Upgrade: websocket", b"Expect: other",
    b"Connection: upgrade", b"X: " + b"x" * 300, b"X: y\r\n" * 30, b"\r\n", b"\n", b"\r",
)  # fmt: skip
_TRAILERS = (b"X: late\r\n", b"Host: b\r\n", b"Content-Length: 3\r\n", b"Connection: close\r\n",
             b"Transfer-Encoding: chunked\r\n", b"no colon\r\n", b" folded\r\n")  # fmt: skip
_ODD_SIZES = (b"-1", b"+1", b"0x1", b"1 ", b" 1", b"", b"g", b"ffffffffffffffff", b"1_0",
     b"00000001",
              b"fffffffffffffffff", b"1;" + b"e" * 200, b"1;a=b", b'1;a="b"', b"1;a\n")  # fmt: skip
_BITS = (b"\r\n", b"\n", b"\r", b"\x00", b" ", b"\t", b":", b"\xff", b"0\r\n\r\n", b"\r\n\r\n",
     b"chunked",
         b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"Content-Length: 5\r\n", b";", b",",
              b"1")  # fmt: skip


def stream(random: Random) -> bytes:
    """Bytes of one connection: some requests, and often something wrong with them."""
    data = b"".join([_request(random) for _ in range(random.choice((1, 1, 2, 3)))])
    if random.random() < 0.35:
        for _ in range(random.choice((1, 1, 2, 4))):
            data = _astray(random, data)
    return data


def cuts(random: Random, size: int) -> list[int]:
    """Where to cut so many bytes into pieces: the places, in order, with both ends."""
    way = random.random()
    if way < 0.2:
        return list(range(size + 1)) if size else [0, 0]
    inner = sorted(random.randrange(size + 1) for _ in range(random.choice((1, 1, 2, 3, 8))))
    return [0, *inner, size]


def _request(random: Random) -> bytes:
    oddness = random.random()
    method = random.choice(_ODD_METHODS if oddness < 0.04 else _METHODS)
    target = random.choice(_ODD_TARGETS if 0.04 < oddness < 0.08 else _TARGETS)
    version = random.choice(_ODD_VERSIONS if 0.08 < oddness < 0.12 else _VERSIONS)
    fields = [b"Host: a"] if random.random() < 0.97 else []
    fields += random.choices(_FIELDS, k=random.choice((0, 0, 1, 2, 4)))
    body = _body(random, fields)
    if 0.12 < oddness < 0.35:
        fields.insert(random.randrange(len(fields) + 1), random.choice(_ODD_FIELDS))
    before = b"\r\n" * random.choice((0, 0, 0, 0, 1, 2))
    space = b" " if random.random() < 0.98 else b"  "
    first = b"".join([before, method, space, target, b" ", version, b"\r\n"])
    return b"".join([first, *[field + b"\r\n" for field in fields], b"\r\n", body])


def _body(random: Random, fields: list[bytes]) -> bytes:
    way = random.random()
    if way < 0.4:
        return b""
    text = random.choice((b"abc", b"", b"0\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"x" * 40))
    text *= random.choice((1, 1, 2, 8))
    if way < 0.7:
        fields.append(b"Content-Length: %d" % len(text))
        return text
    fields.append(b"Transfer-Encoding: chunked")
    return _chunked(random, text)


def _chunked(random: Random, text: bytes) -> bytes:
    parts = []
    while text:
        length = min(random.choice((1, 3, 20)), len(text))
        size = b"%x" % length if random.random() < 0.97 else random.choice(_ODD_SIZES)
        parts += [size, b"\r\n", text[:length], b"\r\n" if random.random() < 0.99 else b"\n"]
        text = text[length:]
    trailers = [random.choice(_TRAILERS)] if random.random() < 0.1 else []
    return b"".join([*parts, b"0\r\n", *trailers, b"\r\n"])


def _astray(random: Random, data: bytes) -> bytes:
    """The same bytes with one thing changed."""
    at, to = random.randrange(len(data) + 1), random.randrange(len(data) + 1)
    end = min(len(data), at + random.choice((1, 2, 8, 40)))
    before, part, after = data[:at], data[at:end], data[end:]
    changes = (
        before + bytes([random.randrange(256)]) + data[at + 1 :],
        before + random.choice(_BITS) + part + after,
        before + after,
        before + part * 2 + after,
        data[:to] + part + data[to:],
        before,
    )
    return random.choice(changes)
