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

/** Shows the state of the connection in an element, with the page's labels. */
function showState(gateway, {element, labels}) {
    const shown = document.getElementById(element);
    const update = () => {
        shown.dataset.state = gateway.state;
        shown.textContent = labels[gateway.state];
    };
    gateway.addEventListener('open', update);
    gateway.addEventListener('close', update);
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
