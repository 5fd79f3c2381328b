/* Made of gateway.js by scripts/browser-client: change that one. */
(() => {
'use strict';

/** The browser's side of the push gateway. What it does and why: docs/browser-client.md. */

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
    random: Math.random,
};

const NORMAL = 1000;
const ABNORMAL = 1006;
const TOKEN = 4401;

/** What a site answers to a page that gets no token, however often it asks. */
const NOT_LET_IN = [401, 403];
/** A JSON Web Token, as Gateway::token() makes them. */
const TOKEN_FORM = /^[\w-]+\.[\w-]+\.[\w-]+$/;

/** The page's own fault: if it comes back soon, it will soon be closed again. */
const SLOW = [1002, 1007, 1008, 1009, 4429];

/** After a connection that held for so long the delays begin anew. */
const SETTLED = 10_000;

/** Browsers run the timers of a hidden page once a minute. A page whose timer is later than this was suspended. */
const SUSPENDED = 120_000;

const WAKING = ['online', 'visibilitychange', 'pageshow', 'resume'];

const isHidden = () => globalThis.document?.hidden === true;
const resolved = async (option) => (typeof option === 'function' ? option() : option);
/** No token has a slash in it. */
const isAddress = (token) => typeof token === 'string' && token.includes('/');

/** Posts to a page of this site. A redirect leads to a login, which is no success. The CSRF token is not for other sites. */
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

/** Asks a page of this site for a token: the text of its answer, or `token` of its JSON, where null is to connect as nobody. */
async function ask(url, csrf, signal) {
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
            // What it is instead is shown below.
        }
        if (token === null) {
            return null;
        }
    }
    return TOKEN_FORM.test(token) ? token : refuse(`it answers with no token but with ${JSON.stringify(start)}`);
}

class Gateway extends EventTarget {
    #url;
    #options;
    #handlers = new Map();
    #state = 'closed';
    #socket = null;
    #clientId = null;
    /** Of what goes on, be it a connection or a pause. Its end ends all that belongs to it. */
    #life = new AbortController();
    #openedAt = Infinity;
    #isAsking = false;
    #attempt = 0;
    #refusals = 0;

    constructor(url, options = {}) {
        super();
        this.#url = new URL(url, globalThis.location?.href);
        this.#url.protocol = this.#url.protocol.replace('http', 'ws');
        this.#options = {...DEFAULTS, ...options};
        this.#connect();
    }

    /** What the option `token` does with an address: asks there once. Rejects with an error that has a `status` and says why. */
    static token(url, {csrf = DEFAULTS.csrf, signal} = {}) {
        return ask(url, csrf, signal);
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
        if (this.#state !== 'open') {
            return false;
        }
        this.#socket.send(typeof message === 'string' ? message : JSON.stringify(message));
        return true;
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

    async #connect() {
        const {token, tokenIn, protocols, connectTimeout} = this.#options;
        const life = this.#begin('connecting');
        this.#after(life, connectTimeout, () => {
            if (this.#state === 'connecting') {
                this.#closed(ABNORMAL, 'no connection in time');
            }
        });
        try {
            const url = new URL(this.#url);
            const offered = [...protocols];
            const current = isAddress(token) ? await ask(token, this.#options.csrf, life) : await resolved(token);
            if (life.aborted) {
                return;
            }
            if (current && tokenIn === 'protocol') {
                offered.unshift('gateway', `gateway.token.${current}`);
            } else if (current) {
                url.searchParams.set('token', current);
            }
            this.#listen(new WebSocket(url, offered), life);
        } catch (cause) {
            if (!life.aborted && isAddress(token) && NOT_LET_IN.includes(cause.status)) {
                return this.#closed(TOKEN, cause.message, false, cause);
            }
            if (!life.aborted) {
                this.#fail('connect', cause, cause.status);
            }
            if (!life.aborted) {
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

    #opened(life) {
        this.#state = 'open';
        this.#openedAt = Date.now();
        this.#watch(life);
        this.#emit('open');
    }

    /** Scripts do not see the server's pings and cannot miss them, so other signs have to tell of a dead connection. */
    #watch(life) {
        const {ping, pingInterval, pingTimeout} = this.#options;
        const replace = () => this.#closed(ABNORMAL, 'no sign of life', true);
        let ticked = Date.now();
        const tick = (event) => {
            const late = Date.now() - ticked - pingInterval;
            ticked = Date.now();
            if (ping === null) {
                if (event?.type === 'online' || late > SUSPENDED) {
                    replace();
                }
            } else if (!this.#isAsking) {
                this.#isAsking = true;
                this.send(ping);
                this.#after(life, pingTimeout, () => this.#isAsking && replace());
            }
        };
        const timer = setInterval(tick, pingInterval);
        life.addEventListener('abort', () => clearInterval(timer));
        this.#onWaking(life, tick);
    }

    /** `refused`: why nothing that comes later helps. */
    #closed(code, reason, atOnce = false, refused = null) {
        const isToken = code === TOKEN;
        this.#refusals = isToken ? this.#refusals + 1 : 0;
        const isFirst = this.#refusals === 1;
        const {token} = this.#options;
        const isRenewable = refused === null && (typeof token === 'function' || isAddress(token));
        const canRefresh = isRenewable && (isFirst || reason === 'token expired');
        const again = isToken ? canRefresh : code !== NORMAL;
        if (Date.now() - this.#openedAt > SETTLED) {
            this.#attempt = 0;
        }
        if (!again) {
            this.#attempt = this.#refusals = 0;
        }
        const life = this.#begin(again ? 'waiting' : 'closed');
        this.#emit('close', {code, reason, again});
        if (isToken && !(again && isFirst)) {
            this.#fail('token', refused ?? new Error(reason), refused?.status);
        }
        if (again && !life.aborted) {
            this.#wait(life, SLOW.includes(code), atOnce || isToken && isFirst);
        }
    }

    #wait(life, slow, atOnce) {
        const delay = atOnce ? 0 : this.#delay(this.#attempt, slow);
        this.#attempt += 1;
        this.#after(life, delay, () => this.#connect());
        if (!slow) {
            this.#onWaking(life, () => this.#connect());
        }
        this.#emit('reconnecting', {attempt: this.#attempt, delay});
    }

    /** Full jitter: anything up to a limit that doubles. Slow: at least half of the longest. */
    #delay(attempt, slow) {
        const {minDelay, maxDelay, hiddenMaxDelay, random} = this.#options;
        const longest = isHidden() ? hiddenMaxDelay : maxDelay;
        return slow ? (1 + random()) * longest / 2 : random() * Math.min(longest, minDelay * 2 ** attempt);
    }

    #receive(data, life) {
        this.#isAsking = false;
        let message;
        try {
            message = JSON.parse(data);
        } catch {
            // Not for handlers of types.
        }
        if (typeof message?.type !== 'string') {
            this.#emit('raw', {data});
            return;
        }
        // The first one alone is the gateway's; what the application passes on from others may look like another.
        const isInit = message.type === 'init' && this.#clientId === null;
        if (isInit) {
            this.#clientId = message.client_id;
        }
        this.#deliver(message);
        if (isInit && this.#options.bind && !life.aborted) {
            this.#bind(message, life);
        }
    }

    #deliver(message) {
        for (const type of new Set([message.type, '*'])) {
            const handlers = this.#handlers.get(type) ?? [];
            for (const [handler, isOnce] of [...handlers]) {
                if (isOnce) {
                    handlers.delete(handler);
                }
                try {
                    handler(message);
                } catch (error) {
                    // Reported as any other uncaught one; the next handler still has its turn.
                    queueMicrotask(() => {
                        throw error;
                    });
                }
            }
        }
    }

    async #bind({client_id, proof}, life, attempt = 0) {
        const {bind} = this.#options;
        const identity = proof === undefined ? {client_id} : {client_id, proof};
        let status;
        try {
            const answer = await (typeof bind === 'function' ? bind(identity, life) : post(bind, identity, this.#options.csrf, life));
            if (answer?.ok === false) {
                status = answer.status;
                throw new Error(`HTTP ${status}`);
            }
            if (!life.aborted) {
                this.#emit('bound', {clientId: client_id});
            }
        } catch (cause) {
            if (!life.aborted) {
                this.#fail('bind', cause, status);
            }
            const mayPass = status === undefined || status >= 500 || status === 429;
            if (mayPass && !life.aborted) {
                this.#after(life, this.#delay(attempt), () => this.#bind(identity, life, attempt + 1));
            }
        }
    }

    /** Ends what was, without a word. */
    #begin(state) {
        this.#life.abort();
        this.#socket?.close();
        this.#life = new AbortController();
        this.#state = state;
        this.#socket = this.#clientId = null;
        this.#openedAt = Infinity;
        this.#isAsking = false;
        return this.#life.signal;
    }

    #after(life, delay, action) {
        setTimeout(() => life.aborted || action(), delay);
    }

    #onWaking(signal, action) {
        const wake = (event) => (event.type === 'online' || !isHidden()) && action(event);
        for (const type of WAKING) {
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

    /** Whether nobody prevented the default. */
    #emit(type, detail) {
        return this.dispatchEvent(Object.assign(new Event(type, {cancelable: true}), detail));
    }
}

globalThis.Gateway = Gateway;
})();
