// A push server on uWebSockets, to compare with. The path that a client asks for is its topic; whoever asks for /control
// publishes, each message "topic\npayload". With the files of a certificate and of its key as arguments clients speak TLS, and whoever
// publishes does not. PING_SECONDS is the time of silence after which clients are pinged.
'use strict';

const uws = require('uwebsockets');

const NEWLINE = 10;
const [certificate, key] = process.argv.slice(2);
const app = certificate ? uws.SSLApp({cert_file_name: certificate, key_file_name: key}) : uws.App();
const control = certificate ? uws.App() : app;
// The last 16 seconds of a long time of silence are for the answer to a ping.
const ANSWER = 16;
const silence = process.env.PING_SECONDS ? Number(process.env.PING_SECONDS) + ANSWER : 0;
const limits = {compression: uws.DISABLED, idleTimeout: silence, maxPayloadLength: 1 << 20, maxBackpressure: 16 << 20};

control.ws('/control', {
    ...limits,
    message: (_, message) => {
        const bytes = Buffer.from(message);
        const end = bytes.indexOf(NEWLINE);
        app.publish(bytes.latin1Slice(0, end), bytes.subarray(end + 1), false);
    },
});
app.ws('/*', {
    ...limits,
    upgrade: (response, request, context) => {
        const header = name => request.getHeader(`sec-websocket-${name}`);
        const topic = request.getUrl().slice(1);
        response.upgrade({topic}, header('key'), header('protocol'), header('extensions'), context);
    },
    open: socket => socket.subscribe(socket.getUserData().topic),
    message: (socket, message, isBinary) => socket.send(message, isBinary),
});
const address = socket => `127.0.0.1:${uws.us_socket_local_port(socket)}`;
app.listen('127.0.0.1', 0, clients => {
    if (control === app) {
        console.log(`ready ${address(clients)}`);
    } else {
        control.listen('127.0.0.1', 0, publisher => console.log(`ready ${address(clients)} ${address(publisher)}`));
    }
});
