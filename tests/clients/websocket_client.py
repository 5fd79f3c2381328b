# websocket-client: sends back what comes until "bye", pings, closes.
import struct
import sys

import websocket

socket = websocket.create_connection(sys.argv[1])
while True:
    opcode, data = socket.recv_data()
    if data == b"bye":
        break
    socket.send(data, opcode)
socket.ping("are you there")
opcode, frame = socket.recv_data_frame(control_frame=True)
assert opcode == websocket.ABNF.OPCODE_PONG and frame.data == b"are you there", (opcode, frame)
socket.send_close(1000)
opcode, data = socket.recv_data(control_frame=True)
assert opcode == websocket.ABNF.OPCODE_CLOSE, opcode
print("closed", *struct.unpack("!H", data[:2]))
