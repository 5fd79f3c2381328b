// faye-websocket: sends back what comes until "bye", pings, closes.
'use strict';

const {Client} = require('faye-websocket');

const socket = new Client(process.argv[2]);
socket.on('message', ({data}) => {
    if (data.toString() === 'bye') {
        socket.ping('are you there', () => socket.close(1000));
    } else {
        socket.send(data);
    }
});
socket.on('error', error => console.log(error.message));
socket.on('close', ({code}) => console.log(`closed ${code}`));
