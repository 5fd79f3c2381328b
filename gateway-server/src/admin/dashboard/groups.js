/** Lists groups with their clients, on demand, as there may be many. */

import {receivers} from './clients.js';
import {call} from './server.js';
import {number, say} from './words.js';

const MOST = 50;
/** With more groups their counts are too much to ask for by a click. */
const TOO_MANY = 20_000;

const one = (selector) => document.querySelector(selector);
let known = 0;

export function start() {
    one('#search-groups').addEventListener('submit', (event) => {
        event.preventDefault();
        find(new FormData(event.target).get('part').trim());
    });
}

/** Tells how many groups there are. */
export function count(groups) {
    known = groups;
}

async function find(part) {
    const told = one('#groups-found');
    try {
        const found = await counts(part);
        const [shown, clients] = [found.slice(0, MOST), found.reduce((sum, [, clients]) => sum + clients, 0)];
        one('#groups tbody').replaceChildren(...shown.map(row));
        one('#groups').hidden = shown.length === 0;
        told.textContent = found.length === 0 ? say('nobody')
            : `${say('groups')} ${number(found.length)}, ${say('memberships')} ${number(clients)}` + (found.length > MOST ? ' …' : '');
        told.toggleAttribute('data-wrong', false);
    } catch (wrong) {
        told.textContent = wrong.message;
        told.toggleAttribute('data-wrong', true);
    }
}

/** The groups whose names have the part, those with most clients first. */
async function counts(part) {
    if (known > TOO_MANY) {
        if (part === '') {
            throw new Error(say('tooManyGroups'));
        }
        const {result} = await call('getClientIdCountByGroup', {group: part});
        return result > 0 ? [[part, result]] : [];
    }
    const {result} = await call('getAllGroupClientIdCount', {});
    const found = Object.entries(result).filter(([name]) => name.includes(part));
    return found.sort(([, few], [, many]) => many - few);
}

function row([name, clients]) {
    const made = document.createElement('tr');
    made.insertCell().textContent = name;
    const counted = made.insertCell();
    [counted.textContent, counted.className] = [number(clients), 'number'];
    const button = document.createElement('button');
    [button.type, button.dataset.say, button.textContent] = ['button', 'push', say('push')];
    button.addEventListener('click', () => receivers(
        `${say('to')} ${say('group')} ${name} · ${number(clients)} ${say('clients')}`,
        (message) => call('sendToGroup', {group: name, message}),
    ));
    made.insertCell().append(button);
    return made;
}
