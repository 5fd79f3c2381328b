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
    random: Math.random,
};

/** Close codes: an ordinary end, a connection that was lost or never made, and a token that was refused. */
const NORMAL = 1000;
const ABNORMAL = 1006;
const TOKEN_REFUSED = 4401;

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

/** Events after which the page may have a network again, or a user. */
const WAKE_EVENTS = ['online', 'visibilitychange', 'pageshow', 'resume'];

const isHidden = () => globalThis.document?.hidden === true;
const resolved = async (option) => (typeof option === 'function' ? option() : option);
/** An address has a slash, and a token never does. */
const isAddress = (token) => typeof token === 'string' && token.includes('/');

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

    constructor(url, options = {}) {
        super();
        this.#url = new URL(url, globalThis.location?.href);
        this.#url.protocol = this.#url.protocol.replace('http', 'ws');
        this.#options = {...DEFAULTS, ...options};
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
        const phase = this.#beginPhase('connecting');
        this.#after(phase, connectTimeout, () => {
            if (this.#state === 'connecting') {
                this.#closed(ABNORMAL, 'no connection in time');
            }
        });
        try {
            const url = new URL(this.#url);
            const offered = [...protocols];
            const current = isAddress(token) ? await fetchToken(token, this.#options.csrf, phase) : await resolved(token);
            if (phase.aborted) {
                return;
            }
            if (current && tokenIn === 'protocol') {
                offered.unshift('gateway', `gateway.token.${current}`);
            } else if (current) {
                url.searchParams.set('token', current);
            }
            this.#listen(new WebSocket(url, offered), phase);
        } catch (cause) {
            if (!phase.aborted && isAddress(token) && UNAUTHORIZED.includes(cause.status)) {
                return this.#closed(TOKEN_REFUSED, cause.message, false, cause);
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
        this.#state = 'open';
        this.#openedAt = Date.now();
        this.#monitor(phase);
        this.#emit('open');
    }

    /** Replaces a dead connection. Scripts do not see the server's pings, so the client needs other signs. */
    #monitor(phase) {
        const {ping, pingInterval, pingTimeout} = this.#options;
        const replace = () => this.#closed(ABNORMAL, 'no sign of life', true);
        let ticked = Date.now();
        const tick = (event) => {
            const late = Date.now() - ticked - pingInterval;
            ticked = Date.now();
            if (ping === null) {
                if (event?.type === 'online' || late > SUSPENDED_AFTER) {
                    replace();
                }
            } else if (!this.#awaitsPong) {
                this.#awaitsPong = true;
                this.send(ping);
                this.#after(phase, pingTimeout, () => this.#awaitsPong && replace());
            }
        };
        const timer = setInterval(tick, pingInterval);
        phase.addEventListener('abort', () => clearInterval(timer));
        this.#onWake(phase, tick);
    }

    /** Ends the connection, and waits for the next one if there is to be one. With the error `refused` there is none. */
    #closed(code, reason, atOnce = false, refused = null) {
        const isToken = code === TOKEN_REFUSED;
        this.#refusals = isToken ? this.#refusals + 1 : 0;
        const isFirst = this.#refusals === 1;
        const {token} = this.#options;
        const isRenewable = refused === null && (typeof token === 'function' || isAddress(token));
        const canRefresh = isRenewable && (isFirst || reason === 'token expired');
        const again = isToken ? canRefresh : code !== NORMAL;
        if (Date.now() - this.#openedAt > STABLE_AFTER) {
            this.#attempt = 0;
        }
        if (!again) {
            this.#attempt = this.#refusals = 0;
        }
        const phase = this.#beginPhase(again ? 'waiting' : 'closed');
        this.#emit('close', {code, reason, again});
        if (isToken && !(again && isFirst)) {
            this.#fail('token', refused ?? new Error(reason), refused?.status);
        }
        if (again && !phase.aborted) {
            this.#wait(phase, PAGE_FAULTS.includes(code), atOnce || isToken && isFirst);
        }
    }

    #wait(phase, slow, atOnce) {
        const delay = atOnce ? 0 : this.#delay(this.#attempt, slow);
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
        let message;
        try {
            message = JSON.parse(data);
        } catch {
            // Listeners of `raw` get messages that are no JSON.
        }
        if (typeof message?.type !== 'string') {
            this.#emit('raw', {data});
            return;
        }
        // Only the first init message is the gateway's. A later one may be something that the application passes on from others.
        const isInit = message.type === 'init' && this.#clientId === null;
        if (isInit) {
            this.#clientId = message.client_id;
        }
        this.#deliver(message);
        if (isInit && this.#options.bind && !phase.aborted) {
            this.#bind(message, phase);
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
                    // The browser reports the error as uncaught, and the next handler runs all the same.
                    queueMicrotask(() => {
                        throw error;
                    });
                }
            }
        }
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
                this.#emit('bound', {clientId: client_id});
            }
        } catch (cause) {
            if (!phase.aborted) {
                this.#fail('bind', cause, status);
            }
            const mayPass = status === undefined || status >= 500 || status === 429;
            if (mayPass && !phase.aborted) {
                this.#after(phase, this.#delay(attempt), () => this.#bind(identity, phase, attempt + 1));
            }
        }
    }

    /** Ends the current connection or pause without an event, and begins the next phase. */
    #beginPhase(state) {
        this.#phase.abort();
        this.#socket?.close();
        this.#phase = new AbortController();
        this.#state = state;
        this.#socket = this.#clientId = null;
        this.#openedAt = Infinity;
        this.#awaitsPong = false;
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
