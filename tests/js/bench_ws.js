// A push server on ws, to compare with; see bench_uws.js. Its pings are those of ws's README.
'use strict';

const {WebSocketServer} = require('ws');

const NEWLINE = 10;
const topics = new Map();
const server = new WebSocketServer({host: '127.0.0.1', port: 0, perMessageDeflate: false, clientTracking: false});

function publish(message) {
    const end = message.indexOf(NEWLINE);
    const payload = message.subarray(end + 1);
    for (const socket of topics.get(message.latin1Slice(0, end)) ?? []) {
        socket.send(payload, {binary: false});
    }
}

function ping() {
    for (const members of topics.values()) {
        for (const socket of members) {
            if (!socket.isAlive) {
                socket.terminate();
                continue;
            }
            socket.isAlive = false;
            socket.ping();
        }
    }
}

if (process.env.PING_SECONDS) {
    setInterval(ping, 1000 * Number(process.env.PING_SECONDS));
}

function join(topic, socket) {
    const members = topics.get(topic) ?? new Set();
    topics.set(topic, members.add(socket));
    socket.isAlive = true;
    socket.on('pong', () => socket.isAlive = true);
    socket.on('message', (message, isBinary) => socket.send(message, {binary: isBinary}));
    socket.on('close', () => members.delete(socket) && members.size === 0 && topics.delete(topic));
}

server.on('connection', (socket, request) => {
    socket.on('error', () => {});
    if (request.url === '/control') {
        socket.on('message', publish);
    } else {
        join(request.url.slice(1), socket);
    }
});
server.on('listening', () => console.log(`ready 127.0.0.1:${server.address().port}`));
