// Clients of socket.io that take numbered messages: bench_socket_io_clients.js URL CLIENTS MESSAGES. It says when all are connected, and,
// five seconds after the last number has come to the first of them or when all have it, how many have each number once and in order.
'use strict';

const {io} = require('socket.io-client');

const [url, clients, messages] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])];
const LAST = 5000;
let connected = 0;
let ended = 0;
let timer;
const last = new Array(clients).fill(0);
const whole = new Array(clients).fill(true);

function report() {
    const recovered = whole.filter((isWhole, client) => isWhole && last[client] === messages).length;
    console.log(`recovered ${recovered}`);
    process.exit(0);
}

for (let client = 0; client < clients; client++) {
    const socket = io(url, {
        transports: ['websocket'],
        forceNew: true,
        reconnectionDelay: 100,
        reconnectionDelayMax: 100,
        randomizationFactor: 1,
    });
    socket.once('connect', () => ++connected === clients && console.log('connected all'));
    socket.on('message', (text) => {
        const number = Number(text);
        whole[client] &&= number === last[client] + 1;
        last[client] = number;
        if (number === messages) {
            timer ??= setTimeout(report, LAST);
            if (++ended === clients) {
                report();
            }
        }
    });
}
