/* Made of gateway.js by scripts/browser-client: change that one. */
(() => {
'use strict';

/** The browser client of the push gateway. docs/browser-client.md says what it does and why. */

const DEFAULTS = {
    token: null,
    tokenIn: 'query',
    protocols: [],
    bind: null,
    csrf: () => globalThis.document?.querySelector('meta[name=csrf-token]')?.content,
    minDelay: 1000,
    maxDelay: 30_000,
    hiddenMaxDelay: 300_000,
    connectTimeout: 15_000,
    ping: null,
    pingInterval: 30_000,
    pingTimeout: 10_000,
    queueBytes: 262_144,
    resume: true,
    resumeTab: false,
    device: null,
    random: Math.random,
};

/**
 * Close codes: an ordinary end, a gateway that breaks the protocol, a connection that was lost or never made, a token that was refused,
 * and the page's own for a connection that another one follows, so that the gateway keeps the client.
 */
const NORMAL = 1000;
const PROTOCOL_ERROR = 1002;
const ABNORMAL = 1006;
const TOKEN_REFUSED = 4401;
const REPLACED = 4900;

/** The statuses of a site that refuses a token however often the page asks. */
const UNAUTHORIZED = [401, 403];
/** The form of a JSON Web Token, which Gateway::token() makes. */
const TOKEN_FORM = /^[\w-]+\.[\w-]+\.[\w-]+$/;

/** The close codes for a fault of the page itself. A page that reconnects soon would soon be closed again. */
const PAGE_FAULTS = [1002, 1007, 1008, 1009, 4429];

/** After a connection that lasted so many milliseconds the delays begin anew. */
const STABLE_AFTER = 10_000;

/** Browsers run the timers of a hidden page once a minute. A timer that is so many milliseconds late means that the page was suspended. */
const SUSPENDED_AFTER = 120_000;

/** A page that is about to be left connects again after so many milliseconds, if it is still there: the user may have chosen to stay. */
const STAYS_AFTER = 5000;

/** A client that has spoken gateway.2 offers it at each attempt, except once in so many that fail. */
const PLAIN_ATTEMPT = 4;

/**
 * A gateway is taken for one without subprotocols once it was reached only without them so many times in a row, by a page each, as an
 * attempt with them may have failed for another reason. After so many milliseconds they are offered again.
 */
const PLAIN_TIMES = 2;
const PLAIN_LASTS = 86_400_000;

/** Events after which the page may have a network again, or a user. */
const WAKE_EVENTS = ['online', 'visibilitychange', 'pageshow', 'resume'];

/** The subprotocol in which both ends count messages, so that a page that comes back has missed nothing. */
const COUNTED = 'gateway.2';

/** The start of control messages, that of messages with a header, and the header of a message that would pass for control without it. */
const CONTROL = 'gateway:';
const HEADER = 'gateway:=';
const ESCAPE = 'gateway:= ';

/** The start of an answer to a question of PHP's, of an acknowledgement of the inbox's messages, and of what says that one is read. */
const ANSWER = `${HEADER}answer `;
const GOT = `${HEADER}got `;
const READ = `${HEADER}read `;

/** The form of what follows each header. A question and an answer have an id, and positions in an inbox have its epoch. */
const ASKED_FORM = /^([0-9a-f]{16}) (.*)$/s;
const INBOX_POSITION_FORM = /^([0-9a-f]{16}) (0|[1-9]\d{0,17})$/;
const HEADERS = new Map([
    ['ask', ASKED_FORM],
    ['answer', ASKED_FORM],
    ['inbox', /^(new|kept) ([0-9a-f]{16}) ([1-9]\d{0,17}) ([\w-]{1,64}) (.*)$/s],
    ['lost', INBOX_POSITION_FORM],
    ['got', INBOX_POSITION_FORM],
    ['read', INBOX_POSITION_FORM],
]);

/** The name of a device, and the bytes of one that this browser makes. */
const DEVICE_FORM = /^[\w-]{1,64}$/;
const DEVICE_BYTES = 16;

/** The gateway is told at the latest after so many messages of the inbox that they are handled. */
const GOT_AFTER_MESSAGES = 16;

/** The most epochs of which a note says what a device has handled, and the most ranges of numbers in each: as many as a gateway keeps messages. */
const NOTED_EPOCHS = 8;
const NOTED_RANGES = 1000;

/** The gateway is told how many of its messages were taken after so many of them, so many characters, or so many milliseconds. */
const SEEN_AFTER_MESSAGES = 1024;
const SEEN_AFTER_LENGTH = 524_288;
const SEEN_AFTER_TIME = 5000;

/** A secret of any version of the gateway, in letters that a subprotocol may have. */
const SECRET_FORM = /^[\w-]{32,200}$/;
const POSITION_FORM = /^(0|[1-9]\d{0,17})$/;
const isPosition = (value) => Number.isInteger(value) && value >= 0;

/** Events before a page is left. Firefox closes its connections between the two. */
const LEAVE_EVENTS = ['beforeunload', 'pagehide'];

const isHidden = () => globalThis.document?.hidden === true;
const resolved = async (option) => (typeof option === 'function' ? option() : option);
/** An address has a slash, and a token never does. */
const isAddress = (token) => typeof token === 'string' && token.includes('/');

/** The text in which a message of the application goes out, so that nothing of the page's passes for control, and the message of such a text. */
const escaped = (message) => message.startsWith(CONTROL) ? ESCAPE + message : message;
const unescaped = (text) => text.startsWith(ESCAPE) ? text.slice(ESCAPE.length) : text;
const isAnswer = (text) => text.startsWith(ANSWER);
const isRead = (text) => text.startsWith(READ);
const hasHeader = (text) => text.startsWith(HEADER) && !text.startsWith(ESCAPE);

/** How a message of any kind is written. */
const written = (message) => typeof message === 'string' ? message : String(JSON.stringify(message));

/** The bytes that a text takes in memory, at most. */
const weightOf = (text) => 2 * text.length;

/** The message of a text, or null for what is no JSON object with a string `type`. */
function parsed(data) {
    try {
        const message = JSON.parse(data);
        return typeof message?.type === 'string' ? message : null;
    } catch {
        return null;
    }
}

/** Has the browser report an error as uncaught, while what has called the handler goes on. */
function report(error) {
    queueMicrotask(() => {
        throw error;
    });
}

/** Whether one of these ranges, each of a first and a last number, has this number. */
const covers = (ranges, number) => ranges.some(([first, last]) => first <= number && number <= last);

/** Whether an acknowledgement of one position in an inbox stands for that of another one. */
const includes = (position, other) => position.epoch === other.epoch && position.seq >= other.seq;

/** Adds a number to ranges. The range that has got it stands last, and the first one goes if there are too many. */
function withNumber(ranges, number) {
    const touches = ([first, last]) => first <= number + 1 && number <= last + 1;
    const bounds = [number, ...ranges.filter(touches).flat()];
    const whole = [Math.min(...bounds), Math.max(...bounds)];
    return [...ranges.filter((range) => !touches(range)), whole].slice(-NOTED_RANGES);
}

/** Does something with what this browser or tab keeps over pages, which may be full or forbidden. */
function withStorage(kind, action) {
    try {
        return action(globalThis[kind]);
    } catch {
        return null;
    }
}

/** The name of this browser for gateways, which is made by chance once; null where the browser does not keep it. */
function ownDevice() {
    const key = 'gateway device';
    return withStorage('localStorage', (storage) => {
        if (!DEVICE_FORM.test(storage.getItem(key) ?? '')) {
            const bytes = crypto.getRandomValues(new Uint8Array(DEVICE_BYTES));
            storage.setItem(key, [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(''));
        }
        return storage.getItem(key);
    });
}

/** Posts to a page of this site alone, as other sites must not see the CSRF token. A redirect is no success: it leads to a login. */
async function post(url, fields, csrf, signal) {
    const token = await resolved(csrf);
    const headers = {
        Accept: 'application/json, text/plain;q=0.9',
        'X-Requested-With': 'XMLHttpRequest',
        ...(token && {'X-CSRF-Token': token}),
    };
    const rules = {mode: 'same-origin', redirect: 'manual', cache: 'no-store', signal};
    return fetch(url, {method: 'POST', body: new URLSearchParams(fields), headers, ...rules});
}

/** Posts to a page of this site for a token, which is its answer or `token` in its JSON. With null the page connects as nobody. */
async function fetchToken(url, csrf, signal) {
    const answer = await post(url, {}, csrf, signal);
    const refuse = (reason) => {
        throw Object.assign(new Error(`no token from ${url}: ${reason}`), {status: answer.status});
    };
    if (answer.type === 'opaqueredirect') {
        refuse('it leads elsewhere, perhaps to a login');
    }
    const text = (await answer.text()).trim();
    const start = text.length > 60 ? `${text.slice(0, 60)}…` : text;
    if (!answer.ok) {
        refuse(`HTTP ${answer.status} ${start}`);
    }
    let token = text;
    if (/^application\/json/i.test(answer.headers.get('Content-Type') ?? '')) {
        try {
            ({token} = JSON.parse(text));
        } catch {
            // The error below shows the answer.
        }
        if (token === null) {
            return null;
        }
    }
    return TOKEN_FORM.test(token) ? token : refuse(`it answers with no token but with ${JSON.stringify(start)}`);
}

/**
 * The page's end of gateway.2: what it keeps over its connections, without sockets and timers. Times are milliseconds since any fixed
 * moment. An Error means that the gateway breaks the protocol. It is exported for tests, and may change in any version.
 */
class ClientEnd {
    /** The secret of the last init, by which the page comes back, or null where nobody can. */
    secret = null;
    /** Whether the init of the connection that is current has come. */
    isOpen = false;
    /** Whether any init has come. */
    hasLived = false;
    /** The texts of the page that the gateway has not confirmed, those that never went out, and the bytes of both. */
    #sent = [];
    #waiting = [];
    #weight = 0;
    /** Number of the page's messages that the gateway has confirmed. */
    #confirmed = 0;
    /** Number of the gateway's messages that were taken, and of those that it was told of; the length of the others, and since when. */
    #taken = 0;
    #told = 0;
    #untoldLength = 0;
    #untoldSince = 0;

    /** Goes on from what `save` gave, or is as new if that is no such thing. */
    static restore(record) {
        const end = new ClientEnd();
        const {secret, taken, confirmed, sent, waiting} = record ?? {};
        const areTexts = [sent, waiting].every((list) => Array.isArray(list) && list.every((text) => typeof text === 'string'));
        if (SECRET_FORM.test(secret) && isPosition(taken) && isPosition(confirmed) && areTexts) {
            Object.assign(end, {secret, hasLived: true});
            [end.#taken, end.#confirmed, end.#sent, end.#waiting] = [taken, confirmed, sent, waiting];
            end.#weight = [...sent, ...waiting].reduce((sum, text) => sum + weightOf(text), 0);
        }
        return end;
    }

    /** Gives all that another page needs to go on, or null where nobody can. */
    save() {
        const {secret} = this;
        return secret && {secret, taken: this.#taken, confirmed: this.#confirmed, sent: this.#sent, waiting: this.#waiting};
    }

    /** The bytes of the page's messages that the gateway has not confirmed. */
    get weight() {
        return this.#weight;
    }

    /** The subprotocol by which the next connection asks for this client, or null. */
    get offer() {
        return this.secret && `gateway.resume.${this.secret}.${this.#taken}`;
    }

    /**
     * Takes the init of a connection. Gives `event`, which is `recovered`, `gap` or null, with its details; the control message that
     * goes out first; and the messages that go out `again`. Then come those of `flush`.
     */
    open({type, client_id, resume = null, seen, resumed, missed, reason}) {
        const isInit = type === 'init' && typeof client_id === 'string' && typeof resumed === 'boolean' && isPosition(seen);
        if (!isInit || resumed && !this.hasLived || resume !== null && !SECRET_FORM.test(resume)) {
            throw new Error('the first message is no init of gateway.2');
        }
        let event = null;
        if (resumed) {
            this.#confirm(seen);
            event = {type: 'recovered', missed};
        } else {
            const unconfirmed = this.#sent.splice(0);
            // The client that was asked has gone, and nobody takes an answer from another one. What is read may be said twice.
            const again = [...unconfirmed.filter(isRead), ...this.#waiting.filter((text) => !isAnswer(text))];
            this.#lighten([...unconfirmed, ...this.#waiting]);
            this.#waiting = again;
            this.#weight += again.reduce((sum, text) => sum + weightOf(text), 0);
            event = this.hasLived ? {type: 'gap', reason, unconfirmed: this.#messages(unconfirmed)} : null;
            this.#confirmed = this.#taken = 0;
        }
        this.secret = resume;
        this.isOpen = this.hasLived = true;
        return {event, reply: this.#tell(), again: [...this.#sent]};
    }

    /** Notes the end of the connection. */
    cut() {
        this.isOpen = false;
    }

    /** Ends the client: nobody comes back as it. Gives the page's messages that may not have arrived, which the next gap names too. */
    end() {
        this.secret = null;
        this.#sent.push(...this.#waiting.splice(0));
        return this.#messages(this.#sent);
    }

    /**
     * Keeps a text of the page. Gives whether it goes out now. An answer does before what waits for a bind, as the page that binds may
     * itself ask.
     */
    send(text) {
        const isNow = this.isOpen && (this.#waiting.length === 0 || isAnswer(text));
        (isNow ? this.#sent : this.#waiting).push(text);
        this.#weight += weightOf(text);
        return isNow;
    }

    /** Gives the texts that never went out, which go out now. */
    flush() {
        const texts = this.#waiting.splice(0);
        this.#sent.push(...texts);
        return texts;
    }

    /**
     * Takes what comes behind the init. Gives the application's message, PHP's question, the message of the inbox, or the number of
     * those that were lost, if it is one; and the control message that is due.
     */
    receive(data, now) {
        if (typeof data !== 'string') {
            return {message: data, reply: this.#take(data.byteLength, now)};
        }
        if (data.startsWith(CONTROL) && !data.startsWith(HEADER)) {
            return {message: null, reply: this.#control(data)};
        }
        const [start, word] = data.startsWith(HEADER) ? /^gateway:=(\w+) /.exec(data) ?? [] : [];
        const fields = HEADERS.get(word)?.exec(data.slice(start.length));
        if (fields === null) {
            throw new Error(`malformed message with a header ${JSON.stringify(data.slice(0, 60))}`);
        }
        const reply = this.#take(data.length, now);
        if (word === 'ask') {
            const [, id, question] = fields;
            return {message: null, question: {id, data: question}, reply};
        }
        if (word === 'inbox') {
            const [, kind, epoch, seq, id, text] = fields;
            return {message: null, inbox: {isNew: kind === 'new', epoch, seq: Number(seq), id, data: text}, reply};
        }
        if (word === 'lost') {
            return {message: null, lost: Number(fields[2]), reply};
        }
        if (hasHeader(data)) {
            return {message: null, reply}; // a newer gateway knows what it means
        }
        return {message: unescaped(data), reply};
    }

    /** The milliseconds until the gateway has to be told of messages. */
    dueIn(now) {
        return this.#taken > this.#told ? this.#untoldSince + SEEN_AFTER_TIME - now : Infinity;
    }

    /** Gives the control message that is due because a message has waited for long, or null. */
    due(now) {
        return this.dueIn(now) <= 0 ? this.#tell() : null;
    }

    #take(length, now) {
        if (this.#taken === this.#told) {
            this.#untoldSince = now;
        }
        this.#taken += 1;
        this.#untoldLength += length;
        const isMuch = this.#taken - this.#told >= SEEN_AFTER_MESSAGES || this.#untoldLength >= SEEN_AFTER_LENGTH;
        return isMuch ? this.#tell() : this.due(now);
    }

    #tell() {
        this.#told = this.#taken;
        this.#untoldLength = 0;
        return `${CONTROL}seen ${this.#taken}`;
    }

    #control(text) {
        const [, word, rest] = /^gateway:([^ ]*)(?: (.*))?$/s.exec(text);
        const isFine = word === 'seen' ? POSITION_FORM.test(rest) : rest === undefined || !['ping', 'pong'].includes(word);
        if (!isFine) {
            throw new Error(`malformed control message ${JSON.stringify(text.slice(0, 60))}`);
        }
        if (word === 'seen') {
            this.#confirm(Number(rest));
        }
        return word === 'ping' ? `${CONTROL}pong` : null;
    }

    /** Forgets the messages that the gateway has taken. */
    #confirm(count) {
        const forget = count - this.#confirmed;
        if (forget < 0 || forget > this.#sent.length) {
            const sent = this.#confirmed + this.#sent.length;
            throw new Error(`the gateway confirms ${count} messages of ${sent}, of which ${this.#confirmed} were confirmed`);
        }
        this.#lighten(this.#sent.splice(0, forget));
        this.#confirmed = count;
    }

    /** The application's messages among texts that went out, or were to go. */
    #messages(texts) {
        return texts.filter((text) => !hasHeader(text)).map(unescaped);
    }

    #lighten(texts) {
        for (const text of texts) {
            this.#weight -= weightOf(text);
        }
    }
}

/**
 * The messages of the inbox on their way to the handlers: what has come is handled in order, noted for other pages of the device, and
 * acknowledged.
 *
 * Pages of a device need not get the same messages. So the numbers that have come and those that are handled are kept as ranges: whatever
 * the gateway sends to which page, a number never stands for another one, as the greatest one would for all before it.
 */
class Inbox {
    /** The key of the device's note in localStorage. */
    #noteKey;
    /** The messages, and the losses of messages, that are not handled. The first of them is being handled, or is the next. */
    #queue = [];
    /** The epoch of the last message, and the ranges of the numbers of this epoch that have come. */
    #epoch = null;
    #received = [];
    /** The positions that are to be acknowledged, without those that the one behind includes, and how many messages they stand for. */
    #unacknowledged = [];
    #handled = 0;
    /** Whether another page goes on with all of this. */
    #isLeft = false;

    constructor(device) {
        this.#noteKey = `gateway inbox ${device || ''}`;
    }

    /** Keeps a message for the handlers. One that has come before is not handled again, but acknowledged after those before it. */
    take({epoch, seq, ...message}) {
        if (epoch !== this.#epoch) {
            [this.#epoch, this.#received] = [epoch, []];
        }
        const isDouble = covers(this.#received, seq);
        this.#received = withNumber(this.#received, seq);
        const before = this.#queue.at(-1);
        if (isDouble && before?.isDouble && includes({epoch, seq}, before)) {
            before.seq = seq;
        } else {
            this.#queue.push(isDouble ? {epoch, seq, isDouble} : {epoch, seq, ...message});
        }
    }

    /** Keeps for the handlers that so many messages were dropped. */
    takeLoss(lost) {
        this.#queue.push({lost});
    }

    /** Gives what is to be handled next, or undefined. What has come before, or another page has handled, is passed over. */
    next() {
        for (;;) {
            const [entry] = this.#isLeft ? [] : this.#queue;
            const isOver = entry?.isDouble || entry?.isNew === false && this.#isNoted(entry);
            if (!isOver) {
                return entry;
            }
            this.#finish(entry);
        }
    }

    /** Takes note that this is handled. */
    done(entry) {
        if (entry.lost === undefined) {
            this.#note(entry);
        }
        this.#finish(entry);
    }

    /** Gives the acknowledgements that are due: those of all that is handled once nothing is left, and before that those of many. */
    due() {
        if (this.#queue.length > 0 && this.#handled < GOT_AFTER_MESSAGES) {
            return [];
        }
        const positions = this.#unacknowledged;
        [this.#unacknowledged, this.#handled] = [[], 0];
        return positions.map(({epoch, seq}) => `${GOT}${epoch} ${seq}`);
    }

    /** Forgets what is not handled, as the next client may be another user's. The gateway sends it again once this user is back. */
    forget() {
        [this.#queue, this.#unacknowledged, this.#handled] = [[], [], 0];
        [this.#epoch, this.#received] = [null, []];
    }

    /** Gives all that another page needs to go on. This page waits, and if it is here after all, passes over what the other has handled. */
    save() {
        this.#isLeft = true;
        for (const entry of this.#queue.filter(({isNew}) => isNew)) {
            entry.isNew = false;
        }
        return {queue: this.#queue, unacknowledged: this.#unacknowledged, epoch: this.#epoch, received: this.#received};
    }

    /** Goes on, as the page is here. */
    proceed() {
        this.#isLeft = false;
    }

    /** Goes on from what `save` gave. */
    restore({queue, unacknowledged, epoch, received}) {
        [this.#queue, this.#unacknowledged] = [queue, unacknowledged];
        [this.#epoch, this.#received] = [epoch, received];
    }

    /** Removes what is done with from the queue, where it is no more if it was forgotten while handlers had it. */
    #finish(entry) {
        if (this.#queue[0] !== entry) {
            return;
        }
        this.#queue.shift();
        if (entry.lost === undefined) {
            const {epoch, seq} = entry;
            const last = this.#unacknowledged.at(-1);
            if (last && includes(entry, last)) {
                this.#unacknowledged.pop();
            }
            this.#unacknowledged.push({epoch, seq});
            this.#handled += 1;
        }
    }

    /** Whether a page of the device has handled this. */
    #isNoted({epoch, seq}) {
        return withStorage('localStorage', (storage) => covers(this.#notes(storage).get(epoch) ?? [], seq)) === true;
    }

    /** Notes for the pages of the device, and those after them, that this is handled. */
    #note({epoch, seq}) {
        const notes = withStorage('localStorage', (storage) => this.#notes(storage)) ?? new Map();
        withStorage('localStorage', (storage) => {
            const ranges = withNumber(notes.get(epoch) ?? [], seq);
            notes.delete(epoch);
            storage.setItem(this.#noteKey, JSON.stringify([...notes, [epoch, ranges]].slice(-NOTED_EPOCHS)));
        });
    }

    /** The ranges that pages of the device have handled, by epoch, the newest last. */
    #notes(storage) {
        return new Map(JSON.parse(storage.getItem(this.#noteKey)) ?? []);
    }
}

class Gateway extends EventTarget {
    #url;
    #options;
    #handlers = new Map();
    #state = 'closed';
    #socket = null;
    #clientId = null;
    /** Lasts as long as the connection or the pause that is current. Its abort removes all its timers and listeners. */
    #phase = new AbortController();
    #openedAt = Infinity;
    #awaitsPong = false;
    #attempt = 0;
    #refusals = 0;
    #end = new ClientEnd();
    /** Whether this page has spoken gateway.2 with the gateway, and whether that is expected, as this or another page has. */
    #isCounted = false;
    #isExpected = false;
    /** Whether the next attempt does not offer gateway.2, and how many attempts in a row have failed before they were open. */
    #isPlain = false;
    #failures = 0;
    /** Whether an attempt without gateway.2 has just succeeded where it is expected. */
    #isDoubtful = false;
    /** Whether the gateway has just shown that it does not speak gateway.2. */
    #isRuledOut = false;
    /** The client_id whose init message handlers have got. */
    #introduced = null;
    /** Whether the bind of this client has ended, well or not, and whether messages wait for that. */
    #isBindOver = false;
    #holds = false;
    #tellsLater = false;
    /** The name of the device, if there is one. */
    #device;
    #inbox;
    /** Whether a message of the inbox is being handled. */
    #isHandling = false;

    constructor(url, options = {}) {
        super();
        this.#url = new URL(url, globalThis.location?.href);
        this.#url.protocol = this.#url.protocol.replace('http', 'ws');
        this.#options = {...DEFAULTS, ...options};
        this.#device = this.#chooseDevice();
        this.#inbox = new Inbox(this.#device);
        this.#recallWay();
        this.#connect();
    }

    /** Asks an address for a token once, as the option `token` does. Rejects with an error that has a `status` and says why. */
    static token(url, {csrf = DEFAULTS.csrf, signal} = {}) {
        return fetchToken(url, csrf, signal);
    }

    get state() {
        return this.#state;
    }

    get clientId() {
        return this.#clientId;
    }

    on(type, handler) {
        return this.#handle(type, handler, false);
    }

    once(type, handler) {
        return this.#handle(type, handler, true);
    }

    off(type, handler) {
        this.#handlers.get(type)?.delete(handler);
    }

    send(message) {
        if (this.#state === 'closed' || this.#state !== 'open' && !this.#isCounted) {
            return false;
        }
        if (this.#isCounted) {
            return this.#sendCounted(escaped(written(message)), message);
        }
        this.#socket.send(written(message));
        return true;
    }

    /** Sends a text now or over the next connection. Gives whether it is taken, which is told of otherwise with the message that it is of. */
    #sendCounted(text, message) {
        if (this.#end.weight > this.#options.queueBytes) {
            this.#emit('overflow', {message});
            return false;
        }
        this.#post(text);
        return true;
    }

    #post(text) {
        if (this.#end.send(text)) {
            this.#socket.send(text);
        }
    }

    connect() {
        if (this.#state === 'closed' || this.#state === 'waiting') {
            this.#connect();
        }
    }

    close() {
        if (this.#state !== 'closed') {
            this.#closed(NORMAL, '');
        }
    }

    /** The device that the options name, or this browser's. With `resume: false` nothing is kept in the browser. */
    #chooseDevice() {
        const {device, resume} = this.#options;
        if (device && !DEVICE_FORM.test(device)) {
            throw new TypeError('the option device must be 1 to 64 letters, digits, - and _');
        }
        return device ?? (resume ? ownDevice() : null);
    }

    async #connect() {
        const {token, tokenIn, protocols, connectTimeout} = this.#options;
        const phase = this.#beginPhase('connecting');
        this.#recall();
        this.#after(phase, connectTimeout, () => {
            if (this.#state === 'connecting') {
                this.#closed(ABNORMAL, 'no connection in time');
            }
        });
        try {
            const url = new URL(this.#url);
            const offered = this.#isPlain ? [] : [COUNTED, 'gateway'];
            const current = isAddress(token) ? await fetchToken(token, this.#options.csrf, phase) : await resolved(token);
            if (phase.aborted) {
                return;
            }
            if (current && tokenIn === 'protocol') {
                offered.push('gateway', `gateway.token.${current}`);
            } else if (current) {
                url.searchParams.set('token', current);
            }
            offered.push(...protocols);
            if (!this.#isPlain && this.#end.offer) {
                offered.push(this.#end.offer);
            }
            if (!this.#isPlain && this.#device) {
                offered.push(`gateway.device.${this.#device}`);
            }
            this.#listen(new WebSocket(url, [...new Set(offered)]), phase);
        } catch (cause) {
            if (!phase.aborted && isAddress(token) && UNAUTHORIZED.includes(cause.status)) {
                return this.#closed(TOKEN_REFUSED, cause.message, null, cause);
            }
            if (!phase.aborted) {
                this.#fail('connect', cause, cause.status);
            }
            if (!phase.aborted) {
                this.#closed(ABNORMAL, 'no connection');
            }
        }
    }

    #listen(socket, signal) {
        this.#socket = socket;
        socket.binaryType = 'arraybuffer';
        socket.addEventListener('open', () => this.#opened(signal), {signal});
        socket.addEventListener('message', ({data}) => this.#receive(data, signal), {signal});
        socket.addEventListener('close', ({code, reason}) => this.#closed(code, reason), {signal});
    }

    #opened(phase) {
        const isCounted = this.#socket.protocol === COUNTED;
        const isSecond = this.#failures > 0;
        this.#state = 'open';
        this.#failures = 0;
        // The attempts before may have failed for another reason, and then there is a client to come back as.
        this.#isDoubtful = !isCounted && this.#isExpected && this.#isPlain;
        if (this.#isDoubtful) {
            this.#isPlain = false;
            return this.#closed(ABNORMAL, 'gateway.2 is tried again', 0);
        }
        this.#isCounted = this.#isExpected = isCounted;
        if (this.#isPlain && (isSecond || this.#isRuledOut)) {
            this.#noteWay('plain');
        }
        this.#openedAt = Date.now();
        this.#monitor(phase);
        this.#emit('open');
        if (!isCounted && this.#end.hasLived) {
            this.#abandon();
        }
    }

    /** Notes an attempt that failed before it was open, and chooses what the next one offers. */
    #failedToOpen() {
        this.#failures += 1;
        if (this.#isDoubtful) {
            this.#isCounted = this.#isExpected = this.#isDoubtful = false;
            this.#isRuledOut = true;
        }
        if (this.#options.resume) {
            this.#isPlain = this.#isExpected ? this.#failures % PLAIN_ATTEMPT === PLAIN_ATTEMPT - 1 : !this.#isPlain;
        }
    }

    /** Chooses what the first attempt offers by what has worked before in this browser. */
    #recallWay() {
        const {way, times, since} = withStorage('localStorage', (storage) => JSON.parse(storage.getItem(this.#wayKey))) ?? {};
        const isPlain = way === 'plain' && times >= PLAIN_TIMES && Math.abs(Date.now() - since) < PLAIN_LASTS;
        this.#isPlain = !this.#options.resume || isPlain;
        this.#isExpected = !this.#isPlain && way === COUNTED;
    }

    /** Notes for the next pages of this browser how the gateway was reached. */
    #noteWay(way) {
        if (!this.#options.resume) {
            return;
        }
        const key = this.#wayKey;
        const before = withStorage('localStorage', (storage) => JSON.parse(storage.getItem(key)));
        const times = this.#isRuledOut ? PLAIN_TIMES : before?.way === way ? Math.min(before.times + 1, PLAIN_TIMES) : 1;
        this.#isRuledOut = false;
        if (way !== COUNTED || before?.way !== COUNTED) {
            withStorage('localStorage', (storage) => storage.setItem(key, JSON.stringify({way, times, since: Date.now()})));
        }
    }

    get #wayKey() {
        return `gateway way ${this.#url.origin}${this.#url.pathname}`;
    }

    /** Gives up a client that spoke gateway.2, since the gateway speaks it no more. */
    #abandon() {
        const unconfirmed = this.#end.end();
        this.#end = new ClientEnd();
        this.#introduced = null;
        this.#emit('gap', {reason: undefined, unconfirmed});
    }

    /** Replaces a dead connection. Scripts do not see the server's pings, so the client needs other signs. */
    #monitor(phase) {
        const {ping, pingInterval, pingTimeout} = this.#options;
        const isCounted = this.#isCounted;
        const replace = () => this.#closed(ABNORMAL, 'no sign of life', 0);
        let ticked = Date.now();
        const tick = (event) => {
            const late = Date.now() - ticked - pingInterval;
            ticked = Date.now();
            if (ping === null && (event?.type === 'online' || late > SUSPENDED_AFTER)) {
                replace();
            } else if ((ping !== null || isCounted) && !this.#awaitsPong) {
                this.#awaitsPong = true;
                if (ping !== null) {
                    this.send(ping);
                } else if (this.#end.isOpen) {
                    this.#socket.send(`${CONTROL}ping`);
                }
                this.#after(phase, pingTimeout, () => this.#awaitsPong && replace());
            }
        };
        const timer = setInterval(tick, pingInterval);
        phase.addEventListener('abort', () => clearInterval(timer));
        this.#onWake(phase, tick);
    }

    /** Ends the connection, and waits for the next one if there is to be one: `delay` milliseconds if given. With `refused` there is none. */
    #closed(code, reason, delay = null, refused = null) {
        const isToken = code === TOKEN_REFUSED;
        this.#refusals = isToken ? this.#refusals + 1 : 0;
        const isFirst = this.#refusals === 1;
        const {token} = this.#options;
        const isRenewable = refused === null && (typeof token === 'function' || isAddress(token));
        const canRefresh = isRenewable && (isFirst || reason === 'token expired');
        const again = isToken ? canRefresh : code !== NORMAL;
        if (this.#state === 'connecting' && this.#socket && code !== NORMAL) {
            this.#failedToOpen();
        }
        const isOver = code === NORMAL || code === PROTOCOL_ERROR;
        if (isOver) {
            this.#end.end();
        }
        if (code === NORMAL) {
            this.#inbox.forget();
        }
        if (Date.now() - this.#openedAt > STABLE_AFTER) {
            this.#attempt = 0;
        }
        if (!again) {
            this.#attempt = this.#refusals = 0;
        }
        const phase = this.#beginPhase(again ? 'waiting' : 'closed', isOver ? NORMAL : REPLACED);
        this.#emit('close', {code, reason, again});
        if (isToken && !(again && isFirst)) {
            this.#fail('token', refused ?? new Error(reason), refused?.status);
        }
        if (again && !phase.aborted) {
            this.#wait(phase, PAGE_FAULTS.includes(code), isToken && isFirst ? 0 : delay);
        }
    }

    #wait(phase, slow, given) {
        const delay = given ?? this.#delay(this.#attempt, slow);
        this.#attempt += 1;
        this.#after(phase, delay, () => this.#connect());
        if (!slow) {
            this.#onWake(phase, () => this.#connect());
        }
        this.#emit('reconnecting', {attempt: this.#attempt, delay});
    }

    /** Full jitter, from zero to a limit that doubles with each attempt. A slow delay is at least half of the longest. */
    #delay(attempt, slow) {
        const {minDelay, maxDelay, hiddenMaxDelay, random} = this.#options;
        const longest = isHidden() ? hiddenMaxDelay : maxDelay;
        return slow ? (1 + random()) * longest / 2 : random() * Math.min(longest, minDelay * 2 ** attempt);
    }

    #receive(data, phase) {
        this.#awaitsPong = false;
        if (!this.#isCounted) {
            return this.#dispatch(data, phase);
        }
        const isInit = !this.#end.isOpen;
        let init, received;
        try {
            init = isInit && JSON.parse(data);
            received = isInit ? this.#end.open(init) : this.#end.receive(data, performance.now());
        } catch (error) {
            return this.#distrust(error, isInit);
        }
        if (received.reply) {
            this.#socket.send(received.reply);
        }
        if (isInit) {
            return this.#begin(init, received, phase);
        }
        this.#tellLater(phase);
        if (received.question) {
            this.#ask(received.question);
        } else if (received.inbox) {
            this.#inbox.take(received.inbox);
            this.#handleInbox();
        } else if (received.lost !== undefined) {
            this.#inbox.takeLoss(received.lost);
            this.#handleInbox();
        } else if (received.message !== null) {
            this.#dispatch(received.message, phase);
        }
    }

    /** Goes on, or begins anew, as the gateway's init message says. */
    #begin(init, {event, again}, phase) {
        const {bind} = this.#options;
        this.#noteWay(COUNTED);
        this.#clientId = init.client_id;
        if (!init.resumed || !bind) {
            this.#isBindOver = !bind;
            this.#holds = Boolean(bind && event);
        }
        if (event?.reason === 'identity') {
            this.#inbox.forget();
        }
        for (const text of again) {
            this.#socket.send(text);
        }
        if (!this.#holds) {
            this.#flush();
        }
        if (this.#introduced !== init.client_id) {
            this.#introduced = init.client_id;
            this.#deliver(init);
        }
        if (event && !phase.aborted) {
            const {type, ...detail} = event;
            this.#emit(type, detail);
        }
        if (!this.#isBindOver && !phase.aborted) {
            this.#bind(init, phase);
        }
        this.#inbox.proceed();
        this.#handleInbox();
    }

    /** Ends a connection whose gateway does not speak gateway.2 as it should. If it begins so, it may not know it at all. */
    #distrust(error, isInit) {
        if (isInit) {
            this.#isCounted = this.#isExpected = false;
            this.#isPlain = this.#isRuledOut = true;
        }
        this.#fail('protocol', error);
        if (this.#state === 'open') {
            this.#closed(isInit ? ABNORMAL : PROTOCOL_ERROR, error.message);
        }
    }

    /** Tells the gateway what was taken, where no later message does. */
    #tellLater(phase) {
        const wait = this.#end.dueIn(performance.now());
        if (this.#tellsLater || wait === Infinity) {
            return;
        }
        this.#tellsLater = true;
        this.#after(phase, Math.ceil(wait), () => {
            this.#tellsLater = false;
            const due = this.#end.due(performance.now());
            if (due) {
                this.#socket.send(due);
            }
            this.#tellLater(phase);
        });
    }

    /** Sends what never went out. */
    #flush() {
        this.#holds = false;
        for (const text of this.#end.flush()) {
            this.#socket.send(text);
        }
        this.#acknowledge();
    }

    /** Has the handlers handle the messages of the inbox, each one after all promises for the one before are settled. */
    async #handleInbox() {
        if (this.#isHandling) {
            return;
        }
        this.#isHandling = true;
        for (let next = this.#inbox.next(); next; next = this.#inbox.next()) {
            const promises = next.lost === undefined ? this.#handleKept(next) : this.#call(['lost'], next.lost);
            // Without promises the handlers are called before anything else comes, as those of other messages are.
            const outcomes = promises.length > 0 ? await Promise.allSettled(promises) : [];
            outcomes.filter(({status}) => status === 'rejected').forEach(({reason}) => report(reason));
            this.#inbox.done(next);
            this.#acknowledge();
        }
        this.#isHandling = false;
        this.#acknowledge();
    }

    /** Gives a message of the inbox to its handlers, or to those of other messages if it has none. Gives what they promise. */
    #handleKept({id, epoch, seq, data, isNew}) {
        const message = parsed(data);
        if (this.#handlers.get('inbox')?.size > 0) {
            let isRead = false;
            const read = () => {
                const isHere = this.#isCounted && this.#state !== 'closed';
                const isSaid = !isRead && isHere && this.#sendCounted(`${READ}${epoch} ${seq}`, kept);
                isRead ||= isSaid;
                return isSaid;
            };
            const kept = {id, data: message ?? data, isNew, read};
            return this.#call(['inbox'], kept);
        }
        if (message) {
            return this.#deliver(message);
        }
        this.#emit('raw', {data});
        return [];
    }

    /** Tells the gateway which messages of the inbox are handled, if that is due and it knows who is here. */
    #acknowledge() {
        if (this.#isCounted && this.#end.isOpen && !this.#holds) {
            this.#inbox.due().forEach((text) => this.#post(text));
        }
    }

    /** Raises `ask` for a question of PHP's, which is answered once, as long as this client is the one that was asked. */
    #ask({id, data}) {
        const asked = this.#introduced;
        let isAnswered = false;
        const answer = (value) => {
            const isAsked = this.#isCounted && this.#introduced === asked;
            // A client that cannot come back answers now or never.
            const isHere = this.#state !== 'closed' && (this.#end.isOpen || this.#end.secret !== null);
            return isAsked && isHere && this.#sendCounted(`${ANSWER}${id} ${written(value)}`, value);
        };
        const reply = (value) => {
            if (isAnswered) {
                return false;
            }
            if (typeof value?.then !== 'function') {
                return isAnswered = answer(value);
            }
            isAnswered = true;
            value.then(answer, (cause) => this.#fail('ask', cause instanceof Error ? cause : new Error(String(cause))));
            return true;
        };
        this.#emit('ask', {data, reply});
    }

    #dispatch(data, phase) {
        const message = parsed(data);
        if (!message) {
            this.#emit('raw', {data}); // listeners of `raw` get messages that are no JSON
            return;
        }
        // Only the first init message is the gateway's. A later one may be something that the application passes on from others.
        const isInit = message.type === 'init' && this.#clientId === null;
        if (this.#isCounted && message.type === 'init' && message.client_id === this.#clientId) {
            return; // the application's, which says what the gateway has said
        }
        if (isInit) {
            this.#clientId = message.client_id;
        }
        this.#deliver(message);
        if (isInit && this.#options.bind && !phase.aborted) {
            this.#bind(message, phase);
        }
    }

    #deliver(message) {
        return this.#call([message.type, '*'], message);
    }

    /** Calls the handlers of these types. Gives the promises that they return. */
    #call(types, message) {
        const promises = [];
        for (const type of new Set(types)) {
            const handlers = this.#handlers.get(type) ?? [];
            for (const [handler, isOnce] of [...handlers]) {
                if (isOnce) {
                    handlers.delete(handler);
                }
                try {
                    const result = handler(message);
                    if (typeof result?.then === 'function') {
                        promises.push(result);
                    }
                } catch (error) {
                    report(error); // the next handler runs all the same
                }
            }
        }
        return promises;
    }

    async #bind({client_id, proof}, phase, attempt = 0) {
        const {bind} = this.#options;
        const identity = proof === undefined ? {client_id} : {client_id, proof};
        let status;
        try {
            const answer = await (typeof bind === 'function' ? bind(identity, phase) : post(bind, identity, this.#options.csrf, phase));
            if (answer?.ok === false) {
                status = answer.status;
                throw new Error(`HTTP ${status}`);
            }
            if (!phase.aborted) {
                this.#endBind();
                this.#emit('bound', {clientId: client_id});
            }
        } catch (cause) {
            if (!phase.aborted) {
                this.#fail('bind', cause, status);
            }
            const mayPass = status === undefined || status >= 500 || status === 429;
            if (mayPass && !phase.aborted) {
                this.#after(phase, this.#delay(attempt), () => this.#bind(identity, phase, attempt + 1));
            } else if (!phase.aborted) {
                this.#endBind();
            }
        }
    }

    #endBind() {
        this.#isBindOver = true;
        if (this.#isCounted) {
            this.#flush();
        }
    }

    /** Leaves the client to the next page of this tab, which may be this one out of the browser's cache. */
    #leave() {
        const {resumeTab} = this.#options;
        const record = this.#end.save();
        if (record) {
            const {isBindOver, holds, inbox} = {isBindOver: this.#isBindOver, holds: this.#holds, inbox: this.#inbox.save()};
            const text = JSON.stringify({...record, resumeTab, isBindOver, holds, inbox});
            withStorage('sessionStorage', (storage) => storage.setItem(this.#storageKey, text));
        }
        if (this.#socket) {
            this.#closed(REPLACED, 'the page is left', STAYS_AFTER);
        }
    }

    /** Takes the client that the page before has left, if this one has none. Nobody else finds it any more. */
    #recall() {
        const {resume, resumeTab} = this.#options;
        if (!resume || !resumeTab) {
            return;
        }
        const record = withStorage('sessionStorage', (storage) => {
            const text = storage.getItem(this.#storageKey);
            storage.removeItem(this.#storageKey);
            return JSON.parse(text);
        });
        if (!this.#end.hasLived && record?.resumeTab === resumeTab) {
            this.#end = ClientEnd.restore(record);
            this.#isCounted = this.#isExpected = this.#end.hasLived;
            this.#isBindOver = record.isBindOver === true;
            this.#holds = record.holds === true;
            if (this.#end.hasLived && record.inbox) {
                this.#inbox.restore(record.inbox);
            }
        }
    }

    get #storageKey() {
        return `gateway ${this.#url}`;
    }

    /** Ends the current connection or pause without an event, and begins the next phase. */
    #beginPhase(state, code = REPLACED) {
        this.#phase.abort();
        this.#socket?.close(...(this.#socket.protocol === COUNTED ? [code] : []));
        this.#end.cut();
        this.#phase = new AbortController();
        this.#state = state;
        this.#socket = this.#clientId = null;
        this.#openedAt = Infinity;
        this.#awaitsPong = this.#tellsLater = false;
        if (this.#options.resumeTab && state !== 'closed') {
            for (const type of LEAVE_EVENTS) {
                globalThis.addEventListener?.(type, () => this.#leave(), {signal: this.#phase.signal});
            }
        }
        return this.#phase.signal;
    }

    #after(phase, delay, action) {
        setTimeout(() => phase.aborted || action(), delay);
    }

    #onWake(signal, action) {
        const wake = (event) => (event.type === 'online' || !isHidden()) && action(event);
        for (const type of WAKE_EVENTS) {
            globalThis.addEventListener?.(type, wake, {capture: true, signal});
        }
    }

    #handle(type, handler, isOnce) {
        const handlers = this.#handlers.get(type) ?? new Map();
        this.#handlers.set(type, handlers.set(handler, isOnce));
        return () => this.off(type, handler);
    }

    #fail(where, cause, status) {
        if (this.#emit('error', {where, message: cause.message, cause, status})) {
            console.warn(`Gateway: ${where}: ${cause.message}`);
        }
    }

    /** Dispatches an event. Returns whether no listener has prevented its default. */
    #emit(type, detail) {
        return this.dispatchEvent(Object.assign(new Event(type, {cancelable: true}), detail));
    }
}

globalThis.Gateway = Gateway;
})();
