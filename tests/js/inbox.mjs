// The page's end of the inbox in php/client/gateway.js against a server that each test scripts, with a socket, timers and storage of this
// file's own. Nothing happens by itself here: a test says what comes, and when promises are kept.

import assert from 'node:assert/strict';
import {webcrypto} from 'node:crypto';
import {beforeEach, test} from 'node:test';
import {Gateway} from '../../php/client/gateway.js';

// Node.js 18 has it only as a module.
globalThis.crypto ??= webcrypto;

const EPOCH = '00000000000000aa';
const OTHER_EPOCH = '00000000000000bb';
const NOTE_OF = (device) => `gateway inbox ${device}`;

/** Everything that is ready to happen, happens. */
const turn = () => new Promise(setImmediate);

/** What a browser keeps for all pages of a site. */
class Kept {
    texts = new Map();

    getItem(key) {
        return this.texts.get(key) ?? null;
    }

    setItem(key, text) {
        this.texts.set(key, String(text));
    }

    removeItem(key) {
        this.texts.delete(key);
    }
}

/** The socket of a page, and what the page has sent by it. */
class ScriptedSocket extends EventTarget {
    static last = null;
    protocol = '';
    said = [];
    isClosed = false;

    constructor(url, offered) {
        super();
        this.offered = offered;
        ScriptedSocket.last = this;
    }

    send(text) {
        assert(this.protocol !== '' && !this.isClosed, 'the socket is not open');
        this.said.push(text);
    }

    close() {
        this.isClosed = true;
    }

    raise(type, detail = {}) {
        this.dispatchEvent(Object.assign(new Event(type), detail));
    }
}

let reported = [];

/** Puts something in the place of a global of the browser's. */
const put = (name, value) => Object.defineProperty(globalThis, name, {value, configurable: true, writable: true});

beforeEach(() => {
    reported = [];
    put('WebSocket', ScriptedSocket);
    put('localStorage', new Kept());
    put('sessionStorage', new Kept());
    put('addEventListener', () => {});
    // No timer ends: no attempt fails for want of time, and none follows by itself.
    put('setTimeout', () => null);
    put('setInterval', () => null);
    put('clearInterval', () => {});
    // The browser reports what a microtask throws.
    put('queueMicrotask', (action) => {
        try {
            action();
        } catch (error) {
            reported.push(error.message);
        }
    });
});

const secretOf = (client) => `${client}`.padStart(52, '0');

/** A page, whose server does what the test says. */
class Page {
    events = [];

    static async open(options = {}, client = 1) {
        const page = new Page();
        page.gateway = new Gateway('ws://gateway.test/', options);
        for (const type of ['raw', 'gap', 'recovered', 'overflow', 'error', 'close']) {
            page.gateway.addEventListener(type, (event) => {
                event.preventDefault();
                page.events.push(event);
            });
        }
        await page.greet(client);
        return page;
    }

    /** Accepts the connection that the page tries to make, as a client that is new or, with `resumed`, was here before. */
    async greet(client, init = {}) {
        await turn(); // the page waits for its token, of which there is none
        this.socket = ScriptedSocket.last;
        this.socket.protocol = 'gateway.2';
        this.socket.raise('open');
        const text = {type: 'init', client_id: `${client}`, resume: secretOf(client), seen: 0, resumed: false, missed: 0, ...init};
        this.says(JSON.stringify(text));
    }

    cut() {
        this.socket.raise('close', {code: 1006, reason: ''});
    }

    async comeBack(client, init) {
        this.gateway.connect();
        await this.greet(client, init);
    }

    says(text) {
        this.socket.raise('message', {data: text});
    }

    /** Sends a message of the inbox. */
    inbox(kind, seq, data = `message ${seq}`, epoch = EPOCH) {
        this.says(`gateway:=inbox ${kind} ${epoch} ${seq} id-${seq} ${data}`);
    }

    /** What the page has sent since the last look, without what both ends say of their counts. */
    told() {
        return this.socket.said.splice(0).filter((text) => !text.startsWith('gateway:seen '));
    }

    those(type) {
        return this.events.filter((event) => event.type === type);
    }
}

const got = (seq, epoch = EPOCH) => `gateway:=got ${epoch} ${seq}`;
const read = (seq, epoch = EPOCH) => `gateway:=read ${epoch} ${seq}`;

/** Has a page note the data of the messages of its inbox. A message waits for `keep`, if there are `promises`. */
function noting(page, {promises = false} = {}) {
    const seen = [];
    const waiting = [];
    page.gateway.on('inbox', ({data}) => {
        seen.push(data);
        return promises ? new Promise((resolve) => { waiting.push(resolve); }) : undefined;
    });
    const keep = async (count = 1) => {
        for (; count > 0; count -= 1) {
            waiting.shift()();
            await turn();
        }
    };
    return {seen, keep};
}

test('a message of the inbox has an id and its data, as other messages have theirs', async () => {
    const page = await Page.open();
    const seen = [];
    page.gateway.on('inbox', ({id, data, isNew}) => seen.push([id, data, isNew]));
    page.gateway.on('comment', () => assert.fail('a message of the inbox has a handler of its own'));
    page.gateway.on('*', () => assert.fail('a message of the inbox has a handler of its own'));
    page.says(`gateway:=inbox new ${EPOCH} 1 a_B-9 {"type":"comment","text":"a  b"}`);
    page.says(`gateway:=inbox kept ${EPOCH} 20 i `);
    page.says(`gateway:=inbox new ${EPOCH} 21 ${'x'.repeat(64)} gateway:= two\nlines`);
    page.says(`gateway:=inbox new ${EPOCH} 22 i [1]`);
    assert.deepEqual(seen, [
        ['a_B-9', {type: 'comment', text: 'a  b'}, true],
        ['i', '', false],
        ['x'.repeat(64), 'gateway:= two\nlines', true],
        ['i', '[1]', true],
    ]);
    assert.deepEqual(page.told(), [1, 20, 21, 22].map((seq) => got(seq)));
    assert.deepEqual(page.events, []);
});

test('a page without a handler of the inbox gets its messages as any others', async () => {
    const page = await Page.open();
    const seen = [];
    let resolve;
    page.gateway.on('comment', ({text}) => {
        seen.push(text);
        return new Promise((kept) => { resolve = kept; });
    });
    page.gateway.on('*', ({type}) => seen.push(type));
    page.inbox('new', 1, '{"type":"comment","text":"first"}');
    page.inbox('new', 2, 'no JSON');
    assert.deepEqual([seen, page.those('raw').length, page.told()], [['first', 'comment'], 0, []]);
    resolve();
    await turn();
    assert.deepEqual([page.those('raw').map(({data}) => data), page.told()], [['no JSON'], [got(2)]]);
    // It is not taken for the gateway's init, whoever is here.
    page.cut();
    await page.comeBack(2, {reason: 'expired'});
    page.inbox('new', 3, '{"type":"init","client_id":"evil"}');
    assert.deepEqual([seen.slice(2), page.gateway.clientId], [['init', 'init'], '2']);
    // A handler that is there for one message leaves the next one to the others.
    page.gateway.once('inbox', ({data}) => seen.push(data.type));
    page.inbox('new', 4, '{"type":"for inbox"}');
    page.inbox('new', 5, '{"type":"for all"}');
    assert.deepEqual(seen.slice(4), ['for inbox', 'for all']);
});

test('each message waits for all promises of the one before, and nothing else does', async () => {
    const page = await Page.open();
    const seen = [];
    const resolve = {};
    const handler = (name) => ({data}) => {
        seen.push(`${name} ${data}`);
        return new Promise((kept) => { resolve[name] = kept; });
    };
    page.gateway.on('inbox', handler('one'));
    page.gateway.on('inbox', handler('other'));
    page.gateway.on('news', () => seen.push('news'));
    ['a', 'b', 'c'].forEach((data, index) => page.inbox('new', index + 1, data));
    page.says('{"type":"news"}');
    assert.deepEqual(seen.splice(0), ['one a', 'other a', 'news']);
    resolve.other();
    await turn();
    assert.deepEqual([seen, page.told()], [[], []]);
    resolve.one();
    await turn();
    assert.deepEqual([seen.splice(0), page.told()], [['one b', 'other b'], []]);
    for (const data of ['c', 'd']) {
        resolve.one();
        resolve.other();
        await turn();
        assert.deepEqual(page.told(), data === 'd' ? [got(3)] : []);
        assert.deepEqual(seen.splice(0), data === 'd' ? [] : ['one c', 'other c']);
    }
    // Whatever has `then` is a promise.
    let then;
    page.gateway.once('inbox', () => ({then: (kept) => { then = kept; }}));
    page.inbox('new', 4, 'd');
    resolve.one();
    resolve.other();
    await turn();
    assert.deepEqual(page.told(), []);
    then();
    await turn();
    assert.deepEqual(page.told(), [got(4)]);
});

test('a handler that throws or breaks its promise is reported, and the message counts as handled', async () => {
    const page = await Page.open();
    const seen = [];
    page.gateway.on('inbox', ({data}) => {
        seen.push(data);
        if (data === 'throws') {
            throw new Error('thrown');
        }
        return data === 'rejects' ? Promise.reject(new Error('rejected')) : null;
    });
    page.gateway.on('inbox', ({data}) => seen.push(`other ${data}`));
    ['throws', 'rejects', 'fine'].forEach((data, index) => page.inbox('new', index + 1, data));
    await turn();
    assert.deepEqual(seen, ['throws', 'other throws', 'rejects', 'other rejects', 'fine', 'other fine']);
    assert.deepEqual(reported, ['thrown', 'rejected']);
    assert.deepEqual(page.told(), [got(1), got(3)]);
    const again = await Page.open();
    const {seen: later} = noting(again);
    [1, 2, 3].forEach((seq) => again.inbox('kept', seq));
    assert.deepEqual([later, again.told()], [[], [got(1), got(2), got(3)]]);
});

test('acknowledgements are joined, for at most 16 messages', async () => {
    const page = await Page.open();
    const {seen, keep} = noting(page, {promises: true});
    for (let seq = 1; seq <= 40; seq += 1) {
        page.inbox('new', 2 * seq);
    }
    await keep(15);
    assert.deepEqual(page.told(), []);
    await keep();
    assert.deepEqual(page.told(), [got(32)]);
    await keep(16);
    assert.deepEqual(page.told(), [got(64)]);
    await keep(7);
    assert.deepEqual(page.told(), []);
    await keep();
    assert.deepEqual([page.told(), seen.length], [[got(80)], 40]);
});

test('what has come before is not handled again, and is acknowledged behind what it waits for', async () => {
    const page = await Page.open();
    const {seen, keep} = noting(page, {promises: true});
    page.inbox('new', 3);
    page.inbox('new', 7);
    page.cut();
    await page.comeBack(2, {reason: 'expired'});
    // The server believes that none of them has come.
    ['kept', 'new'].forEach((kind) => [3, 7].forEach((seq) => page.inbox(kind, seq)));
    page.inbox('kept', 8);
    assert.deepEqual([seen, page.told()], [['message 3'], []]);
    await keep();
    assert.deepEqual([seen, page.told()], [['message 3', 'message 7'], []]);
    await keep(2);
    assert.deepEqual([seen, page.told()], [['message 3', 'message 7', 'message 8'], [got(8)]]);
    // What was dropped is acknowledged although nothing was handled.
    page.inbox('new', 7);
    page.inbox('kept', 8);
    assert.deepEqual(page.told(), [got(7), got(8)]);
    assert.equal(seen.length, 3);
});

test('what another page of the device handles meanwhile is not handled again if it is kept, and is if it is new', async () => {
    const [page, other] = [await Page.open(), await Page.open()];
    const [mine, others] = [noting(page, {promises: true}), noting(other)];
    page.inbox('kept', 1);
    page.inbox('kept', 2);
    page.inbox('new', 3);
    [1, 2, 3].forEach((seq) => other.inbox('new', seq));
    assert.deepEqual(others.seen, ['message 1', 'message 2', 'message 3']);
    await mine.keep(2);
    assert.deepEqual([mine.seen, page.told()], [['message 1', 'message 3'], [got(3)]]);
    // A page that is loaded later has only the note.
    const later = await Page.open();
    const {seen} = noting(later);
    [1, 2, 3, 4].forEach((seq) => later.inbox('kept', seq));
    assert.deepEqual([seen, later.told()], [['message 4'], [1, 2, 3, 4].map((seq) => got(seq))]);
});

test('a page that gets newer messages first does not stand for older ones', async () => {
    const [page, other] = [await Page.open(), await Page.open()];
    const [mine, others] = [noting(page, {promises: true}), noting(other)];
    // The one page has what has waited, and the other one handles what is new.
    [2, 3, 5].forEach((seq) => page.inbox('kept', seq));
    [8, 9].forEach((seq) => other.inbox('new', seq));
    await mine.keep(2);
    assert.deepEqual([mine.seen, others.seen], [['message 2', 'message 3', 'message 5'], ['message 8', 'message 9']]);
    // The one page goes before it has handled the last one, and the other page gets that.
    page.gateway.close();
    other.inbox('kept', 5);
    other.inbox('new', 10);
    assert.deepEqual(others.seen, ['message 8', 'message 9', 'message 5', 'message 10']);
    const later = await Page.open();
    const {seen} = noting(later);
    [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11].forEach((seq) => later.inbox('kept', seq));
    assert.deepEqual(seen, [1, 4, 6, 7, 11].map((seq) => `message ${seq}`));
});

test('another epoch is another inbox', async () => {
    const page = await Page.open();
    const {seen, keep} = noting(page, {promises: true});
    page.inbox('new', 5, 'five');
    page.inbox('new', 1, 'one of another', OTHER_EPOCH);
    page.inbox('kept', 6, 'six');
    await keep(3);
    assert.deepEqual(seen, ['five', 'one of another', 'six']);
    assert.deepEqual(page.told(), [got(5), got(1, OTHER_EPOCH), got(6)]);
    page.inbox('kept', 5, 'five');
    page.inbox('kept', 1, 'one of another', OTHER_EPOCH);
    assert.deepEqual([seen.length, page.told()], [3, [got(5), got(1, OTHER_EPOCH)]]);
});

test('what is handled while the page is away is acknowledged when it is back', async () => {
    const page = await Page.open();
    const {seen, keep} = noting(page, {promises: true});
    [1, 2, 3].forEach((seq) => page.inbox('new', seq));
    page.cut();
    await keep();
    page.gateway.connect();
    await keep();
    await page.greet(1, {resumed: true, missed: 0});
    assert.deepEqual(page.told(), []);
    await keep();
    assert.deepEqual([seen.length, page.told()], [3, [got(3)]]);
    [4, 5].forEach((seq) => page.inbox('new', seq));
    page.cut();
    await keep(2);
    await page.comeBack(1, {resumed: true});
    // The first acknowledgement has not been confirmed either.
    assert.deepEqual(page.told(), [got(3), got(5)]);
});

test('a new client goes on with what has come, and acknowledges it once it is bound', async () => {
    const binds = [];
    const bind = () => new Promise((resolve) => { binds.push(resolve); });
    const page = await Page.open({bind});
    const {seen, keep} = noting(page, {promises: true});
    binds.shift()();
    await turn();
    [1, 2, 3].forEach((seq) => page.inbox('new', seq));
    page.gateway.send('unconfirmed');
    page.cut();
    await keep();
    await page.comeBack(2, {reason: 'restarted'});
    await keep(2);
    assert.deepEqual([seen.length, page.told()], [3, []]);
    binds.shift()();
    await turn();
    assert.deepEqual(page.told(), [got(3)]);
    [2, 3, 4].forEach((seq) => page.inbox('kept', seq));
    await keep();
    assert.deepEqual([seen, page.told()], [[1, 2, 3, 4].map((seq) => `message ${seq}`), [got(2), got(3), got(4)]]);
    assert.deepEqual(page.those('gap').map(({reason, unconfirmed}) => [reason, unconfirmed]), [['restarted', ['unconfirmed']]]);
});

test('what is not handled is forgotten where another user may come, and comes again', async () => {
    for (const end of ['close', 'identity', 'code']) {
        put('localStorage', new Kept());
        const page = await Page.open();
        const {seen, keep} = noting(page, {promises: true});
        [1, 2, 3].forEach((seq) => page.inbox('new', seq));
        if (end === 'close') {
            page.gateway.close();
        } else if (end === 'code') {
            page.socket.raise('close', {code: 1000, reason: ''});
        } else {
            page.cut();
        }
        await page.comeBack(2, end === 'identity' ? {reason: 'identity'} : {});
        await keep(); // its handler had it before
        assert.deepEqual([seen, page.told()], [['message 1'], []]);
        page.inbox('new', 1, 'of another', OTHER_EPOCH);
        await keep();
        [1, 2, 3].forEach((seq) => page.inbox('kept', seq));
        await keep(2);
        assert.deepEqual([seen, page.told()], [['message 1', 'of another', 'message 2', 'message 3'], [got(1, OTHER_EPOCH), got(1), got(3)]]);
    }
});

test('the gateway is told once that a message is read', async () => {
    const page = await Page.open({queueBytes: 400});
    const messages = [];
    page.gateway.on('inbox', (message) => messages.push(message));
    [1, 2, 3, 4].forEach((seq) => page.inbox('new', seq));
    page.told();
    assert.deepEqual([messages[0].read(), messages[0].read(), page.told()], [true, false, [read(1)]]);
    page.cut();
    assert.equal(messages[1].read(), true);
    await page.comeBack(2, {reason: 'expired'});
    assert.deepEqual(page.those('gap')[0].unconfirmed, []);
    // Whether the first one has arrived is not known, and saying so again does no harm.
    assert.deepEqual(page.told(), [read(1), read(2)]);
    page.says('gateway:seen 1');
    page.cut();
    await page.comeBack(3, {reason: 'expired'});
    assert.deepEqual(page.told(), [read(2)]);
    // What waits is bounded, as for everything that a page sends.
    page.gateway.send('x'.repeat(200));
    assert.equal(messages[2].read(), false);
    assert.equal(page.those('overflow')[0].message, messages[2]);
    page.says('gateway:seen 2');
    assert.deepEqual([messages[2].read(), page.told().at(-1)], [true, read(3)]);
    page.gateway.close();
    assert.equal(messages[3].read(), false);
});

test('a page is told how many messages were lost, in order', async () => {
    const page = await Page.open();
    const {seen, keep} = noting(page, {promises: true});
    page.gateway.on('lost', (count) => seen.push(count));
    page.inbox('kept', 1);
    page.says(`gateway:=lost ${EPOCH} 7`);
    page.inbox('kept', 9);
    assert.deepEqual(seen, ['message 1']);
    await keep(2);
    assert.deepEqual([seen, page.told()], [['message 1', 7, 'message 9'], [got(9)]]);
    page.says(`gateway:=lost ${EPOCH} 1`);
    assert.deepEqual([seen.at(-1), page.told()], [1, []]);
});

test('a device is made once and offered with each attempt', async () => {
    const page = await Page.open();
    const [, , device, ...more] = page.socket.offered;
    assert.match(device, /^gateway\.device\.[0-9a-f]{32}$/);
    assert.deepEqual(more, []);
    page.cut();
    await page.comeBack(1, {resumed: true});
    assert.deepEqual(page.socket.offered, ['gateway.2', 'gateway', `gateway.resume.${secretOf(1)}.0`, device]);
    assert.deepEqual((await Page.open()).socket.offered, ['gateway.2', 'gateway', device]);
    put('localStorage', new Kept());
    assert.notEqual((await Page.open()).socket.offered[2], device);
    // What is no device is made anew.
    for (const wrong of ['', 'a.b', 'x'.repeat(65)]) {
        localStorage.setItem('gateway device', wrong);
        assert.match((await Page.open()).socket.offered[2], /^gateway\.device\.[0-9a-f]{32}$/);
    }
});

test('without a storage there is no device but that of the options', async () => {
    const refuse = () => { throw new Error('not for you'); };
    const storages = {
        'is none': null,
        'reads nothing': {getItem: refuse, setItem: refuse},
        'is full': {getItem: () => null, setItem: refuse},
        'forgets': {getItem: () => null, setItem() {}},
    };
    for (const [what, storage] of Object.entries(storages)) {
        put('localStorage', storage);
        const page = await Page.open();
        assert.deepEqual(page.socket.offered, ['gateway.2', 'gateway'], what);
        // The page itself still knows what has come, and a page after it does not.
        const {seen} = noting(page);
        [1, 2, 2, 1].forEach((seq) => page.inbox('kept', seq));
        const {seen: again} = noting(page);
        page.inbox('kept', 2);
        assert.deepEqual([seen, again], [['message 1', 'message 2'], []], what);
        const later = await Page.open({device: 'a_B-9'});
        assert.deepEqual(later.socket.offered, ['gateway.2', 'gateway', 'gateway.device.a_B-9'], what);
        const {seen: anew} = noting(later);
        later.inbox('kept', 2);
        assert.deepEqual(anew, ['message 2'], what);
    }
    Object.defineProperty(globalThis, 'localStorage', {get: refuse, configurable: true});
    assert.deepEqual((await Page.open()).socket.offered, ['gateway.2', 'gateway']);
});

test('the options say which device there is', async () => {
    assert.deepEqual((await Page.open({device: 'mine'})).socket.offered, ['gateway.2', 'gateway', 'gateway.device.mine']);
    assert.deepEqual((await Page.open({device: false})).socket.offered, ['gateway.2', 'gateway']);
    assert.equal(localStorage.getItem('gateway device'), null);
    for (const wrong of ['a.b', 'a b', 'é', 'x'.repeat(65), 7.5]) {
        assert.throws(() => new Gateway('ws://gateway.test/', {device: wrong}), TypeError, wrong);
    }
    // What one device has handled, another one has not.
    for (const device of ['mine', 'yours', false]) {
        for (const expected of [['message 1'], []]) {
            const page = await Page.open({device});
            const {seen} = noting(page);
            page.inbox('kept', 1);
            assert.deepEqual(seen, expected);
        }
    }
    // Who offers no gateway.2 offers no device, and keeps none.
    const plain = new Gateway('ws://gateway.test/', {resume: false});
    await turn();
    assert.deepEqual([ScriptedSocket.last.offered, localStorage.getItem('gateway device')], [[], null]);
    plain.close();
    put('localStorage', new Kept()); // which way has worked is forgotten
    const falling = new Gateway('ws://gateway.test/');
    await turn();
    assert.equal(ScriptedSocket.last.offered.length, 3);
    ScriptedSocket.last.raise('close', {code: 1006, reason: ''});
    falling.connect();
    await turn();
    assert.deepEqual(ScriptedSocket.last.offered, []);
    falling.close();
});

test('a note has the newest epochs, and spoils nothing where it is none', async () => {
    const page = await Page.open({device: 'mine'});
    const {seen} = noting(page);
    const epochs = Array.from({length: 20}, (_, number) => `${number}`.padStart(16, '0'));
    epochs.forEach((epoch) => page.inbox('new', 1, epoch, epoch));
    page.inbox('new', 2, epochs[15], epochs[15]);
    page.inbox('new', 1, 'newest', EPOCH);
    const noted = JSON.parse(localStorage.getItem(NOTE_OF('mine')));
    assert.deepEqual(noted.map(([epoch]) => epoch), [...epochs.slice(13).filter((epoch) => epoch !== epochs[15]), epochs[15], EPOCH]);
    assert.deepEqual(noted.at(-2), [epochs[15], [[1, 2]]]);
    assert.equal(seen.length, 22);
    for (const wrong of ['{', '7', 'null', '[7]', '"x"', `[["${EPOCH}",7]]`, `[["${EPOCH}",[7]]]`]) {
        localStorage.setItem(NOTE_OF('mine'), wrong);
        const later = await Page.open({device: 'mine'});
        const {seen: anew} = noting(later);
        later.inbox('kept', 1);
        assert.deepEqual([anew, later.told()], [['message 1'], [got(1)]], wrong);
    }
});

test('the next page of a tab goes on with what the page before has left', async () => {
    const leave = {};
    put('addEventListener', (type, action) => { leave[type] = action; });
    const options = {resumeTab: true};
    const page = await Page.open(options);
    const {seen: before, keep} = noting(page, {promises: true});
    [1, 2, 3].forEach((seq) => page.inbox('new', seq));
    page.says(`gateway:=lost ${EPOCH} 4`);
    await keep();
    leave.pagehide();
    await keep(); // the page is done with one more while the browser looks for the next one
    assert.deepEqual(before, ['message 1', 'message 2']);
    const next = new Page();
    next.gateway = new Gateway('ws://gateway.test/', options);
    const seen = [];
    next.gateway.on('inbox', ({data, isNew}) => seen.push([data, isNew]));
    next.gateway.on('lost', (count) => seen.push(count));
    await next.greet(1, {resumed: true});
    assert.deepEqual(seen, [['message 3', false], 4]);
    next.inbox('new', 4);
    assert.deepEqual([seen.at(-1), next.told()], [['message 4', true], [got(3), got(4)]]);
    // The page before comes out of the browser's cache as another client.
    await page.comeBack(2, {reason: 'unknown'});
    [2, 3, 4].forEach((seq) => page.inbox('kept', seq));
    assert.deepEqual([before.length, page.told()], [2, [3, 2, 3, 4].map((seq) => got(seq))]);
});

/** A random generator (mulberry32). */
const random = (seed) => () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
};

/**
 * The pages of one device, and a server that keeps messages for it. One page, the holder, gets what waits. A server that `isStrict` sends a
 * new message to the other pages only once all messages before it are acknowledged, so an acknowledgement stands for all of them. Another
 * server sends it at once, and an acknowledgement stands for one message.
 */
class Device {
    tabs = [];
    clients = 0;
    /** What the server keeps: `isSent` once it was sent to any page, `isGot` once a page has acknowledged it. */
    messages = [];
    holder = null;
    /** The numbers that pages have handled, and how often handlers were called. */
    handled = new Set();
    calls = 0;

    constructor(below) {
        this.below = below;
        this.isStrict = below(2) === 0;
        this.hasStorage = below(4) > 0;
        put('localStorage', this.hasStorage ? new Kept() : null);
    }

    async open() {
        const tab = {page: await Page.open({}, this.clients += 1), called: new Set(), waiting: null, isAway: false};
        tab.page.gateway.on('inbox', ({data, isNew}) => {
            const seq = Number(data);
            assert.equal(tab.waiting, null, 'one after the other');
            assert(!tab.called.has(seq), `a page handles ${seq} twice`);
            assert(!this.hasStorage || isNew || !this.handled.has(seq), `${seq} is kept, and was handled`);
            tab.called.add(seq);
            this.calls += 1;
            if (this.below(3) > 0) {
                return new Promise((keep, fail) => { tab.waiting = {seq, keep, fail}; });
            }
            this.handled.add(seq);
        });
        this.tabs.push(tab);
        this.begin(tab);
    }

    /** Begins with the client of a page that is new to the server. */
    begin(tab) {
        Object.assign(tab, {next: this.messages.length, taken: 0, missed: []});
        if (!this.holder || this.holder === tab) {
            this.sendWaiting(tab);
        }
    }

    sendWaiting(tab) {
        this.holder = tab;
        tab.next = this.messages.length;
        this.messages.filter(({isGot}) => !isGot).forEach((message) => this.send(tab, message.isSent ? 'kept' : 'new', message));
    }

    /** Sends what is new, and may be sent by now. */
    sendNew() {
        for (const tab of this.tabs) {
            const mayGo = ({seq}) => !this.isStrict || tab === this.holder || this.messages.every((before) => before.seq >= seq || before.isGot);
            for (; tab.next < this.messages.length && mayGo(this.messages[tab.next]); tab.next += 1) {
                this.send(tab, 'new', this.messages[tab.next]);
            }
        }
    }

    send(tab, kind, message) {
        message.isSent = true;
        if (tab.isAway) {
            tab.missed.push([kind, message.seq]);
        } else {
            tab.page.inbox(kind, message.seq, `${message.seq}`);
        }
    }

    deliver() {
        const leftOut = this.below(4) === 0 ? this.below(3) : 0;
        this.messages.push({seq: (this.messages.at(-1)?.seq ?? 0) + 1 + leftOut});
        this.sendNew();
    }

    /** The server reads what a page has said. */
    read(tab) {
        for (const text of tab.page.told()) {
            tab.taken += 1;
            const seq = Number(text.slice(got('').length));
            assert.equal(text, got(seq));
            for (const message of this.messages.filter((one) => this.isStrict ? one.seq <= seq : one.seq === seq)) {
                assert(this.handled.has(message.seq), `${message.seq} is acknowledged, and was not handled`);
                message.isGot = true;
            }
        }
        this.sendNew();
    }

    cut(tab) {
        if (!tab.isAway) {
            tab.page.cut();
            tab.isAway = true;
        }
    }

    /** What is under way from the page is lost. It comes back as the client that it was, or as another one. */
    async comeBack(tab, isResumed) {
        tab.isAway = false;
        await tab.page.comeBack(isResumed ? this.clients : this.clients += 1, isResumed ? {resumed: true, seen: tab.taken} : {reason: 'expired'});
        if (isResumed) {
            tab.missed.splice(0).forEach(([kind, seq]) => tab.page.inbox(kind, seq, `${seq}`));
        } else {
            this.begin(tab);
        }
    }

    /** Loses a page, whatever it is doing. */
    lose(tab) {
        this.tabs.splice(this.tabs.indexOf(tab), 1);
        if (this.holder === tab) {
            this.holder = null;
            const [heir] = this.tabs;
            if (heir) {
                this.sendWaiting(heir);
            }
        }
    }

    async settle(tab) {
        const {seq, keep, fail} = tab.waiting ?? {};
        if (seq !== undefined) {
            tab.waiting = null;
            this.handled.add(seq);
            (this.below(8) === 0 ? fail : keep)(new Error('broken'));
            await turn();
        }
    }

    async step() {
        const tab = this.tabs[this.below(this.tabs.length)];
        const choice = this.below(100);
        if (!tab || choice < 4) {
            await this.open();
        } else if (choice < 30) {
            this.deliver();
        } else if (choice < 60) {
            await this.settle(tab);
        } else if (choice < 80) {
            if (!tab.isAway) {
                this.read(tab);
            }
        } else if (choice < 86) {
            this.cut(tab);
        } else if (choice < 97) {
            if (tab.isAway) {
                await this.comeBack(tab, this.below(3) > 0);
            }
        } else {
            this.lose(tab);
        }
    }

    /** Lets everything come to its end. */
    async finish() {
        if (this.tabs.length === 0) {
            await this.open();
        }
        for (const tab of this.tabs) {
            if (tab.isAway) {
                await this.comeBack(tab, true);
            }
        }
        for (let isBusy = true; isBusy;) {
            const waiting = this.tabs.filter((tab) => tab.waiting);
            for (const tab of waiting) {
                await this.settle(tab);
            }
            this.tabs.forEach((tab) => this.read(tab));
            isBusy = waiting.length > 0 || this.tabs.some((tab) => tab.waiting);
        }
        for (const {seq, isGot} of this.messages) {
            assert(this.handled.has(seq), `${seq} was not handled`);
            assert(isGot || !this.isStrict, `${seq} was not acknowledged`);
        }
    }
}

test('pages of a device handle everything, over any cuts, gaps and losses of pages', async () => {
    const sum = {messages: 0, calls: 0};
    for (let seed = 0; seed < 300; seed += 1) {
        const below = ((next) => (end) => Math.floor(next() * end))(random(seed));
        const device = new Device(below);
        try {
            for (let left = below(300); left > 0; left -= 1) {
                await device.step();
            }
            await device.finish();
        } catch (error) {
            throw new Error(`seed ${seed}: ${error.message}`, {cause: error});
        }
        sum.messages += device.messages.length;
        sum.calls += device.calls;
    }
    assert(sum.messages > 8000 && sum.calls > sum.messages, JSON.stringify(sum));
});
