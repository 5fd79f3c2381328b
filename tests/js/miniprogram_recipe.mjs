// The mini program of docs/recipes/mini-programs.md, as it is printed. RECIPE is the folder with its files, SITE the address of the server in PHP
// and GATEWAY that of the gateway, which the page calls https://example.com and wss://example.com/ws. Somebody pushes two comments.

import assert from 'node:assert/strict';
import {readFileSync} from 'node:fs';
import {test} from 'node:test';
import vm from 'node:vm';
import {App, load} from './app.mjs';

const {RECIPE, SITE, GATEWAY} = process.env;

test('the mini program shows what is pushed, and misses nothing in the background', async () => {
    const phone = new App();
    phone.storage.set('session', 'a session of user 1007');
    const {connectSocket} = phone.api;
    const wx = {
        ...phone.api,
        connectSocket: ({url, ...more}) => connectSocket({...more, url: url.replace('wss://example.com/ws', `ws://${GATEWAY}/`)}),
        request: async ({url, method, header, success, fail}) => {
            try {
                const answer = await fetch(url.replace('https://example.com', `http://${SITE}`), {method, headers: header});
                success({statusCode: answer.status, data: answer.ok ? await answer.json() : await answer.text()});
            } catch (error) {
                fail({errMsg: String(error)});
            }
        },
    };

    let app, page;
    const Page = (options) => { page = {...options, setData(data) { Object.assign(this.data, data); }}; };
    const run = (file, context) => vm.runInNewContext(readFileSync(`${RECIPE}/${file}`, 'utf8').replace(/^import .*$/m, ''), context);
    const {Gateway} = load({wx});
    run('app.js', {wx, Gateway, console, App: (options) => { app = options; }});
    app.onLaunch();
    run('pages/comments/comments.js', {getApp: () => app, Page});
    page.onLoad();

    const shows = async (wanted) => {
        const end = Date.now() + 30_000;
        while (page.data.comments.length < wanted.length) {
            assert(Date.now() < end, JSON.stringify(page.data.comments));
            await new Promise((resolve) => setTimeout(resolve, 5));
        }
        assert.deepEqual([...page.data.comments], wanted);
    };
    await shows(['早上好']);
    phone.hide();
    phone.tasks.at(-1).interrupt();
    // This asks for the second comment.
    console.log('in the background');
    const {now} = Date;
    Date.now = () => now() + 6000;
    phone.show();
    await shows(['早上好', '在吗？']);
    Date.now = now;
    page.onUnload();
    assert.equal(phone.tasks.length, 2);
    app.gateway.close();
});
