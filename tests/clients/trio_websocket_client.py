# trio-websocket: sends back what comes until "bye", pings, closes.
import sys

import trio
import trio_websocket


async def main():
    async with trio_websocket.open_websocket_url(sys.argv[1]) as socket:
        while (data := await socket.get_message()) not in ("bye", b"bye"):
            await socket.send_message(data)
        await socket.ping(b"are you there")
        await socket.aclose(1000)
        print("closed", socket.closed.code.value)


trio.run(main)
