/** Finds clients, pushes to them, closes them, and watches one. */

import {call, connections} from './server.js';
import {inSeconds, number, say} from './words.js';

const PAGE = 50;
const MOST_CHANGES = 200;

const one = (selector) => document.querySelector(selector);
let asked = null;
let next = null;
let watched = null;

export function start() {
    one('#search').addEventListener('submit', (event) => {
        event.preventDefault();
        const form = new FormData(event.target);
        const what = form.get('what').trim();
        asked = what === '' ? {} : {[form.get('by')]: what};
        find(false);
    });
    one('#more').addEventListener('click', () => find(true));
    one('#watched h2 button').addEventListener('click', () => {
        watched = null;
        one('#watched').hidden = true;
    });
    one('#push-all').addEventListener('click', () => receivers(
        `${say('to')} ${say('all')} · ${one('#tile-clients .value').textContent} ${say('clients')}`,
        (message) => call('sendToAll', {message}),
    ));
    for (const dialog of document.querySelectorAll('#push, #kick')) {
        dialog.querySelector('.no').addEventListener('click', () => dialog.close());
    }
}

async function find(isMore) {
    const found = one('#found');
    const rows = one('#clients tbody');
    try {
        const page = await connections({...asked, limit: PAGE, ...(isMore && {after: next})});
        if (!isMore) {
            rows.replaceChildren();
        }
        rows.append(...page.connections.map(row));
        next = page.next;
        found.textContent = rows.childElementCount === 0 ? say('nobody') : say('found') + number(rows.childElementCount)
            + (next === null ? '' : ' …');
        found.toggleAttribute('data-wrong', false);
    } catch (wrong) {
        found.textContent = wrong.message;
        found.toggleAttribute('data-wrong', true);
    }
    one('#clients').hidden = rows.childElementCount === 0;
    one('#more').hidden = next === null;
}

function row(client) {
    const made = document.createElement('tr');
    const groups = client.groups.join(', ') + (client.group_count > client.groups.length ? ` … (${client.group_count})` : '');
    const away = client.parked_seconds === null ? '' : inSeconds(client.parked_seconds);
    const cells = [
        client.client_id, client.uid ?? '', groups, client.address ?? '', client.listener ?? '', number(client.queued_bytes), away,
    ];
    cells.forEach((text, column) => {
        const cell = made.insertCell();
        cell.textContent = text;
        cell.className = ['id', '', '', '', '', 'number', 'number'][column];
    });
    const actions = document.createElement('div');
    actions.className = 'actions';
    for (const [word, act] of [['push', push], ['watch', watch], ['kick', kick]]) {
        const button = document.createElement('button');
        button.type = 'button';
        button.dataset.say = word;
        button.textContent = say(word);
        button.addEventListener('click', () => act(client, made));
        actions.append(button);
    }
    made.insertCell().append(actions);
    return made;
}

/** Asks for a text in a dialog, and again while `act` says what was wrong. */
function enter(id, to, act) {
    const dialog = one(id);
    const [form, why] = [dialog.querySelector('form'), dialog.querySelector('.why')];
    dialog.querySelector('.to').textContent = to;
    why.textContent = '';
    form.onsubmit = async (event) => {
        event.preventDefault();
        try {
            await act(form.elements.message.value);
            form.reset();
            dialog.close();
        } catch (wrong) {
            why.textContent = wrong.message;
        }
    };
    dialog.showModal();
}

/** Asks for a message to several clients, and sends it by `send`. */
export function receivers(to, send) {
    enter('#push', to, send);
}

function push(client) {
    enter('#push', `${say('to')} ${client.client_id}`, async (message) => {
        await call('sendToClient', {client_id: client.client_id, message});
        change(client.client_id, say('sent'));
    });
}

function kick(client, shown) {
    const to = [client.client_id, client.uid, client.address].filter((part) => part !== null).join(' · ');
    enter('#kick', to, async (message) => {
        await call('closeClient', {client_id: client.client_id, ...(message !== '' && {message})});
        change(client.client_id, say('closed'));
        shown.remove();
    });
}

function watch(client) {
    watched = {id: client.client_id, known: {}};
    one('#watched code').textContent = client.client_id;
    one('#watched ol').replaceChildren();
    one('#watched dl').replaceChildren();
    one('#watched').hidden = false;
    one('#watched').scrollIntoView({block: 'nearest'});
    look();
}

/** Every second: how the watched client is, and what has changed. */
export async function look() {
    const current = watched;
    if (current === null) {
        return;
    }
    const [page, session] = await Promise.all([
        connections({client_id: current.id}),
        call('getSession', {client_id: current.id}),
    ]);
    if (watched !== current) {
        return;
    }
    const [client] = page.connections;
    const state = client === undefined ? {} : {
        uid: client.uid ?? '', groups: client.groups.join(', '), session: JSON.stringify(session.result ?? null),
        queued: number(client.queued_bytes), address: client.address ?? '', listener: client.listener ?? '',
    };
    const isHere = client !== undefined;
    if (isHere !== current.isHere) {
        change(current.id, say(isHere ? 'came' : 'left'));
    } else if (isHere) {
        for (const key of ['uid', 'groups', 'session'].filter((key) => state[key] !== current.known[key])) {
            change(current.id, `${say(key)} ${say('became')} ${state[key] || say('none')}`);
        }
    }
    [current.isHere, current.known] = [isHere, state];
    one('#watched dl').replaceChildren(...Object.entries(state).flatMap(([key, text]) => {
        const [term, value] = [document.createElement('dt'), document.createElement('dd')];
        [term.textContent, value.textContent] = [say(key), text || say('none')];
        return [term, value];
    }));
}

function change(id, text) {
    if (watched?.id !== id) {
        return;
    }
    const [line, time] = [document.createElement('li'), document.createElement('time')];
    time.textContent = new Date().toLocaleTimeString();
    line.append(time, text);
    const list = one('#watched ol');
    list.prepend(line);
    while (list.childElementCount > MOST_CHANGES) {
        list.lastChild.remove();
    }
}
