/** Asks how the server is every second, and shows it. */

import {Chart, showHour, showsHour} from './chart.js';
import * as clients from './clients.js';
import * as events from './events.js';
import * as groups from './groups.js';
import {forgetToken, hasToken, keepToken, past, status} from './server.js';
import {bytes, changeLanguage, duration, number, say, sayAll, inSeconds} from './words.js';

const EVERY = 1000;
const one = (selector) => document.querySelector(selector);
const plain = (value) => [number(Math.round(value)), ''];
const perSecond = (value) => [number(value < 10 ? Math.round(value * 10) / 10 : Math.round(value)), say('second')];

/** What is shown of each: a number that stands in the answer, or how fast it grows. */
const TILES = {
    clients: {of: (now) => now.clients, as: plain},
    in: {of: (now) => now.messages_received, grows: true, as: perSecond},
    out: {of: (now) => now.messages_sent, grows: true, as: perSecond},
    traffic: {of: (now) => now.sent_bytes, grows: true, as: (value) => bytes(value).map((part, at) => (at ? part + say('second') : part))},
    latency: {of: (now) => now.shards_answered_in_seconds * 1000, as: (value) => [value < 10 ? value.toFixed(2) : value.toFixed(0), 'ms']},
    memory: {of: (now) => now.memory_bytes, as: bytes},
    slow: {of: (now) => now.slow_clients, as: plain},
    php: {of: (now) => now.php_connections, as: plain},
    parked: {of: (now) => now.parked_clients, as: plain},
    kept: {of: (now) => now.resume_bytes, as: bytes},
    resumed: {of: (now) => now.resumed, as: plain},
    gaps: {of: (now) => Object.values(now.gaps).reduce((sum, count) => sum + count, 0), as: plain},
};

let before = null;
/** The process that the page has shown last. */
let shownProcess = null;

function makeTiles() {
    for (const [name, tile] of Object.entries(TILES)) {
        const made = document.createElement('article');
        made.className = 'tile';
        made.id = `tile-${name}`;
        made.innerHTML = '<span class="most"></span><h3></h3><p class="value"></p>';
        one('#tiles').append(made);
        made.querySelector('h3').dataset.say = name;
        [tile.element, tile.chart] = [made, new Chart(made, say(name))];
    }
}

/** Draws what was before the page was opened. */
async function remember() {
    const {names, rows} = await past();
    const shownAt = performance.now();
    const samples = rows.map((row) => Object.fromEntries(names.map((name, column) => [name, row[column]])));
    // The history has the sum of what the status has by reasons.
    const hour = samples.map((sample) => ({...sample, gaps: {all: sample.gaps}}));
    for (const tile of Object.values(TILES)) {
        const points = hour.map((sample, index) => {
            const at = shownAt - sample.seconds_ago * 1000;
            if (!tile.grows) {
                return [at, tile.of(sample)];
            }
            const earlier = hour[index - 1];
            const grown = earlier && Math.max(0, tile.of(sample) - tile.of(earlier)) / (earlier.seconds_ago - sample.seconds_ago);
            return [at, grown ?? null];
        });
        tile.chart.precede(points.filter(([at]) => at < shownAt - EVERY));
    }
}

function show(now) {
    const at = performance.now();
    const seconds = before === null || now.pid !== before.now.pid ? null : (at - before.at) / 1000;
    for (const tile of Object.values(TILES)) {
        const grown = () => (seconds === null ? null : Math.max(0, tile.of(now) - tile.of(before.now)) / seconds);
        const value = tile.grows ? grown() : tile.of(now);
        tile.chart.add(at, value);
        if (value !== null) {
            const [text, unit] = tile.as(value);
            const small = document.createElement('small');
            small.textContent = unit;
            tile.element.querySelector('.value').replaceChildren(text, small);
            tile.element.querySelector('.most').textContent = `${say('most')} ${tile.as(tile.chart.most).join(' ')}`;
        }
    }
    before = {at, now};
    one('#about').textContent = `${now.version} · ${say('uptime')} ${duration(now.uptime_seconds)} · ${say('process')} ${now.pid}`
        + ` · ${say('uids')} ${number(now.uids)} · ${say('groups')} ${number(now.groups)}`;
    groups.count(now.groups);
    const answers = now.shard_answers.counts;
    const slowest = Math.max(1, ...answers);
    rows('#answers', answers.map((times, place) => [within(now.shard_answers.within_seconds[place]), times, meter(times, slowest)]), (answer) => answer);
    rows('#listeners', now.listeners, ({listener, clients, handshakes, accepted}) => [listener, clients, handshakes, accepted]);
    rows('#workers', now.workers, (worker) => [worker.name, worker.clients, worker.backlog_events]);
    one('#relays-panel').hidden = now.relays.length === 0;
    rows('#relays', now.relays, (relay) => [String(relay.pid), relay.clients, duration(relay.age_seconds)]);
    one('#cluster').hidden = now.cluster === null;
    if (now.cluster !== null) {
        const {nodes, problem} = now.cluster;
        rows('#nodes', nodes, ({node, state, clients, silent_seconds}) =>
            [node, say(state === 'gone' ? 'left' : state), clients, inSeconds(silent_seconds)]);
        one('#cluster .problem').textContent = problem ?? '';
    }
    for (const kind of ['offences', 'gaps']) {
        rows(`#${kind}`, Object.entries(now[kind]).sort(([, one], [, other]) => other - one), (counted) => counted);
    }
    const most = Math.max(1, ...now.shards);
    rows('#shards', now.shards.map((clients, shard) => [String(shard), clients, meter(clients, most)]), (shard) => shard);
    stands(now.state);
}

function within(seconds) {
    return seconds === undefined ? say('longer') : `${(seconds * 1000).toLocaleString()} ms`;
}

function rows(table, values, cells) {
    const made = values.map((value) => {
        const row = document.createElement('tr');
        for (const content of cells(value)) {
            const cell = row.insertCell();
            cell.append(typeof content === 'number' ? number(content) : content);
            cell.className = typeof content === 'number' ? 'number' : '';
        }
        return row;
    });
    if (made.length === 0) {
        const row = document.createElement('tr');
        const cell = row.insertCell();
        [cell.textContent, cell.className, cell.colSpan] = [say('none'), 'none', 9];
        made.push(row);
    }
    one(`${table} tbody`).replaceChildren(...made);
}

function meter(value, most) {
    const made = document.createElement('meter');
    [made.max, made.value] = [most, value];
    return made;
}

function stands(state) {
    one('#state').dataset.state = state;
    one('#state').textContent = say(state);
    one('main').toggleAttribute('data-stale', state === 'gone');
}

/** Resolves once a token was entered. */
function askForToken(why) {
    const dialog = one('#ask-token');
    one('#token-why').textContent = hasToken() ? why : '';
    dialog.showModal();
    return new Promise((entered) => {
        dialog.addEventListener('close', () => {
            const field = dialog.querySelector('input');
            if (field.value !== '') {
                keepToken(field.value);
            }
            field.value = '';
            entered();
        }, {once: true});
    });
}

async function turn() {
    try {
        const now = await status();
        one('main').hidden = false;
        one('#forget').hidden = !hasToken();
        if (shownProcess === null) {
            await remember().catch(() => {});
        }
        if (shownProcess !== now.pid) {
            shownProcess = now.pid;
            events.forget(one('#events'));
        }
        show(now);
        await clients.look().catch(() => {});
        await events.look(one('#events')).catch(() => {});
    } catch (wrong) {
        if (wrong.wantsToken) {
            one('main').hidden = true;
            await askForToken(wrong.message);
            return 0;
        }
        stands('gone');
        if (wrong.status !== undefined) {
            // It does answer, but not this page.
            one('#state').textContent = wrong.message;
        }
        for (const tile of Object.values(TILES)) {
            tile.chart.add(performance.now(), null);
        }
        before = null;
    }
    return EVERY;
}

function theme(next) {
    const kept = 'gateway-theme';
    const dark = matchMedia('(prefers-color-scheme: dark)');
    const update = () => {
        const chosen = localStorage.getItem(kept) ?? (dark.matches ? 'dark' : 'light');
        document.documentElement.dataset.theme = chosen;
        one('#theme').textContent = say(chosen === 'dark' ? 'light' : 'dark');
    };
    if (next) {
        localStorage.setItem(kept, document.documentElement.dataset.theme === 'dark' ? 'light' : 'dark');
    } else {
        dark.addEventListener('change', update);
    }
    update();
}

function span(next) {
    const kept = 'gateway-span';
    if (next) {
        localStorage.setItem(kept, showsHour() ? 'minutes' : 'hour');
    }
    showHour(localStorage.getItem(kept) === 'hour');
    one('#span').textContent = say(showsHour() ? 'minutes' : 'hour');
}

makeTiles();
sayAll();
span(false);
theme(false);
stands('asking');
clients.start();
groups.start();
one('#span').addEventListener('click', () => span(true));
one('#theme').addEventListener('click', () => theme(true));
one('#language').addEventListener('click', () => {
    changeLanguage();
    theme(false);
    span(false);
    stands(one('#state').dataset.state);
});
one('#forget').addEventListener('click', () => {
    forgetToken();
    location.reload();
});
for (;;) {
    const pause = await turn();
    await new Promise((over) => setTimeout(over, pause));
}
