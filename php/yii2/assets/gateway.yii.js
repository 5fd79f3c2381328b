/** Starts the client for PushGateway\Yii2\GatewayWidget, which puts a call of GatewayWidget() on the page. */
(() => {
'use strict';

const UNAUTHORIZED = [401, 403];

/** Asks TokenAction for a token. A user who is not logged in any more gets none and connects as nobody. */
async function fetchToken(url) {
    try {
        return await Gateway.token(url);
    } catch (cause) {
        if (UNAUTHORIZED.includes(cause.status)) {
            return null;
        }
        throw cause;
    }
}

/** Shows the state of the connection in an element, with the page's labels, and whether a page that is back has missed anything. */
function showState(gateway, {element, labels}) {
    const shown = document.getElementById(element);
    const show = (text, {recovered, gap} = {}) => {
        for (const [name, value] of Object.entries({state: gateway.state, recovered, gap})) {
            if (value === undefined) {
                delete shown.dataset[name];
            } else {
                shown.dataset[name] = value;
            }
        }
        shown.textContent = text;
    };
    for (const type of ['open', 'close']) {
        gateway.addEventListener(type, () => show(labels[gateway.state]));
    }
    gateway.addEventListener('recovered', ({missed}) => show(labels.recovered.replace('{n}', missed), {recovered: missed}));
    // A new client that has not asked for the old one has no reason, and a later gateway may have others.
    gateway.addEventListener('gap', ({reason = 'none'}) => {
        show(labels.gap.replace('{reason}', labels.reasons[reason] ?? labels.reasons.expired), {gap: reason});
    });
}

/**
 * Returns a handler that calls the function that `find` returns. It looks for the function each time until it exists, since a later
 * script may define it. The console names a missing function when the page has loaded, and whenever it would have been called.
 */
function handler(what, find) {
    let found = null;
    let reason = '';
    const look = () => {
        try {
            found = find();
            reason = typeof found === 'function' ? '' : `it is ${found === null ? 'null' : typeof found}`;
        } catch (error) {
            reason = error.message;
        }
        return reason === '';
    };
    const complain = (when) => console.error(`Gateway: the handler of ${what} is no function${when}: ${reason}`);
    if (!look()) {
        const loaded = () => look() || complain(' of this page');
        if (document.readyState === 'complete') {
            queueMicrotask(loaded);
        } else {
            addEventListener('load', loaded, {once: true});
        }
    }
    return function (argument) {
        if (reason === '' || look()) {
            return found.call(this, argument);
        }
        complain(', and something came for it');
    };
}

globalThis.GatewayWidget = ({url, tokenUrl, stateElement, options}, messages, events) => {
    const gateway = new Gateway(url, tokenUrl ? {...options, token: () => fetchToken(tokenUrl)} : options);
    for (const [type, find] of Object.entries(messages)) {
        gateway.on(type, handler(`messages of type ${JSON.stringify(type)}`, find));
    }
    for (const [type, find] of Object.entries(events)) {
        gateway.addEventListener(type, handler(`the event ${JSON.stringify(type)}`, find));
    }
    if (stateElement) {
        showState(gateway, stateElement);
    }
    return gateway;
};
})();
