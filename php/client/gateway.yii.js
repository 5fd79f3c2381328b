/** Starts the client for PushGateway\Yii2\GatewayWidget, which writes the call of it. */
(() => {
'use strict';

const NOT_LOGGED_IN = [401, 403];

/** Asks TokenAction. Whoever is not logged in any more connects as nobody. */
async function token(url) {
    const csrf = document.querySelector('meta[name=csrf-token]')?.content;
    const headers = {Accept: 'application/json', 'X-Requested-With': 'XMLHttpRequest', ...(csrf && {'X-CSRF-Token': csrf})};
    const answer = await fetch(url, {method: 'POST', headers, mode: 'same-origin', redirect: 'manual', cache: 'no-store'});
    if (NOT_LOGGED_IN.includes(answer.status)) {
        return null;
    }
    if (!answer.ok) {
        throw new Error(`no token from ${url}: HTTP ${answer.status}`);
    }
    return (await answer.json()).token;
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
