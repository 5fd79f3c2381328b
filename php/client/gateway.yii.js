/** Starts the client for PushGateway\Yii2\GatewayWidget, which writes the call of it. */
(() => {
'use strict';

const NOT_LOGGED_IN = [401, 403];

/** Asks TokenAction. Whoever is not logged in any more connects as nobody. */
async function token(url) {
    try {
        return await Gateway.token(url);
    } catch (cause) {
        if (NOT_LOGGED_IN.includes(cause.status)) {
            return null;
        }
        throw cause;
    }
}

/** Shows the state of the connection in an element, in the words of the page. */
function show(gateway, {element, labels}) {
    const shown = document.getElementById(element);
    const update = () => {
        shown.dataset.state = gateway.state;
        shown.textContent = labels[gateway.state];
    };
    gateway.addEventListener('open', update);
    gateway.addEventListener('close', update);
}

/**
 * The function that `find` gives, which is looked for again each time until it is there: a later script may define it. Each that is
 * missing is told of on the console when the page has loaded, and when something comes that it would have got.
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
    const gateway = new Gateway(url, tokenUrl ? {...options, token: () => token(tokenUrl)} : options);
    for (const [type, find] of Object.entries(messages)) {
        gateway.on(type, handler(`messages of type ${JSON.stringify(type)}`, find));
    }
    for (const [type, find] of Object.entries(events)) {
        gateway.addEventListener(type, handler(`the event ${JSON.stringify(type)}`, find));
    }
    if (stateElement) {
        show(gateway, stateElement);
    }
    return gateway;
};
})();
