/** Shows the last lines of the server's log, the newest first. */

import {events} from './server.js';

const MOST = 200;
let last = 0;

export async function look(list) {
    const found = await events(last);
    for (const {number, unix_seconds: seconds, level, text} of found.events) {
        const [line, time, word] = ['li', 'time', 'b'].map((name) => document.createElement(name));
        const at = new Date(seconds * 1000);
        [time.textContent, time.dateTime] = [at.toLocaleTimeString(), at.toISOString()];
        [word.textContent, line.dataset.level] = [level, level];
        line.append(time, word, ` ${text}`);
        list.prepend(line);
        last = number;
    }
    while (list.childElementCount > MOST) {
        list.lastChild.remove();
    }
}

/** Another process counts its lines anew. */
export function forget(list) {
    last = 0;
    list.replaceChildren();
}
