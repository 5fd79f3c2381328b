// A socket.io server, to compare with. A client gets the messages of the topic that its request names, and without one those of the topic
// "all". POST /publish/TOPIC sends its body there. With RECOVERS clients may recover what they have missed; see
// tests/benches/load/recovery.rs.
'use strict';

const http = require('node:http');
const {Server} = require('socket.io');

const PUBLISH = '/publish/';
// As in the other servers, nothing but what is measured happens on the connections; an hour is longer than any run.
const NEVER = 3_600_000;
const server = http.createServer((request, response) => {
    const chunks = [];
    request.on('data', (chunk) => chunks.push(chunk));
    request.on('end', () => {
        io.to(request.url.slice(PUBLISH.length)).emit('message', Buffer.concat(chunks).toString());
        response.end('sent');
    });
});
const recovery = {connectionStateRecovery: {maxDisconnectionDuration: 60_000, skipMiddlewares: true}};
const io = new Server(server, {
    transports: ['websocket'],
    pingInterval: NEVER,
    ...(process.env.RECOVERS ? recovery : {}),
});
io.on('connection', (socket) => socket.join(socket.handshake.query.topic ?? 'all'));
server.listen(0, '127.0.0.1', () => console.log(`ready ${server.address().address}:${server.address().port}`));
