"""Reading the body of a request, within a size and a time; what it means is elsewhere."""

import asyncio

from starlette.requests import ClientDisconnect, Request

BODY_TIMEOUT_S = 10.0


class RefusedError(Exception):
    """A request that is refused; the text says why.

    Attributes:
      status: of the HTTP response.
    """

    def __init__(self, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.status = status


async def read_body(request: Request, max_bytes: int) -> bytes:
    """The body of a request.

    Raises:
      RefusedError: it is larger than max_bytes, comes too slowly, or is cut off.
    """
    too_large = RefusedError(f"the body has more than {max_bytes:,} bytes", 413)
    length = request.headers.get("content-length", "0")
    if not length.isdecimal() or int(length[:20]) > max_bytes:
        raise too_large
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            async for part in request.stream():
                body += part
                if len(body) > max_bytes:
                    raise too_large
    except TimeoutError:
        raise RefusedError(f"the body did not come within {BODY_TIMEOUT_S:g} s", 408) from None
    except ClientDisconnect:
        raise RefusedError("the body was cut off") from None
    return bytes(body)
