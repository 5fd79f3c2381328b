// The page's end of gateway.2, ClientEnd of php/client/gateway.js, against a double of the server's over a wire that is cut at any
// moment, as gateway-wire/src/client_protocol/simulation.rs does with the ends in Rust. A run follows from its seed, which a failure names.

import assert from 'node:assert/strict';
import {test} from 'node:test';
import {ClientEnd} from '../../php/client/gateway.js';

const KEPT = 40;

/** A random generator (mulberry32). */
const random = (seed) => () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
};

/** The text of a message with this number. Some look like control. */
const text = (number) => `${['gateway:seen', 'gateway:=', 'message', 'gateway:later', ''][number % 5]} ${number}`;
const numberOf = (message) => {
    const number = Number(message.slice(message.lastIndexOf(' ')));
    assert.equal(message, text(number));
    return number;
};
const escape = (message) => message.startsWith('gateway:') ? `gateway:= ${message}` : message;
const secretOf = (client, version) => client.toString(16).padStart(20, '0') + version.toString(16).padStart(32, '0');

/** The server, with the one client that it keeps. A secret is good until the page shows that it has the next one. */
class Server {
    clients = 0;
    client = null;
    taken = [];

    connect(offer) {
        const [, secret, seen] = /^gateway\.resume\.([0-9a-f]{52})\.(\d+)$/.exec(offer ?? '') ?? [];
        const {client} = this;
        const isGood = client && [client.proven, client.latest].includes(secret) && seen >= client.seen;
        if (isGood) {
            client.sent.splice(0, seen - client.seen);
            Object.assign(client, {seen: Number(seen), proven: secret});
        } else {
            this.clients += 1;
            this.client = {number: this.clients, versions: 0, seen: 0, sent: [], taken: 0, proven: null};
        }
        const now = this.client;
        now.latest = secretOf(now.number, now.versions += 1);
        const reason = secret && !isGood ? 'expired' : undefined;
        const init = {type: 'init', client_id: `${now.number}`, proof: '', resume: now.latest, seen: now.taken, missed: now.sent.length};
        return [{...init, resumed: Boolean(isGood), reason}, ...now.sent.map(escape)];
    }

    receive(message) {
        const {client} = this;
        client.proven = client.latest;
        const seen = /^gateway:seen (\d+)$/.exec(message);
        if (seen) {
            assert(seen[1] >= client.seen && seen[1] <= client.seen + client.sent.length, message);
            client.sent.splice(0, seen[1] - client.seen);
            client.seen = Number(seen[1]);
        } else {
            client.taken += 1;
            this.taken.push(numberOf(message.replace(/^gateway:= /, '')));
        }
        // It confirms now and then.
        return client.taken % 3 === 0 ? [`gateway:seen ${client.taken}`] : [];
    }
}

function run(seed) {
    const below = ((next) => (end) => Math.floor(next() * end))(random(seed));
    const server = new Server();
    let page = new ClientEnd();
    let wire = null;
    let [now, pushed, said, heard, mayMiss, recovered, gaps] = [0, 0, 0, 0, true, 0, 0];
    const unconfirmed = [];

    const cut = () => {
        wire = null;
        page.cut();
    };
    const say = (message) => message && wire.toServer.push(message);
    const connect = () => {
        page.cut();
        wire = {toPage: server.connect(page.offer), toServer: []};
    };
    const pageReceives = () => {
        const message = wire?.toPage.shift();
        if (message === undefined) {
            return;
        }
        if (!page.isOpen) {
            const {event, reply, again} = page.open(message);
            [reply, ...again, ...page.flush()].forEach(say);
            recovered += event?.type === 'recovered';
            if (event?.type === 'gap') {
                gaps += 1;
                unconfirmed.push(...event.unconfirmed.map(numberOf));
            }
            mayMiss ||= event?.type !== 'recovered';
            return;
        }
        const received = page.receive(message, now);
        say(received.reply);
        if (received.message !== null) {
            const number = numberOf(received.message);
            assert(mayMiss ? number > heard : number === heard + 1, `${number} behind ${heard}`);
            [heard, mayMiss] = [number, false];
        }
    };
    const serverReceives = () => {
        const message = wire?.toServer.shift();
        if (message !== undefined) {
            wire.toPage.push(...server.receive(message));
        }
    };
    const steps = [
        [20, () => {
            if (server.client) {
                pushed += 1;
                server.client.sent.push(text(pushed));
                wire?.toPage.push(escape(text(pushed)));
                if (server.client.sent.length > KEPT) {
                    server.client = null;
                    cut();
                }
            }
        }],
        [15, () => {
            said += 1;
            if (page.send(escape(text(said)))) {
                say(escape(text(said)));
            }
        }],
        [25, pageReceives],
        [25, serverReceives],
        [5, cut],
        [8, connect],
        [1, () => page.isOpen && say(page.due(now))],
        // The page is reloaded, and goes on from what it has kept.
        [1, () => {
            cut();
            page = ClientEnd.restore(JSON.parse(JSON.stringify(page.save() ?? {})));
            if (!page.hasLived) {
                unconfirmed.push(...Array.from({length: said}, (_, number) => number + 1));
                mayMiss = true;
            }
        }],
    ];
    for (let left = below(600); left > 0; left -= 1) {
        now += below(300);
        let choice = below(100);
        steps.find(([share]) => (choice -= share) < 0)[1]();
    }
    connect();
    while (wire.toPage.length > 0 || wire.toServer.length > 0) {
        pageReceives();
        serverReceives();
    }
    assert(server.taken.every((number, index) => index === 0 || number > server.taken[index - 1]), 'once and in order');
    const arrived = new Set([...server.taken, ...unconfirmed]);
    for (let number = 1; number <= said; number += 1) {
        assert(arrived.has(number), `${number} is lost, and the page was not told`);
    }
    assert(mayMiss || heard === pushed, 'all of the server\'s messages have come');
    return {recovered, gaps, heard: server.taken.length + pushed};
}

test('nothing is lost or doubled over any cuts', () => {
    const sum = {recovered: 0, gaps: 0, heard: 0};
    for (let seed = 0; seed < 500; seed += 1) {
        try {
            Object.entries(run(seed)).forEach(([name, count]) => { sum[name] += count; });
        } catch (error) {
            throw new Error(`seed ${seed}: ${error.message}`, {cause: error});
        }
    }
    assert(sum.recovered > 5000 && sum.gaps > 100 && sum.heard > 25_000, JSON.stringify(sum));
});

const INIT = {type: 'init', client_id: '1', resume: secretOf(1, 1), seen: 0, resumed: false, missed: 0};

function opened(init = {}) {
    const end = new ClientEnd();
    end.open({...INIT, ...init});
    return end;
}

test('the gateway is told after many messages, many bytes or some time', () => {
    const end = opened();
    const take = (length, now) => end.receive('x'.repeat(length), now).reply;
    for (let count = 1; count < 1024; count += 1) {
        assert.equal(take(1, 0), null);
    }
    assert.equal(take(1, 0), 'gateway:seen 1024');
    assert.equal(take(524_287, 1000), null);
    assert.equal(take(1, 1000), 'gateway:seen 1026');
    assert.deepEqual([end.due(100_000), end.dueIn(100_000), take(0, 100_000)], [null, Infinity, null]);
    assert.deepEqual([end.dueIn(104_000), end.due(104_000), end.due(105_000), end.due(200_000)], [1000, null, 'gateway:seen 1027', null]);
    assert.deepEqual([take(0, 200_000), take(0, 205_000)], [null, 'gateway:seen 1029']);
    assert.equal(end.offer, `gateway.resume.${INIT.resume}.1029`);
});

test('control is told from the messages of the application', () => {
    const end = opened();
    for (const [data, message, reply] of [
        ['', ''],
        ['gateway', 'gateway'],
        [' gateway:seen 1', ' gateway:seen 1'],
        ['gateway:= gateway:seen 1', 'gateway:seen 1'],
        ['gateway:= ', ''],
        ['gateway:=later 7 x', null],
        ['gateway:seen 0', null],
        ['gateway:ping', null, 'gateway:pong'],
        ['gateway:pong', null],
        ['gateway:', null],
        ['gateway:seen64', null],
        ['gateway:of 2050', null],
    ]) {
        assert.deepEqual(end.receive(data, 0), {message, reply: reply ?? null}, data);
    }
    const binary = new ArrayBuffer(512 << 10);
    assert.deepEqual(end.receive(binary, 0), {message: binary, reply: 'gateway:seen 7'});
});

test('what a gateway cannot mean is an error', () => {
    const bad = ['gateway:seen', 'gateway:seen ', 'gateway:seen -1', 'gateway:seen 01', 'gateway:seen 1 ', 'gateway:seen 1000000000000000000',
        'gateway:seen ١', 'gateway:ping 1', 'gateway:pong ', 'gateway:seen 1'];
    for (const data of bad) {
        assert.throws(() => opened().receive(data, 0), Error, data);
    }
    for (const init of [{resumed: true}, {type: 'hello'}, {client_id: 7}, {seen: -1}, {seen: '0'}, {resume: 'x'}, {resumed: undefined}]) {
        assert.throws(() => opened(init), Error, JSON.stringify(init));
    }
    const end = opened();
    ['a', 'b'].forEach((message) => end.send(message));
    end.receive('gateway:seen 1', 0);
    for (const count of [0, 3]) {
        assert.throws(() => end.receive(`gateway:seen ${count}`, 0));
    }
    end.cut();
    assert.equal(end.send('c'), false);
    assert.deepEqual(end.open({...INIT, resumed: true, seen: 2, missed: 3}), {
        event: {type: 'recovered', missed: 3},
        reply: 'gateway:seen 0',
        again: [],
    });
    assert.deepEqual([end.flush(), end.weight], [['c'], 2]);
    assert.deepEqual(end.open({...INIT, reason: 'expired'}).event, {type: 'gap', reason: 'expired', unconfirmed: ['c']});
    assert.equal(end.weight, 0);
    // Questions are told from messages, and answers are no messages of the application.
    end.cut();
    end.open({...INIT, resumed: true});
    const asked = end.receive('gateway:=ask 00000000000000ff {"a": "b c"}', 0);
    assert.deepEqual([asked.message, asked.question], [null, {id: '00000000000000ff', data: '{"a": "b c"}'}]);
    const malformed = ['ask 00000000000000ff', 'ask 00000000000000fF x', 'answer ff x',
        ...['old AT 1 i m', 'new AT 0 i m', 'new AT 01 i m', 'new AT 1 i', 'new AT 1  m', 'kept AT 1 é m', 'kept ff 1 i m'].map((rest) => `inbox ${rest}`),
        `inbox new AT 1 ${'x'.repeat(65)} m`, 'lost AT -1', 'lost AT', 'got AT 01', 'got AT 1 x', 'read ff 1'];
    for (const text of malformed) {
        assert.throws(() => end.receive(`gateway:=${text.replace('AT', '0000000000000abc')}`, 0), /malformed message with a header/, text);
    }
    // So are messages of the inbox, and what a page says of them.
    const inbox = end.receive('gateway:=inbox kept 0000000000000abc 7 a_B-9 hi  you', 0);
    const message = {isNew: false, epoch: '0000000000000abc', seq: 7, id: 'a_B-9', data: 'hi  you'};
    assert.deepEqual(inbox, {message: null, inbox: message, reply: null});
    assert.deepEqual(end.receive('gateway:=lost 0000000000000abc 12', 0), {message: null, lost: 12, reply: null});
    for (const text of ['gateway:=got 0000000000000abc 7', 'gateway:=inboxes 1', 'gateway:=inbox']) {
        assert.deepEqual(end.receive(text, 0), {message: null, reply: null});
    }
    end.send('gateway:=got 0000000000000abc 7');
    end.send('gateway:=read 0000000000000abc 7');
    end.send('gateway:=answer 00000000000000ff went out');
    end.send('gateway:= gateway:=answer 1 is a message');
    end.cut();
    end.send('gateway:=answer 00000000000000fe waits');
    end.send('waits');
    // Only that a message is read is said again.
    const {unconfirmed} = end.open({...INIT, reason: 'expired'}).event;
    const again = ['gateway:=read 0000000000000abc 7', 'waits'];
    assert.deepEqual([unconfirmed, end.flush()], [['gateway:=answer 1 is a message'], again]);
    assert.equal(end.weight, 2 * again.join('').length);
    end.receive('gateway:seen 2', 0);
    end.open({...INIT, reason: 'expired'});
    // What comes later waits for what waits.
    end.cut();
    end.send('d');
    end.open({...INIT, resumed: true});
    const answer = 'gateway:=answer 00000000000000fd before them';
    assert.deepEqual([end.send('e'), end.send(answer), end.flush(), end.send('f')], [false, true, ['d', 'e'], true]);
    end.cut();
    assert.deepEqual(end.open({...INIT, resumed: true, seen: 1}).again.slice(0, 2), ['d', 'e']);
});
