# Qt's QWebSocket: sends back what comes until "bye", pings, closes.
import sys

from PyQt5.QtCore import QCoreApplication, QUrl
from PyQt5.QtWebSockets import QWebSocket, QWebSocketProtocol

app = QCoreApplication(sys.argv)
socket = QWebSocket()


def take(data, send):
    if data in ("bye", b"bye"):
        socket.ping(b"are you there")
    else:
        send(data)


def end():
    print("closed", int(socket.closeCode()))
    app.quit()


socket.textMessageReceived.connect(lambda data: take(data, socket.sendTextMessage))
socket.binaryMessageReceived.connect(lambda data: take(bytes(data), socket.sendBinaryMessage))
socket.pong.connect(lambda *_: socket.close(QWebSocketProtocol.CloseCodeNormal))
socket.disconnected.connect(end)
socket.open(QUrl(sys.argv[1]))
app.exec_()
