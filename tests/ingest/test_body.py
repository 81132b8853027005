import gzip
import os
import time
import zlib
from collections.abc import Callable

import pytest

from monitor.ingest.body import read_body
from monitor.ingest.problem import Problem
from monitor.server.messages import Request

TEXT = b'{"mac_address":"02:00:00:00:00:0a"}\n' * 5_000
LIMIT = 1_000_000


def read(body: bytes, encoding: str, limit: int = LIMIT) -> bytes:
    request = Request("POST", "/", "/", "", "1.1", {"content-encoding": encoding})
    request.body = body
    return read_body(request, limit)


def raw(data: bytes) -> bytes:
    """A raw DEFLATE stream (RFC 1951)."""
    deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return deflate.compress(data) + deflate.flush()


@pytest.mark.parametrize(
    ("compress", "encoding"),
    [
        (gzip.compress, "gzip"),
        (gzip.compress, "X-GZip"),
        (zlib.compress, "deflate"),
        (raw, "deflate"),
    ],
)
def test_each_content_encoding_is_decoded(
    compress: Callable[[bytes], bytes], encoding: str
) -> None:
    noise = os.urandom(300_000)  # longer than one chunk of output
    assert read(compress(TEXT), encoding) == TEXT
    assert read(compress(noise), encoding) == noise
    with pytest.raises(Problem, match="at most 1000000 bytes"):
        read(compress(bytes(10 * LIMIT)), encoding)
    with pytest.raises(Problem, match="incomplete"):
        read(compress(TEXT)[:-9], encoding)


def test_gzip_body_with_several_members_is_decoded() -> None:
    assert read(gzip.compress(b"a") * 900, "gzip") == b"a" * 900
    noise = os.urandom(200_000)
    assert read(gzip.compress(noise) + gzip.compress(b"end"), "gzip") == noise + b"end"


def test_number_of_gzip_members_is_limited() -> None:
    body = gzip.compress(b"") * 200_000
    began = time.process_time()
    with pytest.raises(Problem, match="more than 1000 gzip members"):
        read(body, "gzip", 10 * LIMIT)
    assert time.process_time() - began < 5  # a quadratic reader took 90 s


def test_many_gzip_members_are_read_in_linear_time() -> None:
    noise = os.urandom(10_000)
    body = gzip.compress(noise) * 1_000
    began = time.process_time()
    assert read(body, "gzip", 11 * LIMIT) == noise * 1_000
    assert time.process_time() - began < 5  # 0.1 s on an idle machine
