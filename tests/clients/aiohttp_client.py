# aiohttp: sends back what comes until "bye", pings, closes.
import asyncio
import sys

import aiohttp


async def main():
    async with aiohttp.ClientSession() as session:
        async with session.ws_connect(sys.argv[1], autoping=False) as socket:
            async for message in socket:
                if message.type == aiohttp.WSMsgType.PING:
                    await socket.pong(message.data)
                elif message.type == aiohttp.WSMsgType.PONG:
                    break
                elif message.data in ("bye", b"bye"):
                    await socket.ping(b"are you there")
                elif message.type == aiohttp.WSMsgType.TEXT:
                    await socket.send_str(message.data)
                else:
                    await socket.send_bytes(message.data)
            await socket.close()
            print("closed", socket.close_code)


asyncio.run(main())
