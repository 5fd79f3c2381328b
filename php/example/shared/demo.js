// The tutorial's script leaves this to the page: the message box that it calls, and an element that shows the connection's state.

var messageBox = {
    addNum(n) {
        const count = document.getElementById('message-count');
        count.textContent = Number(count.textContent) + n;
    },
};

/** Shows the state of the tutorial's socket in #live. For a guest, who is not bound, bindUidUrl is null. */
function watchConnection(ws, bindUidUrl) {
    const live = document.getElementById('live');
    const show = (state, text) => {
        if (live.dataset.state !== 'closed') {
            live.dataset.state = state;
            live.textContent = text;
        }
    };

    ws.addEventListener('message', (event) => {
        const data = JSON.parse(event.data);
        if (data && data.type === 'init') {
            live.dataset.clientId = data.client_id;
            if (bindUidUrl === null) {
                show('guest', 'connected as a guest');
            }
        }
    });

    ws.addEventListener('close', () => show('closed', 'not connected'));

    // The tutorial asks for JSON and gets an empty body, which jQuery reports as an error, so only the status counts.
    $(document).on('ajaxComplete', (event, xhr, settings) => {
        if (settings.url === bindUidUrl) {
            const bound = xhr.status >= 200 && xhr.status < 300;
            show(bound ? 'bound' : 'error', bound ? 'live' : `not bound (HTTP ${xhr.status})`);
        }
    });
}
