// Starts a client, and notes all that it says.

const seen = [];
// Scripts that Marionette runs see properties of the window alone.
var gateway;

function start(url, options) {
    gateway = new Gateway(url, options);
    for (const event of ['open', 'bound', 'close', 'reconnecting', 'recovered', 'gap', 'overflow', 'error', 'raw']) {
        gateway.addEventListener(event, (said) => {
            const {code, reason, again, attempt, delay, clientId, where, message, status, data, missed, unconfirmed} = said;
            seen.push({event, code, reason, again, attempt, delay, clientId, where, message, status, data, missed, unconfirmed});
        });
    }
    gateway.on('*', (message) => seen.push(message));
}

/** Those that have the same in all properties of `like`. */
function those(like) {
    return seen.filter((each) => Object.keys(like).every((key) => each[key] === like[key]));
}

async function text(url) {
    return (await fetch(url)).text();
}
