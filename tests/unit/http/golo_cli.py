"""Requests of golo-cli of 2018, byte for byte: Go's net/http and mime/multipart.

It sends a bytes.Buffer with a Content-Length; its boundary has 60 hexadecimal digits; its request
to /queue has no Content-Type.
"""

from __future__ import annotations

BOUNDARY = b"6d2f0e3b1c9a58477bd04e1fa2c35d8890ab7cde61f2034d5e6f708192a3"


def upload(content: bytes, boundary: bytes = BOUNDARY) -> bytes:
    """Return the request that uploads ``./schedule``."""
    body = (
        b"--" + boundary + b"\r\n"
        b'Content-Disposition: form-data; name="file"; filename="./schedule"\r\n'
        b"Content-Type: application/octet-stream\r\n"
        b"\r\n" + content + b"\r\n--" + boundary + b"--\r\n"
    )
    return (
        b"POST /upload HTTP/1.1\r\n"
        b"Host: localhost:8081\r\n"
        b"User-Agent: Go-http-client/1.1\r\n"
        b"Content-Length: %d\r\n"
        b"Content-Type: multipart/form-data; boundary=%s\r\n"
        b"Accept-Encoding: gzip\r\n"
        b"\r\n" % (len(body), boundary)
    ) + body


def queue(body: bytes) -> bytes:
    """Return the request that queues a job."""
    return (
        b"POST /queue HTTP/1.1\r\n"
        b"Host: localhost:8081\r\n"
        b"User-Agent: Go-http-client/1.1\r\n"
        b"Content-Length: %d\r\n"
        b"Accept-Encoding: gzip\r\n"
        b"\r\n" % len(body)
    ) + body
