// An app like WeChat in Node.js: connectSocket() gives a SocketTask, and nothing of a browser is there.

import {readFileSync} from 'node:fs';
import {after} from 'node:test';
import vm from 'node:vm';
import {WebSocket} from './websocket.mjs';

/** An app: what it gives a mini program, and what happens to it. */
export class App {
    storage = new Map();
    tasks = [];
    shows = [];
    hides = [];
    networks = [];
    /** Whether onOpen() tells of the headers, and the domain that the app may talk to. */
    hasHeaders = true;
    domain = '127.0.0.1';
    isHidden = false;
    onConnect = () => {};

    /** What stands for `wx`. */
    api = {
        connectSocket: ({url, protocols, fail}) => {
            const task = new Task();
            if (!url.includes(`//${this.domain}`)) {
                fail({errMsg: 'connectSocket:fail url not in domain list'});
                return task;
            }
            if (this.isHidden) {
                fail({errMsg: 'connectSocket:fail interrupted'});
                return task;
            }
            task.open(url, protocols, this.hasHeaders);
            this.tasks.push(task);
            Promise.resolve().then(() => this.onConnect());
            return task;
        },
        onAppShow: (listener) => this.shows.push(listener),
        onAppHide: (listener) => this.hides.push(listener),
        onNetworkStatusChange: (listener) => this.networks.push(listener),
        // WeChat gives an empty text for what is not there.
        getStorageSync: (key) => this.storage.get(key) ?? '',
        setStorageSync: (key, value) => this.storage.set(key, value),
        removeStorageSync: (key) => this.storage.delete(key),
    };

    show() {
        this.isHidden = false;
        this.shows.forEach((listener) => listener({}));
    }

    hide() {
        this.isHidden = true;
        this.hides.forEach((listener) => listener({}));
    }

    network(isConnected) { this.networks.forEach((listener) => listener({isConnected, networkType: 'wifi'})); }
}

/** The sockets of tasks, some of which nobody closes. */
const sockets = [];
after(() => sockets.forEach((socket) => socket.close()));

/** A SocketTask, over the WebSocket of Node.js. */
class Task {
    listeners = {open: [], message: [], error: [], close: []};
    isSilent = false;

    open(url, protocols, hasHeaders) {
        this.socket = new WebSocket(url, protocols);
        sockets.push(this.socket);
        this.socket.binaryType = 'arraybuffer';
        this.socket.addEventListener('open', () => {
            this.tell('open', {header: hasHeaders ? {'Sec-WebSocket-Protocol': this.socket.protocol} : undefined, profile: {}});
        });
        this.socket.addEventListener('message', ({data}) => this.tell('message', {data}));
        this.socket.addEventListener('error', () => this.tell('error', {errMsg: 'Connection refused'}));
        this.socket.addEventListener('close', ({code, reason}) => this.tell('close', {code, reason}));
    }

    tell(type, result) {
        if (!this.isSilent) {
            this.listeners[type].forEach((listener) => listener(result));
        }
    }

    onOpen(listener) { this.listeners.open.push(listener); }
    onMessage(listener) { this.listeners.message.push(listener); }
    onError(listener) { this.listeners.error.push(listener); }
    onClose(listener) { this.listeners.close.push(listener); }
    send({data}) { this.socket.send(data); }
    close({code}) { this.socket.close(code); }

    /** Ends the connection as WeChat does in the background: the server hears nothing of it. */
    interrupt() {
        this.tell('close', {code: 1006, reason: 'interrupted'});
        this.isSilent = true;
    }
}

/** What php/client/gateway.miniprogram.js exports where nothing is global but the language itself, timers, a console and the app's functions. */
export function load(functions = {}) {
    const file = new URL('../../php/client/gateway.miniprogram.js', import.meta.url);
    const code = readFileSync(file, 'utf8').replaceAll(/^export const /gm, 'exported.');
    const exported = {};
    vm.runInNewContext(code.replace('gatewayFor(own)', 'exported.gatewayFor(own)'), {
        exported, console, Date, clearInterval, ...functions,
        // A client that waits for something keeps nobody from ending.
        setTimeout: (...what) => setTimeout(...what).unref(),
        setInterval: (...what) => setInterval(...what).unref(),
    });
    return exported;
}
