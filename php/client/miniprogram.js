/**
 * What a mini program of WeChat, or of an app that has the same functions (uni-app, Douyin), has in place of the browser's objects that
 * gateway.js uses. scripts/browser-client makes gateway.miniprogram.js of both. docs/recipes/mini-programs.md says how it is used.
 */

/** The states of a socket, with the numbers of a browser's. */
const CONNECTING = 0;
const OPEN = 1;
const CLOSED = 3;

/** The close code of a connection that has ended without one. */
const NO_CLOSE_FRAME = 1006;

/** WeChat ends the connections of a mini program that was in the background for so many milliseconds, and does not always say so. */
const SUSPENDED_AFTER = 5000;

/** Has the mini program's onError told of an error, while what has called the listener goes on. */
function throwLater(action) {
    setTimeout(action, 0);
}

/** What a browser does over the network for an option that is an address, which a mini program has to do itself. */
function NoFetch() {
    throw new TypeError('a mini program has no session of a web page: give `token` or `bind` as a function that calls wx.request');
}

class Event {
    defaultPrevented = false;

    constructor(type) {
        this.type = type;
    }

    preventDefault() {
        this.defaultPrevented = true;
    }
}

class EventTarget {
    #listeners = new Map();

    addEventListener(type, listener, {signal} = {}) {
        if (signal?.aborted) {
            return;
        }
        this.#listeners.set(type, (this.#listeners.get(type) ?? new Set()).add(listener));
        signal?.addEventListener('abort', () => this.removeEventListener(type, listener));
    }

    removeEventListener(type, listener) {
        this.#listeners.get(type)?.delete(listener);
    }

    dispatchEvent(event) {
        for (const listener of [...this.#listeners.get(event.type) ?? []]) {
            // One that a listener before it has removed is not called.
            if (!this.#listeners.get(event.type).has(listener)) {
                continue;
            }
            try {
                listener.call(this, event);
            } catch (error) {
                throwLater(() => {
                    throw error;
                });
            }
        }
        return !event.defaultPrevented;
    }
}

class AbortController {
    signal = Object.assign(new EventTarget(), {aborted: false});

    abort() {
        if (!this.signal.aborted) {
            this.signal.aborted = true;
            this.signal.dispatchEvent(new Event('abort'));
        }
    }
}

/** An absolute address, of which the client changes the scheme and adds a token. */
class URL {
    constructor(address) {
        const parts = /^(\w+:)\/\/([^/?#\s]+)([^?#\s]*)(\?[^#\s]*)?/.exec(String(address));
        if (!parts) {
            throw new TypeError(`${address} is no whole address such as wss://example.com/ws, which a mini program needs`);
        }
        const [, protocol, host, path, query = ''] = parts;
        Object.assign(this, {protocol, host, pathname: path || '/', search: query});
        this.searchParams = {
            set: (name, value) => {
                const others = this.search.slice(1).split('&').filter((pair) => pair !== '' && pair.split('=')[0] !== name);
                this.search = `?${[...others, `${name}=${encodeURIComponent(value)}`].join('&')}`;
            },
        };
    }

    get origin() {
        return `${this.protocol}//${this.host}`;
    }

    toString() {
        return `${this.origin}${this.pathname}${this.search}`;
    }
}

/** Gives the value of a header, whose name may be written in any case. */
function header(headers, name) {
    const key = Object.keys(headers ?? {}).find((each) => each.toLowerCase() === name);
    return key && String(headers[key]);
}

/** Makes a class as the browser's WebSocket of an app's connectSocket(). */
const socketsOf = (api) => class extends EventTarget {
    protocol = '';
    readyState = CONNECTING;
    #task;
    /** What close() was called with while there was no connection yet. */
    #closeLater = null;

    constructor(url, protocols) {
        super();
        const fail = ({errMsg}) => this.#end(NO_CLOSE_FRAME, errMsg);
        // An empty list would be an empty header. uni-app gives a SocketTask only to those who give it a function.
        this.#task = api.connectSocket({url: String(url), ...(protocols.length > 0 && {protocols}), success() {}, fail});
        this.#task?.onOpen(({header: headers} = {}) => this.#open(headers, protocols));
        this.#task?.onMessage(({data}) => this.#tell('message', {data}));
        this.#task?.onError(({errMsg} = {}) => this.#end(NO_CLOSE_FRAME, errMsg));
        this.#task?.onClose(({code, reason} = {}) => this.#end(code ?? NO_CLOSE_FRAME, reason));
    }

    send(data) {
        this.#task.send({data});
    }

    close(code = 1000) {
        if (this.readyState === CONNECTING) {
            this.#closeLater = [code];
        } else if (this.readyState === OPEN) {
            this.#task.close({code});
        }
    }

    #open(headers, protocols) {
        this.readyState = OPEN;
        if (this.#closeLater) {
            this.close(...this.#closeLater);
            return;
        }
        // Where an app does not show the headers, the gateway has chosen the first, as it does whenever it knows any.
        this.protocol = headers ? header(headers, 'sec-websocket-protocol') ?? '' : protocols[0] ?? '';
        this.#tell('open', {});
    }

    /** Tells once that the connection has ended. An error may come before the end, in place of it, or after it. */
    #end(code, reason = '') {
        if (this.readyState !== CLOSED) {
            this.readyState = CLOSED;
            // The caller of connectSocket() begins to listen only after it has returned.
            Promise.resolve().then(() => this.#tell('close', {code, reason: String(reason)}));
        }
    }

    #tell(type, detail) {
        this.dispatchEvent(Object.assign(new Event(type), detail));
    }
};

/** The app's storage as localStorage. */
const storageOf = (api) => ({
    getItem: (key) => api.getStorageSync(key) || null,
    setItem: (key, value) => api.setStorageSync(key, value),
    removeItem: (key) => api.removeStorageSync(key),
});

/** What is global in a browser: the page that is hidden and shown, the network that comes and goes, and storage. */
function windowOf(api) {
    const window = new EventTarget();
    const document = {hidden: false, querySelector: () => null};
    let hiddenAt = 0;
    api.onAppHide?.(() => {
        document.hidden = true;
        hiddenAt = Date.now();
    });
    api.onAppShow?.(() => {
        const isSuspended = document.hidden && Date.now() - hiddenAt > SUSPENDED_AFTER;
        document.hidden = false;
        // After `online` the client replaces a connection, and only asks for a sign of life after the other.
        window.dispatchEvent(new Event(isSuspended ? 'online' : 'visibilitychange'));
    });
    api.onNetworkStatusChange?.(({isConnected}) => isConnected && window.dispatchEvent(new Event('online')));
    return Object.assign(window, {document, localStorage: storageOf(api)});
}

/** Chance for the name of a device, which is no secret. */
const crypto = {getRandomValues: (bytes) => bytes.map(() => Math.floor(Math.random() * 256))};
