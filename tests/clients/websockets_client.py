# websockets: sends back what comes until "bye", pings, closes.
import asyncio
import sys

import websockets


async def main():
    async with websockets.connect(sys.argv[1], max_size=1 << 24) as socket:
        async for data in socket:
            if data in ("bye", b"bye"):
                await (await socket.ping())
                break
            await socket.send(data)
        await socket.close()
        print("closed", socket.close_code)


asyncio.run(main())
