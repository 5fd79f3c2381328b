// The client for mini programs, php/client/gateway.miniprogram.js, in an app like WeChat. The variables SERVER and OPERATIONS are the addresses of a server that greets by itself, ECHO that of one whose worker
// sends back what it gets.

import assert from 'node:assert/strict';
import {test} from 'node:test';
import {App, load} from './app.mjs';

const {SERVER, OPERATIONS, ECHO} = process.env;
const PATIENCE = 30_000;

/** Waits until this is true. */
async function comes(what, isTrue) {
    const end = Date.now() + PATIENCE;
    while (!await isTrue()) {
        assert(Date.now() < end, `${what} has not come`);
        await new Promise((resolve) => setTimeout(resolve, 5));
    }
}

/** Has the server do something, as a program does by HTTP. */
async function operate(name, fields) {
    const answer = await fetch(`http://${OPERATIONS}/api/${name}`, {
        method: 'POST', headers: {'Content-Type': 'application/json'}, body: JSON.stringify(fields),
    });
    assert.equal(answer.status, 200, await answer.text());
}

const {gatewayFor} = load();

/** Starts a client in an app that notes what the client says. */
function start(app, url = `ws://${SERVER}/`, options = {}) {
    const gateway = new (gatewayFor(app.api))(url, {minDelay: 10, maxDelay: 50, ...options});
    const page = {gateway, said: [], messages: [], raw: []};
    for (const type of ['open', 'close', 'recovered', 'gap', 'error']) {
        gateway.addEventListener(type, (event) => {
            event.preventDefault();
            page.said.push(event);
        });
    }
    gateway.addEventListener('raw', ({data}) => page.raw.push(data));
    gateway.on('*', (message) => page.messages.push(message));
    page.those = (type) => page.said.filter((event) => event.type === type);
    page.isOpen = () => gateway.clientId !== null;
    page.has = (text) => page.messages.some((message) => message.text === text);
    return page;
}

const push = (page, text) => operate('sendToClient', {client_id: page.gateway.clientId, message: JSON.stringify({type: 'news', text})});

test('nothing but the app is needed', async () => {
    assert.equal(load().Gateway, null, 'there is no app of which the file is part');
    const app = new App();
    assert.equal(typeof load({wx: app.api}).Gateway, 'function');
    const page = start(app);
    await comes('the init message', page.isOpen);
    await push(page, '早上好');
    await comes('the push', () => page.has('早上好'));
    assert.match(JSON.stringify([...app.storage.values()]), /gateway\.2/, 'the way is remembered in the app');
    page.gateway.close();
    assert.equal(page.gateway.state, 'closed');
});

test('what is sent arrives, as text and as bytes', async () => {
    const page = start(new App(), `ws://${ECHO}/`);
    await comes('the init message', page.isOpen);
    assert(page.gateway.send({type: 'question', text: '在吗？'}));
    await comes('the echo', () => page.has('在吗？'));
    page.gateway.close();
});

test('an app that comes back from the background has missed nothing', async () => {
    const app = new App();
    const page = start(app);
    await comes('the init message', page.isOpen);
    const {clientId} = page.gateway;
    app.hide();
    app.tasks.at(-1).interrupt();
    await comes('attempts in the background', () => page.those('close').length > 2);
    assert.equal(page.those('close')[0].reason, 'interrupted');
    await operate('sendToClient', {client_id: clientId, message: '{"type":"news","text":"missed"}'});
    app.show();
    await comes('what was missed', () => page.has('missed'));
    assert.equal(page.gateway.clientId, clientId);
    assert.deepEqual(page.those('recovered').map(({missed}) => missed), [1]);
    assert.equal(page.those('gap').length, 0);
    page.gateway.close();
});

test('a connection that has ended silently in the background is replaced at once', async () => {
    const app = new App();
    const page = start(app, undefined, {pingTimeout: 600_000});
    await comes('the init message', page.isOpen);
    const {clientId} = page.gateway;
    const {now} = Date;
    app.hide();
    const dead = app.tasks.at(-1);
    dead.isSilent = true;
    await operate('sendToClient', {client_id: clientId, message: '{"type":"news","text":"into the void"}'});
    Date.now = () => now() + 6000;
    try {
        app.show();
        await comes('what was missed', () => page.has('into the void'));
    } finally {
        Date.now = now;
    }
    assert.equal(page.gateway.clientId, clientId);
    assert.equal(app.tasks.length, 2);

    // Who is back soon keeps the connection.
    app.hide();
    app.show();
    await push(page, 'still there');
    await comes('the push', () => page.has('still there'));
    assert.equal(app.tasks.length, 2);
    // A network that has come back may be another one.
    app.network(false);
    app.network(true);
    await comes('another connection', () => app.tasks.length === 3 && page.isOpen());
    page.gateway.close();
});

test('an app that shows no headers speaks gateway.2 all the same', async () => {
    const app = Object.assign(new App(), {hasHeaders: false});
    const page = start(app);
    await comes('the init message', page.isOpen);
    app.tasks.at(-1).interrupt();
    await comes('the return', () => page.those('recovered').length === 1);
    page.gateway.close();
});

test('a domain that is not allowed is named as such', async () => {
    const app = Object.assign(new App(), {domain: 'example.com'});
    const page = start(app);
    await comes('an end', () => page.those('close').length > 0);
    assert.equal(page.those('close')[0].reason, 'connectSocket:fail url not in domain list');
    assert(page.those('close')[0].again);
    page.gateway.close();
});

test('a server that is away is found again', async () => {
    const page = start(new App(), 'ws://127.0.0.1:9/');
    await comes('some attempts', () => page.those('close').length > 2);
    page.gateway.close();
});

test('tokens come from a function, and an address of one is refused in words', async () => {
    const asked = [];
    const page = start(new App(), `ws://${SERVER}/path?a=1`, {token: async () => {
        asked.push(1);
        return null;
    }});
    await comes('the init message', page.isOpen);
    assert.equal(asked.length, 1);
    page.gateway.close();

    const other = start(new App(), undefined, {token: '/live/token'});
    await comes('the error', () => other.those('error').length > 0);
    assert.match(other.those('error')[0].message, /as a function that calls wx\.request/);
    other.gateway.close();
    assert.throws(() => start(new App(), '/ws'), /no whole address such as wss/);
});

test('a client that is closed while it connects leaves no connection', async () => {
    const app = new App();
    const page = start(app);
    app.onConnect = () => page.gateway.close();
    await comes('the attempt', () => app.tasks.length === 1);
    await comes('the end of the socket', () => app.tasks[0].socket.readyState === 3);
    assert.equal(page.those('open').length, 0);
});
