"""A stream's client made of Debian's python3-websockets: prints a line of JSON for each thing that it sees.

Arguments: URL, the first frame, `deflate` or `plain`.
"""

import asyncio
import json
import sys

import websockets


def tell(what, value):
    print(json.dumps({what: value}), flush=True)


async def main(url, first, compression):
    async with websockets.connect(url, compression=compression) as stream:
        tell("extensions", stream.response_headers.get("Sec-WebSocket-Extensions", ""))
        try:
            # Who is not let in may be told so before this.
            await stream.send(first)
            while True:
                tell("frame", json.loads(await stream.recv()))
        except websockets.ConnectionClosed as closed:
            received = closed.rcvd
            tell("close", {"code": received.code, "reason": received.reason} if received else None)


asyncio.run(main(sys.argv[1], sys.argv[2], "deflate" if sys.argv[3] == "deflate" else None))
