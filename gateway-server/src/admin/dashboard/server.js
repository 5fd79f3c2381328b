/** Asks the server, with the token that was entered for this tab. */

const KEPT = 'gateway-operations-token';
const PATIENCE = 8000;

export class Refused extends Error {
    constructor(status, message) {
        super(message);
        this.status = status;
    }

    get wantsToken() {
        return this.status === 401;
    }
}

/** One that stands behind the # of the address is taken from there, so that it is in no history. */
function fromAddress() {
    const given = new URLSearchParams(location.hash.slice(1)).get('token');
    if (given !== null) {
        history.replaceState(null, '', location.pathname);
        keepToken(given);
    }
}

export const keepToken = (token) => sessionStorage.setItem(KEPT, token);
export const forgetToken = () => sessionStorage.removeItem(KEPT);
export const hasToken = () => sessionStorage.getItem(KEPT) !== null;

async function ask(method, path, body) {
    const token = sessionStorage.getItem(KEPT);
    const headers = body === undefined ? {} : {'Content-Type': 'application/json'};
    if (token !== null) {
        headers.Authorization = `Bearer ${token}`;
    }
    const answer = await fetch(path, {
        method,
        body,
        cache: 'no-store',
        credentials: 'omit',
        signal: AbortSignal.timeout(PATIENCE),
        headers,
    });
    const value = await answer.json().catch(() => ({}));
    if (!answer.ok) {
        throw new Refused(answer.status, value.error?.message ?? `HTTP ${answer.status}`);
    }
    return value;
}

export const status = () => ask('GET', '/status');
export const connections = (parameters) => ask('GET', `/connections?${new URLSearchParams(parameters)}`);
export const past = () => ask('GET', '/history');
export const events = (after) => ask('GET', `/events?after=${after}`);
export const call = (operation, args) => ask('POST', `/api/${operation}`, JSON.stringify(args));

fromAddress();
