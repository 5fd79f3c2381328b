// WebSocket as browsers have it: that of Node.js, or where it has none, as before version 20.10, the package ws of npm or Debian.

import {createRequire} from 'node:module';

function overWs() {
    const Plain = createRequire(import.meta.url)('ws');
    return class extends EventTarget {
        #socket;

        constructor(url, protocols = []) {
            super();
            this.#socket = new Plain(url, protocols);
            this.#socket.binaryType = 'arraybuffer';
            for (const type of ['open', 'message', 'error', 'close']) {
                this.#socket.addEventListener(type, ({data, code, reason}) => {
                    this.dispatchEvent(Object.assign(new Event(type), {data, code, reason}));
                });
            }
        }

        get protocol() {
            return this.#socket.protocol;
        }

        get readyState() {
            return this.#socket.readyState;
        }

        send(data) {
            this.#socket.send(data);
        }

        close(...how) {
            this.#socket.close(...how);
        }
    };
}

export const WebSocket = globalThis.WebSocket ?? overWs();
