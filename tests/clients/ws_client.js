// ws: sends back what comes until "bye", pings, closes.
'use strict';

const WebSocket = require('ws');

const socket = new WebSocket(process.argv[2]);
socket.on('message', (data, isBinary) => {
    if (data.toString() === 'bye') {
        socket.ping('are you there');
    } else {
        socket.send(data, {binary: isBinary});
    }
});
socket.on('pong', () => socket.close(1000));
socket.on('close', code => console.log(`closed ${code}`));
