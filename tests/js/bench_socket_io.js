// A socket.io server whose clients may recover what they have missed; see tests/benches/load/recovery.rs. POST /publish/all sends its
// body to all.
'use strict';

const http = require('node:http');
const {Server} = require('socket.io');

const server = http.createServer((request, response) => {
    const chunks = [];
    request.on('data', (chunk) => chunks.push(chunk));
    request.on('end', () => {
        io.emit('message', Buffer.concat(chunks).toString());
        response.end('sent');
    });
});
const io = new Server(server, {
    transports: ['websocket'],
    connectionStateRecovery: {maxDisconnectionDuration: 60_000, skipMiddlewares: true},
});
server.listen(0, '127.0.0.1', () => console.log(`ready 127.0.0.1:${server.address().port}`));
