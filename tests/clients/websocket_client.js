// websocket of npm: sends back what comes until "bye", pings, closes.
'use strict';

const {client: Client} = require('websocket');

const client = new Client({maxReceivedFrameSize: 1 << 24, maxReceivedMessageSize: 1 << 24});
client.on('connectFailed', error => console.log(error.message));
client.on('connect', socket => {
    socket.on('message', ({type, utf8Data, binaryData}) => {
        const data = type === 'utf8' ? utf8Data : binaryData;
        if (data.toString() === 'bye') {
            socket.ping('are you there');
        } else {
            socket.send(data);
        }
    });
    socket.on('pong', () => socket.close(1000));
    socket.on('close', code => console.log(`closed ${code}`));
});
client.connect(process.argv[2]);
