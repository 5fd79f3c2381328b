# ws4py: sends back what comes until "bye", pings, closes.
import sys

from ws4py.client.threadedclient import WebSocketClient
from ws4py.messaging import PingControlMessage


class Client(WebSocketClient):
    def opened(self):
        # It loses all but the first of several messages that it reads with the answer to its request.
        self.send("ready")

    def received_message(self, message):
        if message.data == b"bye":
            self.send(PingControlMessage("are you there"))
        else:
            self.send(message.data, binary=message.is_binary)

    def ponged(self, pong):
        self.close(1000)

    def closed(self, code, reason=None):
        print("closed", code)


client = Client(sys.argv[1])
client.connect()
client.run_forever()
