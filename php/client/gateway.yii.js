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

globalThis.GatewayWidget = ({url, tokenUrl, lamp, options}, messages, events) => {
    const gateway = new Gateway(url, tokenUrl ? {...options, token: () => token(tokenUrl)} : options);
    for (const [type, handler] of Object.entries(messages)) {
        gateway.on(type, handler);
    }
    for (const [type, handler] of Object.entries(events)) {
        gateway.addEventListener(type, handler);
    }
    if (lamp) {
        show(gateway, lamp);
    }
    return gateway;
};
})();
