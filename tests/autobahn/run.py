"""Runs the cases of the Autobahn test suite against a server that echoes, and prints what became of each.

    run.py CASES_DIRECTORY TEXT_URL BINARY_URL [--messages N]

The suite's cases are Python 2. They are loaded as they are, with the few changes that `python3()` makes, and each is given
the client protocol below, which is autobahn's own for Python 3. In the cases a string of octets is a `str` with a character
for each octet; the protocol turns it into bytes and back.
"""

import argparse
import binascii
import importlib.abc
import importlib.util
import os
import re
import sys
import types

from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol
from autobahn.websocket.utf8validator import Utf8Validator
from twisted.internet import reactor

AT_ONCE = 8
# Cases that measure, and those that are large, run alone.
ALONE = ("9.", "10.", "12.", "13.")
# A case of the suite whose message comes back as binary.
BINARY = ("1.2.", "9.2.", "9.4.", "9.6.", "9.8.")


def octets(value):
    return value.encode("latin-1") if isinstance(value, str) else value


class Validator(Utf8Validator):
    def validate(self, value):
        return super().validate(octets(value))


def b2a_hex(value):
    return binascii.b2a_hex(octets(value)).decode()


def later_name(match):
    """autobahn's names came to be written with underscores."""
    return re.sub(r"[A-Z]", lambda letter: "_" + letter[0].lower(), match[0])


def python3(source):
    """Source in Python 2, with octets for characters, as Python 3."""
    source = re.sub(r"(?m)^(\s*)print\b.*$", r"\1pass", source)
    source = re.sub(r"(?m)^from autobahn\.websocket\.utf8validator import.*$", "", source)
    source = re.sub(r"(?m)^from zope\.interface import implements$", "implements = lambda *interfaces: None", source)
    source = re.sub(r"\bbinascii\.b2a_hex\(", "b2a_hex(", source)
    source = re.sub(r"\(object, Case, ?\)", "(Case,)", source)
    source = re.sub(r"\b(request|accept)(NoContextTakeover|MaxWindowBits)\b", later_name, source)
    return re.sub(r"(len\([\w.]+\)) / ", r"\1 // ", source)


class Cases(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports the suite's modules."""

    def __init__(self, directory):
        self.directory = directory

    def find_spec(self, name, path, target=None):
        file = "__init__.py" if name == "all_cases" else name + ".py"
        origin = os.path.join(self.directory, file)
        if "." in name or not os.path.exists(origin):
            return None
        return importlib.util.spec_from_loader(name, self, origin=origin)

    def exec_module(self, module):
        with open(module.__spec__.origin, encoding="latin-1", newline=None) as file:
            code = compile(python3(file.read()), module.__spec__.origin, "exec")
        given = {"xrange": range, "unichr": chr, "b2a_hex": b2a_hex, "Utf8Validator": Validator}
        module.__dict__.update(given)
        exec(code, module.__dict__)


def load(directory):
    resources = types.ModuleType("pkg_resources")
    resources.resource_filename = lambda _, path: os.path.join(directory, "..", path)
    sys.modules["pkg_resources"] = resources
    sys.meta_path.insert(0, Cases(directory))
    import all_cases
    from case import Case

    # Pickles tell equal strings apart by where else they are used.
    Case.compare = lambda self, one, other: one == other
    return {name_of(case): case for case in all_cases.Cases}


def name_of(case):
    return case.__name__[len("Case"):].replace("_", ".")


class Peer(WebSocketClientProtocol):
    """What a case calls `self.p`."""

    connectionWasOpen = False
    createWirelog = False
    runCase = None

    def begin(self, case):
        self.txFrameStats = {}
        # The payload of these is bytes in the suite too.
        self.takes_bytes = hasattr(case, "TESTDATA")
        self.runCase = case(self)

    def enableWirelog(self, _):
        pass

    def logTxFrame(self, header, *_):
        self.txFrameStats[header.opcode] = self.txFrameStats.get(header.opcode, 0) + 1

    def logRxFrame(self, *_):
        pass

    def received(self, payload):
        return payload if self.takes_bytes else payload.decode("latin-1")

    def onOpen(self):
        self.connectionWasOpen = True
        self.runCase.onOpen()

    def onMessage(self, payload, isBinary):
        self.runCase.onMessage(self.received(payload), isBinary)

    def onPong(self, payload):
        self.runCase.onPong(self.received(payload))

    def onClose(self, wasClean, code, reason):
        self.runCase.onClose(wasClean, code, reason)

    def connectionLost(self, reason):
        super().connectionLost(reason)
        self.runCase.onConnectionLost(self.failedByMe)
        self.factory.over(self.runCase)

    def sendFrame(self, opcode, payload=b"", *more, **named):
        super().sendFrame(opcode, octets(payload), *more, **named)

    def sendMessage(self, payload, *more, **named):
        super().sendMessage(octets(payload), *more, **named)

    def sendMessageFrameData(self, payload, *more, **named):
        return super().sendMessageFrameData(octets(payload), *more, **named)

    def sendCloseFrame(self, code=None, reasonUtf8=None, isReply=False):
        super().sendCloseFrame(code, octets(reasonUtf8), isReply)

    def sendClose(self, code=None, reason=None):
        self.sendCloseFrame(code, reason)

    def later(self, delay, action):
        reactor.callLater(delay, lambda: self.state != self.STATE_CLOSED and action())

    def continueLater(self, delay, action, tag=None):
        self.later(delay, action)

    def killAfter(self, delay):
        self.later(delay, lambda: self._fail_connection())

    def closeAfter(self, delay):
        self.later(delay, lambda: self.sendClose())


class Factory(WebSocketClientFactory):
    noisy = False

    def __init__(self, url, case, over):
        super().__init__(url)
        self.case = case
        self.over = over
        self.logFrames = True
        self.setProtocolOptions(failByDrop=False, openHandshakeTimeout=30, closeHandshakeTimeout=5,
                                serverConnectionDropTimeout=5)

    def buildProtocol(self, _):
        peer = Peer()
        peer.factory = self
        peer.begin(self.case)
        return peer

    def clientConnectionFailed(self, connector, reason):
        print("cannot connect:", reason.getErrorMessage(), file=sys.stderr)
        os._exit(2)


class Run:
    def __init__(self, cases, urls):
        self.names = list(cases)
        self.cases = cases
        self.urls = urls
        self.results = {}
        self.waiting = list(reversed(self.names))
        self.running = set()
        self.go_on()

    def go_on(self):
        while self.waiting and len(self.running) < AT_ONCE:
            name = self.waiting[-1]
            if self.running and (name.startswith(ALONE) or self.is_alone):
                return
            self.is_alone = name.startswith(ALONE)
            self.waiting.pop()
            self.running.add(name)
            self.start(name)
        if not self.waiting and not self.running:
            reactor.stop()

    def start(self, name):
        case = self.cases[name]
        data = getattr(case, "TESTDATA", None)
        is_binary = data["binary"] if data else name.startswith(BINARY)
        url = self.urls[is_binary]

        def over(result):
            if name not in self.running:
                return
            self.running.discard(name)
            self.results[name] = (result.behavior, result.behaviorClose)
            if "FAILED" in (result.behavior, result.behaviorClose):
                print(name, result.result, result.resultClose, file=sys.stderr)
            reactor.callLater(0, self.go_on)

        reactor.connectTCP(url.split("://")[1].split(":")[0], int(url.rsplit(":", 1)[1]), Factory(url, case, over))


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("directory")
    arguments.add_argument("text")
    arguments.add_argument("binary")
    arguments.add_argument("--messages", type=int, help="at most so many in a case that counts them")
    arguments.add_argument("--only", default="", help="cases whose number begins so")
    arguments = arguments.parse_args()
    cases = load(arguments.directory)
    for case in cases.values():
        if arguments.messages and hasattr(case, "COUNT"):
            case.COUNT = min(case.COUNT, arguments.messages)
    cases = {name: case for name, case in cases.items() if name.startswith(arguments.only)}
    run = Run(cases, [arguments.text, arguments.binary])
    reactor.run()
    for name in run.names:
        behavior, close = run.results[name]
        print(f"{name}\t{behavior}\t{close}")


main()
