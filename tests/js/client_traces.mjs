// The page's end of gateway.2 in php/client/gateway.js against traces of that in Rust, which tests/tests/browser/traces.rs makes. Each line
// of the file that the variable TRACES names is one trace. ClientEnd is replayed alone, and Gateway with a socket, a clock and a window of
// this file's own. In each step they must say on the wire, hand to the application and keep what the trace says.

import assert from 'node:assert/strict';
import {readFileSync} from 'node:fs';
import {test} from 'node:test';
import {ClientEnd, Gateway} from '../../php/client/gateway.js';

const traces = readFileSync(process.env.TRACES, 'utf8').trim().split('\n').map((line) => JSON.parse(line));
const LONG = 2 ** 40;
const REPLACED = 4900;
const NORMAL = 1000;

const escape = (text) => text.startsWith('gateway:') ? `gateway:= ${text}` : text;

/** Runs each trace, and names the seed and the step that differ. */
async function replay(play) {
    for (const {seed, steps} of traces) {
        const next = play();
        for (const [number, step] of steps.entries()) {
            try {
                await next(step);
            } catch (error) {
                throw new Error(`seed ${seed}, step ${number} ${JSON.stringify(step).slice(0, 500)}: ${error.message}`, {cause: error});
            }
        }
    }
}

/** Gives a function that has a new ClientEnd do one step after the other. */
function playEnd() {
    let end = new ClientEnd();
    const cut = () => end.cut();
    const acts = {
        connect() {},
        refuse() {},
        cut,
        abandon: cut,
        reload() {
            end.cut();
            end = ClientEnd.restore(JSON.parse(JSON.stringify(end.save())));
        },
        init({text}) {
            const {event, reply, again} = end.open(JSON.parse(text));
            return {event, says: [reply, ...again, ...end.flush()]};
        },
        message({text, binary, at}) {
            const {message, question, inbox, lost, reply} = end.receive(text ?? new ArrayBuffer(binary), at);
            const asked = question && {id: question.id, text: question.data};
            const got = inbox && `gateway:=got ${inbox.epoch} ${inbox.seq}`;
            const says = [...(reply === null ? [] : [reply]), ...(got && end.send(got) ? [got] : [])];
            return {message: message?.byteLength ?? message, question: asked, inbox, lost, says};
        },
        // Whether the client may still answer is for the whole client to know.
        answer({id, text, isTaken}) {
            const answer = `gateway:=answer ${id} ${text}`;
            return {says: isTaken && end.send(answer) ? [answer] : []};
        },
        send: ({text}) => ({says: end.send(escape(text)) ? [escape(text)] : []}),
        due({at}) {
            assert(end.dueIn(at - 1) > 0);
            return {says: [end.due(at)]};
        },
    };
    return (step) => {
        if (step.do === 'lie') {
            assert.throws(() => end.isOpen ? end.receive(step.text, step.at) : end.open(JSON.parse(step.text)), Error);
            return;
        }
        const {event, says = [], message = null, question, inbox, lost} = acts[step.do](step) ?? {};
        assert.deepEqual(says, step.says ?? []);
        assert.deepEqual([message, question, inbox, lost], [step.message ?? null, step.question, step.inbox, step.lost]);
        // A reason that is absent is undefined in the event.
        assert.deepEqual(event ? {...event, ...('reason' in event && {reason: event.reason ?? null})} : null, step.event ?? null);
        assert.deepEqual([end.offer, end.weight], [step.offer, step.weight]);
        const {taken, confirmed, sent, waiting} = end.save() ?? {};
        if (end.secret !== null) {
            const counts = [taken, confirmed, sent.length, waiting.length];
            assert.deepEqual(counts, [step.taken, step.confirmed, step.unconfirmed, step.waiting]);
        }
    };
}

test('ClientEnd', () => replay(playEnd));

/** A clock that stands still but for `advance`, which runs the timers on its way. */
class Clock {
    now = 0;
    #timers = new Set();

    set(action, delay) {
        this.#timers.add({action, at: this.now + delay});
    }

    /** Does away with all timers, as the end of a page does. */
    clear() {
        this.#timers.clear();
    }

    advance(to) {
        for (;;) {
            const [next] = [...this.#timers].filter(({at}) => at <= to).sort((one, other) => one.at - other.at);
            if (!next) {
                break;
            }
            this.#timers.delete(next);
            this.now = next.at;
            next.action();
        }
        this.now = to;
    }
}

/** The socket of the page's last connection, and what was done with it. */
class FakeSocket extends EventTarget {
    static last = null;
    protocol = '';
    said = [];
    closed = null;

    constructor(url, offered) {
        super();
        this.offered = offered;
        FakeSocket.last = this;
    }

    send(text) {
        assert(this.protocol !== '' && this.closed === null, 'the socket is not open');
        this.said.push(text);
    }

    close(code) {
        this.closed ??= code ?? 'no code';
    }

    raise(type, detail = {}) {
        this.dispatchEvent(Object.assign(new Event(type), detail));
    }
}

/** Gives a function that has a new page's Gateway do one step after the other. */
function playGateway() {
    const clock = new Clock();
    const kept = new Map();
    let window, gateway, socket, clientId, introduced;
    let noted = [];
    const questions = new Map();
    const stage = {
        WebSocket: FakeSocket,
        performance: {now: () => clock.now},
        setTimeout: (action, delay) => clock.set(action, delay),
        // Its only interval looks after dead connections, which traces do not have.
        setInterval: () => null,
        clearInterval() {},
        sessionStorage: {getItem: (key) => kept.get(key) ?? null, setItem: (key, text) => kept.set(key, text), removeItem: (key) => kept.delete(key)},
        addEventListener: (...how) => window.addEventListener(...how),
    };
    for (const [name, value] of Object.entries(stage)) {
        Object.defineProperty(globalThis, name, {value, configurable: true, writable: true});
    }
    Date.now = () => clock.now;

    const open = () => {
        window = new EventTarget();
        [introduced, clientId] = [null, null];
        gateway = new Gateway('ws://gateway.test/', {resumeTab: true, minDelay: LONG, maxDelay: LONG, connectTimeout: LONG, queueBytes: LONG, random: () => 1});
        for (const type of ['open', 'bound', 'close', 'reconnecting', 'recovered', 'gap', 'overflow', 'error', 'raw']) {
            gateway.addEventListener(type, (event) => {
                event.preventDefault();
                noted.push(event);
            });
        }
        gateway.on('*', (message) => noted.push(JSON.stringify(message)));
        gateway.on('lost', (lost) => noted.push({lost}));
        gateway.addEventListener('ask', (event) => noted.push(event));
    };
    const attempt = async () => {
        socket = FakeSocket.last = null;
        if (gateway) {
            gateway.connect();
        } else {
            open();
        }
        // The client waits for its token, of which there is none.
        await new Promise(setImmediate);
        socket = FakeSocket.last;
    };
    const brief = (note) => {
        switch (note.type) {
            case 'ask': return {ask: note.data};
            case 'raw': return {raw: note.data.byteLength ?? note.data};
            case 'recovered': return {type: note.type, missed: note.missed};
            case 'gap': return {type: note.type, reason: note.reason ?? null, unconfirmed: note.unconfirmed};
            case 'close': return `close ${note.code} ${note.again}`;
            case 'error': return `error ${note.where}`;
            default: return note.type ?? note;
        }
    };
    /** What the application gets of a message. */
    const handed = (message) => {
        let parsed;
        try {
            parsed = JSON.parse(message);
        } catch {
            // It is raw.
        }
        if (typeof message === 'number' || typeof parsed?.type !== 'string') {
            return message === null ? [] : [{raw: message}];
        }
        return parsed.type === 'init' && parsed.client_id === clientId ? [] : [message];
    };
    const ENDED = ['close 1006 true', 'reconnecting'];
    const acts = {
        async connect({offer}) {
            await attempt();
            assert.deepEqual(socket.offered, ['gateway.2', 'gateway', ...(offer ? [offer] : [])]);
            socket.protocol = 'gateway.2';
            socket.raise('open');
            return ['open'];
        },
        async refuse({offer}) {
            await attempt();
            assert.deepEqual(socket.offered, ['gateway.2', 'gateway', ...(offer ? [offer] : [])]);
            socket.raise('close', {code: 1006, reason: ''});
            return ENDED;
        },
        cut() {
            socket.raise('close', {code: 1006, reason: ''});
            return ENDED;
        },
        abandon() {
            window.dispatchEvent(new Event('online'));
            assert.equal(socket.closed, REPLACED);
            return ENDED;
        },
        reload() {
            window?.dispatchEvent(new Event('pagehide'));
            clock.clear();
            noted = [];
            gateway = null;
            return [];
        },
        init({text, event}) {
            socket.raise('message', {data: text});
            clientId = JSON.parse(text).client_id;
            assert.equal(gateway.clientId, clientId);
            const isNew = introduced !== clientId;
            introduced = clientId;
            return [...(isNew ? [text] : []), ...(event ? [event] : [])];
        },
        message({text, binary, message, question, inbox, isDouble, lost}) {
            socket.raise('message', {data: text ?? new ArrayBuffer(binary)});
            if (question) {
                questions.set(question.id, noted.at(-1));
                return [{ask: question.text}];
            }
            if (lost !== undefined) {
                return [{lost}];
            }
            if (inbox) {
                return isDouble ? [] : handed(inbox.data);
            }
            return handed(message);
        },
        answer({id, text, isTaken}) {
            assert.equal(questions.get(id).reply(text), isTaken);
            assert.equal(isTaken && questions.get(id).reply(text), false);
            return [];
        },
        send({text}) {
            assert.equal(gateway.send(text), true);
            return [];
        },
        // The clock has done it.
        due: () => [],
        lie({text}) {
            const isInit = gateway.clientId === null;
            socket.raise('message', {data: text});
            assert.equal(socket.closed, isInit ? REPLACED : NORMAL); // a browser refuses to close with 1002
            return ['error protocol', ...(isInit ? ENDED : ['close 1002 true', 'reconnecting'])];
        },
    };
    return async (step) => {
        const before = socket?.said.length ?? 0;
        // Nothing happens by itself but what is due.
        const said = () => socket?.said.slice(before) ?? [];
        clock.advance(step.at - 1);
        assert.deepEqual([noted.map(brief), said()], [[], []]);
        clock.advance(step.at);
        assert.deepEqual([noted.map(brief), said()], [[], step.do === 'due' ? step.says : []]);
        const old = socket;
        const expected = await acts[step.do](step);
        assert.deepEqual(noted.map(brief), expected);
        assert.deepEqual(socket === old ? said() : socket.said, step.says ?? []);
        noted = [];
    };
}

test('Gateway', () => replay(playGateway));
