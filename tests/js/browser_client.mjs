// The browser client, php/client/gateway.js, over connections that are cut, fall silent or offer nothing. It runs in Node.js, whose
// WebSocket behaves as the browsers' do. The variables SERVER and OPERATIONS are the addresses of a server that greets by itself, ECHO
// and ECHO_OPERATIONS those of one whose worker handles events by tests/php/echo/Events.php.

import assert from 'node:assert/strict';
import {createHash} from 'node:crypto';
import {once} from 'node:events';
import net from 'node:net';
import {after, test} from 'node:test';
import {Gateway} from '../../php/client/gateway.js';
import {WebSocket} from './websocket.mjs';

const {SERVER, OPERATIONS, ECHO, ECHO_OPERATIONS} = process.env;
const FAST = {minDelay: 10, maxDelay: 50, connectTimeout: 5000};
const PATIENCE = 30_000;
const EVENTS = ['open', 'bound', 'close', 'reconnecting', 'error', 'raw', 'recovered', 'gap', 'overflow'];

/** Node.js 20 tells only of an error when an attempt fails, where browsers close the socket too. */
globalThis.WebSocket = class extends WebSocket {
    constructor(...how) {
        super(...how);
        let hasOpened = false;
        this.addEventListener('open', () => { hasOpened = true; });
        this.addEventListener('error', () => {
            if (!hasOpened) {
                this.dispatchEvent(Object.assign(new Event('close'), {code: 1006, reason: ''}));
            }
        });
    }
};

const closing = [];
after(() => closing.forEach((close) => close()));

/** Waits until this is true. */
async function comes(what, isTrue) {
    const end = Date.now() + PATIENCE;
    while (!await isTrue()) {
        assert(Date.now() < end, `${what} has not come`);
        await new Promise((resolve) => setTimeout(resolve, 5));
    }
}

/** A TCP proxy whose connections can be reset or fall silent. */
class Proxy {
    pairs = new Set();
    answers = 0;

    static async start(to) {
        const proxy = new Proxy();
        const [host, port] = to.split(':');
        proxy.server = net.createServer((client) => {
            const server = net.connect({host, port});
            const pair = [client, server];
            proxy.pairs.add(pair);
            server.on('data', () => { proxy.answers += 1; });
            for (const [from, other] of [pair, [server, client]]) {
                from.setNoDelay();
                from.on('data', (data) => proxy.silent?.has(pair) || other.write(data));
                from.on('error', () => {});
                from.on('close', () => {
                    other.destroy();
                    proxy.pairs.delete(pair);
                });
            }
        });
        proxy.server.listen(0, '127.0.0.1');
        await once(proxy.server, 'listening');
        proxy.address = `127.0.0.1:${proxy.server.address().port}`;
        closing.push(() => proxy.stop());
        return proxy;
    }

    /** Resets all connections. */
    cut() {
        for (const [client, server] of this.pairs) {
            client.resetAndDestroy();
            server.resetAndDestroy();
        }
    }

    /** Swallows all that the present connections carry from now on. */
    swallow() {
        this.silent = new Set(this.pairs);
    }

    stop() {
        this.cut();
        this.server.close();
    }

    /** Takes no more connections until the returned function is called. */
    async refuse() {
        const {port} = this.server.address();
        this.stop();
        return async () => {
            this.server.listen(port, '127.0.0.1');
            await once(this.server, 'listening');
        };
    }
}

/** A client that notes its events in `said`, and its messages in `texts` if they are raw and in `messages` if not. */
function start(address, options = {}) {
    const gateway = new Gateway(`ws://${address}/`, {...FAST, ...options});
    const page = {gateway, said: [], texts: [], messages: []};
    for (const type of EVENTS) {
        gateway.addEventListener(type, (event) => {
            event.preventDefault();
            page.said.push(event);
            if (type === 'raw') {
                page.texts.push(event.data);
            }
        });
    }
    gateway.on('*', (message) => page.messages.push(message));
    page.those = (type) => page.said.filter((event) => event.type === type);
    page.has = (type, count = 1) => comes(`${type} ${count} times`, () => page.those(type).length >= count);
    page.inits = () => page.messages.filter(({type}) => type === 'init');
    page.isGreeted = () => comes('an init', () => gateway.clientId !== null);
    closing.push(() => gateway.close());
    return page;
}

async function order(operation, fields, operations = OPERATIONS) {
    const body = JSON.stringify(fields);
    const headers = {'Content-Type': 'application/json'};
    const answer = await fetch(`http://${operations}/api/${operation}`, {method: 'POST', headers, body});
    const {result, error} = await answer.json();
    assert.equal(error, undefined, JSON.stringify(error));
    return result;
}

const push = (client_id, message, operations) => order('sendToClient', {client_id, message}, operations);

/** Answers handshakes without a subprotocol, as Workerman does, or by repeating the first. Then it greets. Notes what was offered. */
async function plainServer(greeting, repeats = false) {
    const offers = [];
    const server = net.createServer((socket) => {
        let head = '';
        socket.on('error', () => {});
        socket.on('data', (data) => {
            if (head.endsWith('\r\n\r\n')) {
                return;
            }
            head += data.toString('latin1');
            const field = (name) => new RegExp(`^${name}: (.*)\r$`, 'mi').exec(head)?.[1];
            // Some websockets write a space after each comma, and some do not.
            offers.push(field('Sec-WebSocket-Protocol')?.replaceAll(', ', ','));
            const seal = `${field('Sec-WebSocket-Key')}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`;
            const accept = createHash('sha1').update(seal).digest('base64');
            const chosen = repeats && offers.at(-1) ? `Sec-WebSocket-Protocol: ${offers.at(-1).split(',')[0]}\r\n` : '';
            const fields = `Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n${chosen}`;
            socket.write(`HTTP/1.1 101 Switching Protocols\r\n${fields}\r\n`);
            socket.write(Buffer.concat([Buffer.from([0x81, greeting.length]), Buffer.from(greeting)]));
        });
        closing.push(() => socket.destroy());
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    closing.push(() => server.close());
    return {address: `127.0.0.1:${server.address().port}`, offers};
}

test('a connection that is reset costs nothing', async () => {
    const proxy = await Proxy.start(SERVER);
    const bound = [];
    const page = start(proxy.address, {bind: (identity) => void bound.push(identity.client_id)});
    await page.has('bound');
    const id = page.gateway.clientId;
    await push(id, 'one');
    await comes('one', () => page.texts.length === 1);

    const open = await proxy.refuse();
    await page.has('close');
    assert.equal(page.gateway.clientId, null);
    await push(id, 'two');
    await push(id, '{"type":"news"}');
    await open();
    await page.has('recovered');
    await comes('what was missed', () => page.messages.some(({type}) => type === 'news'));
    await push(id, 'three');
    await comes('all', () => page.texts.length === 3);
    assert.deepEqual(page.texts, ['one', 'two', 'three']);
    assert.equal(page.those('recovered')[0].missed, 2);
    assert.equal(page.gateway.clientId, id);
    assert.deepEqual(bound, [id]);
    assert.equal(page.inits().length, 1);
    assert.equal(page.those('gap').length, 0);
    page.gateway.close();
    await comes('the end of the client', async () => !await order('isOnline', {client_id: id}));
});

test('a bind that was cut is done after the recovery', async () => {
    const proxy = await Proxy.start(SERVER);
    let bound = 0;
    const bind = () => {
        bound += 1;
        return bound === 1 ? new Promise(() => proxy.cut()) : null;
    };
    const page = start(proxy.address, {bind});
    await page.has('recovered');
    await page.has('bound');
    proxy.cut();
    await page.has('recovered', 2);
    assert.equal(bound, 2);
});

test('a connection that has fallen silent is replaced', async () => {
    const proxy = await Proxy.start(SERVER);
    const page = start(proxy.address, {pingInterval: 100, pingTimeout: 3000});
    await page.isGreeted();
    const id = page.gateway.clientId;
    // The gateway answers the pings, and says nothing else.
    const answers = proxy.answers;
    await comes('pongs', () => proxy.answers >= answers + 5);
    assert.equal(page.those('close').length, 0);

    proxy.swallow();
    await push(id, 'swallowed');
    await page.has('close');
    assert.equal(page.those('close')[0].reason, 'no sign of life');
    await page.has('recovered');
    await comes('the message', () => page.texts.length === 1);
    assert.deepEqual([page.texts, page.gateway.clientId], [['swallowed'], id]);
});

test('each message of a page comes once, however it looks', async () => {
    const proxy = await Proxy.start(ECHO);
    const page = start(proxy.address);
    assert.equal(page.gateway.send('before anything is known'), false);
    await page.isGreeted();
    const texts = ['gateway:', 'gateway:seen 7', 'gateway:= x', 'gateway:=y', 'gateway:ping', 'plain', '音乐'];
    texts.forEach((text) => page.gateway.send(text));
    await comes('the echoes', () => page.texts.length === texts.length);
    // The worker sends an init message of its own, which handlers do not get.
    assert.equal(page.inits().length, 1);

    const open = await proxy.refuse();
    page.gateway.send('perhaps lost on the way');
    await page.has('close');
    const away = Array.from({length: 200}, (_, index) => `away ${index}`);
    assert(away.every((text) => page.gateway.send(text)));
    await open();
    await page.has('recovered');
    page.gateway.send('back');
    const all = [...texts, 'perhaps lost on the way', ...away, 'back'];
    await comes('all echoes', () => page.texts.length >= all.length);
    assert.deepEqual(page.texts, all);
    assert.equal(page.inits().length, 1);

    page.gateway.send({type: 'init', client_id: 'another'});
    await comes('what looks like an init', () => page.inits().length === 2);
    assert.notEqual(page.gateway.clientId, 'another');
});

test('what waits is bounded', async () => {
    const proxy = await Proxy.start(ECHO);
    const page = start(proxy.address, {queueBytes: 1000});
    await page.isGreeted();
    const open = await proxy.refuse();
    await page.has('close');
    let taken = 0;
    while (page.gateway.send(`${taken}`.padEnd(100))) {
        taken += 1;
    }
    assert.equal(taken, 6);
    const [overflow] = page.those('overflow');
    assert.equal(overflow.message, '6'.padEnd(100));
    await open();
    await comes('the echoes', () => page.texts.length === taken);
    assert.deepEqual(page.texts.map(Number), [0, 1, 2, 3, 4, 5]);
    await comes('room', () => page.gateway.send('again'));

    page.gateway.close();
    assert.equal(page.gateway.send('closed'), false);
});

test('a client that has ended leaves a gap', async () => {
    const proxy = await Proxy.start(ECHO);
    let bound = 0;
    let release;
    const bind = () => (bound += 1) === 1 ? null : new Promise((resolve) => { release = resolve; });
    const page = start(proxy.address, {bind});
    await page.has('bound');
    const id = page.gateway.clientId;
    const open = await proxy.refuse();
    page.gateway.send('unconfirmed');
    await page.has('close');
    page.gateway.send('never sent');
    await order('destroyClient', {client_id: id}, ECHO_OPERATIONS);
    await open();
    await page.has('gap');
    const [{reason, unconfirmed}] = page.those('gap');
    assert.deepEqual([reason, unconfirmed], ['closed', ['unconfirmed']]);
    await comes('another bind', () => release);
    assert.notEqual(page.gateway.clientId, id);
    // What never went out waits for the bind, and what comes later for that.
    page.gateway.send('later');
    assert.deepEqual(page.texts, []);
    release();
    await comes('the echoes', () => page.texts.length === 2);
    assert.deepEqual(page.texts, ['never sent', 'later']);
    assert.equal(page.inits().length, 2);

    // The application's ordinary close is final, and the next connection is another client's.
    await order('closeClient', {client_id: page.gateway.clientId}, ECHO_OPERATIONS);
    await comes('the end', () => page.gateway.state === 'closed');
    page.gateway.connect();
    await page.has('gap', 2);
    assert.equal(page.those('gap')[1].reason, undefined);
});

test('a server without subprotocols is served as before', async () => {
    const server = await plainServer('{"type":"init","client_id":"of Workerman"}');
    const page = start(server.address);
    await comes('the init', () => page.gateway.clientId === 'of Workerman');
    assert.equal(page.gateway.send('x'), true);
    assert(server.offers.length <= 2, server.offers);
    assert.equal(server.offers.at(0), 'gateway.2,gateway');

    // A gateway-server that takes its place is found, and what comes after it too.
    const proxy = await Proxy.start(ECHO);
    const other = start(proxy.address);
    await other.isGreeted();
    const [, port] = proxy.address.split(':');
    const {port: to} = new URL(`http://${server.address}`);
    await proxy.refuse();
    await other.has('close');
    other.gateway.send('never sent');
    const between = net.createServer((client) => {
        const back = net.connect({host: '127.0.0.1', port: to});
        client.pipe(back).pipe(client);
        [client, back].forEach((socket) => socket.on('error', () => {}));
    });
    between.listen(port, '127.0.0.1');
    await comes('the init of the other', () => other.gateway.clientId === 'of Workerman');
    assert.deepEqual(other.those('gap').map(({unconfirmed}) => unconfirmed), [['never sent']]);
    between.close();
    other.gateway.close();
});

test('a server that only repeats the subprotocol is served as before', async () => {
    const server = await plainServer('{"type":"init","client_id":"of Workerman"}', true);
    const page = start(server.address);
    await comes('the init', () => page.gateway.clientId === 'of Workerman');
    assert.deepEqual(server.offers, ['gateway.2,gateway', undefined]);
    assert.deepEqual(page.those('error').map(({where}) => where), ['protocol']);
    assert.equal(page.gateway.send('x'), true);
});

test('attempts that fail do not forget the client', async () => {
    const proxy = await Proxy.start(SERVER);
    const page = start(proxy.address);
    await page.isGreeted();
    const id = page.gateway.clientId;
    // Between one and eight attempts fail, so that one without gateway.2 is the first to succeed in some of the rounds.
    for (let round = 1; round <= 8; round += 1) {
        const open = await proxy.refuse();
        const before = page.those('reconnecting').length;
        await page.has('reconnecting', before + round);
        await open();
        await page.has('recovered', round);
    }
    assert.equal(page.gateway.clientId, id);
    assert.equal(page.those('gap').length, 0);
});

test('numbered messages come once and in order over many cuts', async () => {
    const proxy = await Proxy.start(ECHO);
    const page = start(proxy.address, {queueBytes: 1 << 20});
    await page.isGreeted();
    const id = page.gateway.clientId;
    const pushed = Array.from({length: 1000}, (_, number) => `{"type":"pushed","number":${number}}`);
    const said = Array.from({length: 1000}, (_, number) => `said ${number}`);
    const cutting = (async () => {
        for (let cut = 0; cut < 30; cut += 1) {
            await new Promise((resolve) => setTimeout(resolve, Math.random() * 100));
            proxy.cut();
        }
    })();
    for (const [number, message] of pushed.entries()) {
        page.gateway.send(said[number]);
        await push(id, message, ECHO_OPERATIONS);
        if (number % 10 === 0) {
            await new Promise((resolve) => setTimeout(resolve, 15));
        }
    }
    await cutting;
    const numbers = () => page.messages.filter(({type}) => type === 'pushed').map(({number}) => number);
    await comes('all', () => page.texts.length >= 1000 && numbers().length >= 1000);
    assert.deepEqual(page.texts, said);
    assert.deepEqual(numbers(), pushed.map((_, number) => number));
    assert.equal(page.those('gap').length, 0);
    assert(page.those('recovered').length > 5, `${page.those('recovered').length} recoveries`);
});
