//! The browser client, php/client/gateway.js, in a real browser, with real servers and a site in PHP.

use std::net::SocketAddr;
use std::process::Command;

use anyhow::Context as _;
use gateway_tests::{Browser, PhpPeer, ProcessGroup, ResettingProxy, Server, Tab, WorkerRunner};
use gateway_tests::{eventually, extension, root};
use gateway_wire::token::{Claims, TokenKey};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tokio::sync::{Mutex, MutexGuard};

const KEY: &str = "a key for tokens";

/// Only one test runs a browser at a time, which is enough for the machine.
static TURN: Mutex<()> = Mutex::const_new(());

/// A gateway, a site whose pages connect to it, and a browser.
pub(super) struct Stage {
    pub(super) server: Server,
    pub(super) site: String,
    browser: Browser,
    _php: ProcessGroup,
    _turn: MutexGuard<'static, ()>,
}

impl Stage {
    pub(super) async fn set(flags: &[&str]) -> anyhow::Result<Self> {
        let turn = TURN.lock().await;
        let server = start(flags).await?;
        let mut command = Command::new("php");
        command
            .arg("-n")
            .arg(format!("-dextension={}", extension()?.display()))
            .arg(format!("-dgateway.register_address={}", server.register[0]))
            .arg(format!("-dgateway.token_key={KEY}"))
            .args(["-S", "127.0.0.1:0"])
            .arg(root().join("tests/php/browser_client/router.php"));
        let (php, line) = ProcessGroup::start(command, " started").await?;
        let site = line.split(['(', ')']).nth(1).unwrap_or_default().to_owned();
        Ok(Self { server, site, browser: Browser::start().await?, _php: php, _turn: turn })
    }

    /// Opens a page that has loaded the client by this path, and has no connection yet.
    pub(super) async fn page(&self, path: &str) -> anyhow::Result<Page> {
        let page = Page(self.browser.open(&format!("{}{path}", self.site)).await?);
        page.comes_to("typeof Gateway", "function").await?;
        Ok(page)
    }

    /// Opens a page that is connected with these options, which are a JavaScript expression.
    async fn connected(&self, options: &str) -> anyhow::Result<Page> {
        let page = self.page("/module").await?;
        page.start(self.server.websocket, options).await?;
        page.has(1, json!({"event": "open"})).await?;
        Ok(page)
    }

    pub(super) async fn peer(&self) -> anyhow::Result<PhpPeer> {
        PhpPeer::connect(self.server.register[0]).await
    }

    /// Kills the server, and gives the ports that its successor must listen on.
    async fn kill(&mut self) -> anyhow::Result<[String; 2]> {
        self.server.signal(Signal::SIGKILL)?;
        self.server.exit().await?;
        Ok([self.server.websocket.to_string(), self.server.register[0].to_string()])
    }
}

async fn start(flags: &[&str]) -> anyhow::Result<Server> {
    Server::start_with(|command| {
        command.args(flags).env("GATEWAY_TOKEN_KEY", KEY);
    })
    .await
}

fn expired() -> anyhow::Result<String> {
    let claims = Claims { uid: "ann".to_owned(), expires: 1, ..Claims::default() };
    Ok(TokenKey::new(KEY.as_bytes()).mint(&claims)?)
}

/// A tab that shows a page with tests/php/browser_client/page.js.
pub(super) struct Page(pub(super) Tab);

impl Page {
    pub(super) async fn start(&self, address: SocketAddr, options: &str) -> anyhow::Result<()> {
        self.run(&format!("start('http://{address}/', {options})")).await.map(drop)
    }

    pub(super) async fn run(&self, script: &str) -> anyhow::Result<Value> {
        self.0.script(script, vec![]).await
    }

    /// Waits until an expression has this value.
    pub(super) async fn comes_to(&self, expression: &str, value: impl Into<Value>) -> anyhow::Result<()> {
        let script = format!("return {expression}");
        eventually(expression, value.into(), async || self.run(&script).await).await
    }

    /// Waits until exactly `count` notes of the page are like this one.
    pub(super) async fn has(&self, count: usize, like: Value) -> anyhow::Result<()> {
        let script = "return those(arguments[0]).length";
        eventually(&like.to_string(), json!(count), async || {
            let seen = self.0.script(script, vec![like.clone()]).await?;
            if seen.as_u64().is_some_and(|seen| seen > count as u64) {
                anyhow::bail!("more than {count} {like}: {}", self.run("return JSON.stringify(seen)").await?);
            }
            Ok(seen)
        })
        .await
    }

    pub(super) async fn those(&self, like: Value) -> anyhow::Result<Vec<Value>> {
        let seen = self.0.script("return those(arguments[0])", vec![like]).await?;
        Ok(serde_json::from_value(seen)?)
    }
}

pub(super) const FAST: &str = "minDelay: 20, maxDelay: 100";

#[tokio::test]
async fn pushes_come_by_type() -> anyhow::Result<()> {
    let stage = Stage::set(&[]).await?;
    let mut php = stage.peer().await?;
    for form in ["/module", "/global"] {
        let page = stage.page(form).await?;
        page.start(stage.server.websocket, "{bind: '/bind?uid=ann'}").await?;
        // An exception of one handler must keep neither the client nor other handlers from their work.
        page.run(
            "gateway.on('news', () => { throw new Error('of a handler'); });\
            window.texts = [];\
            window.note = ({text}) => texts.push(text);\
            window.noteOnce = ({text}) => texts.push('once ' + text);\
            gateway.on('news', note);\
            gateway.once('news', noteOnce);\
            window.errors = [];\
            addEventListener('error', (event) => errors.push(event.error.message));",
        )
        .await?;
        page.has(1, json!({"event": "bound"})).await?;
        let id = page.run("return gateway.clientId").await?;
        assert_eq!(page.those(json!({"type": "init", "client_id": id})).await?.len(), 1);
        assert_eq!(php.clients_of("ann").await?, [id.as_str().unwrap_or_default().parse()?]);

        for text in ["1", "2"] {
            php.send_to_uid("ann", &json!({"type": "news", "text": text}).to_string()).await?;
        }
        for other in ["{", "null", "[1]", "{\"type\":1}", "{\"type\":\"*\"}"] {
            php.send_to_uid("ann", other).await?;
        }
        php.send_to_uid("ann", r#"{"type":"news","text":"3"}"#).await?;
        page.comes_to("texts", json!(["1", "once 1", "2", "3"])).await?;
        page.comes_to("errors", json!(["of a handler", "of a handler", "of a handler"])).await?;
        page.has(3, json!({"type": "news"})).await?;
        page.has(1, json!({"type": "*"})).await?;
        let raw = page.those(json!({"event": "raw"})).await?;
        assert_eq!(
            raw.iter().map(|raw| &raw["data"]).collect::<Vec<_>>(),
            ["{", "null", "[1]", "{\"type\":1}"]
        );

        page.run("gateway.off('news', note)").await?;
        php.send_to_uid("ann", r#"{"type":"news","text":"4"}"#).await?;
        page.has(4, json!({"type": "news"})).await?;
        page.comes_to("texts.length", 4).await?;

        assert_eq!(page.run("return gateway.send({type: 'hello'})").await?, true);
        page.run("gateway.close()").await?;
        assert_eq!(page.run("return [gateway.state, gateway.send('more')]").await?, json!(["closed", false]));
        page.has(1, json!({"event": "close", "code": 1000, "again": false})).await?;
        eventually("nobody", 0, async || Ok(php.clients_of("ann").await?.len())).await?;
        page.has(0, json!({"event": "reconnecting"})).await?;
        page.run("gateway.connect()").await?;
        page.has(2, json!({"event": "bound"})).await?;
        page.run("gateway.close()").await?;
    }
    Ok(())
}

#[test]
fn all_forms_are_of_one_source() -> anyhow::Result<()> {
    let files = [
        ("php/client", "gateway.global.js"),
        ("php/yii2/assets", "gateway.global.js"),
        ("php/client", "gateway.miniprogram.js"),
    ];
    for (place, file) in files {
        let made = Command::new(root().join("scripts/browser-client")).args(["--print", file]).output()?;
        assert!(made.status.success());
        let made = String::from_utf8(made.stdout)?;
        let there = std::fs::read_to_string(root().join(place).join(file))?;
        assert_eq!(there, made, "{place}/{file}: run scripts/browser-client");
    }
    Ok(())
}

#[test]
fn every_option_has_its_type_and_its_line() -> anyhow::Result<()> {
    let read = |path: &str| std::fs::read_to_string(root().join(path));
    let (source, types) = (read("php/client/gateway.js")?, read("php/client/gateway.d.ts")?);
    let page = read("docs/browser-client.md")?;
    let defaults = source.split("};").next().unwrap_or_default();
    let options = defaults.lines().filter_map(|line| line.strip_prefix("    ")?.split(':').next());
    let options: Vec<_> = options.collect();
    assert!(options.contains(&"token") && options.contains(&"random"), "{options:?}");
    for option in &options {
        assert!(types.contains(&format!("    {option}?: ")), "{option} in gateway.d.ts");
        let line = |line: &str| line.starts_with('|') && line.contains(&format!("`{option}`"));
        assert!(page.lines().any(line), "{option} in docs/browser-client.md");
    }
    Ok(())
}

#[tokio::test]
async fn a_server_that_comes_back_finds_its_pages_bound_again() -> anyhow::Result<()> {
    let mut stage = Stage::set(&[]).await?;
    let page = stage.connected(&format!("{{bind: '/bind?uid=ann', {FAST}}}")).await?;
    page.has(1, json!({"event": "bound"})).await?;
    let old = page.run("return gateway.clientId").await?;

    let [websocket, register] = stage.kill().await?;
    // By now, attempts that were refused may have ended too, so there is at least one.
    page.comes_to("those({event: 'close', code: 1006, again: true}).length > 0", true).await?;
    assert_eq!(page.run("return gateway.clientId").await?, Value::Null);
    page.comes_to("those({event: 'reconnecting'}).length > 3", true).await?;

    stage.server = start(&["--websocket", &websocket, "--register", &register]).await?;
    page.has(2, json!({"event": "open"})).await?;
    // PHP takes a second or two to notice that the server is back; the page asks it again until then.
    page.has(2, json!({"event": "bound"})).await?;
    let new = page.run("return gateway.clientId").await?;
    assert_ne!(new, old);
    let mut php = stage.peer().await?;
    assert_eq!(php.clients_of("ann").await?, [new.as_str().unwrap_or_default().parse()?]);
    php.send_to_uid("ann", r#"{"type":"news"}"#).await?;
    page.has(1, json!({"type": "news"})).await
}

#[tokio::test]
async fn a_cut_connection_is_made_again() -> anyhow::Result<()> {
    let stage = Stage::set(&[]).await?;
    // The proxy cuts the first connection in the handshake, and the second one after what the page sends.
    let proxy = ResettingProxy::start(stage.server.websocket, vec![50, 8000]).await?;
    let page = stage.page("/module").await?;
    page.start(proxy.address, &format!("{{bind: '/bind?uid=ann', {FAST}}}")).await?;
    page.has(1, json!({"event": "bound"})).await?;
    page.has(1, json!({"event": "close", "code": 1006, "again": true})).await?;

    page.run("gateway.send('x'.repeat(10000))").await?;
    page.has(2, json!({"event": "bound"})).await?;
    page.has(2, json!({"event": "close", "code": 1006, "again": true})).await?;
    let mut php = stage.peer().await?;
    php.send_to_uid("ann", r#"{"type":"news"}"#).await?;
    page.has(1, json!({"type": "news"})).await
}

#[tokio::test]
async fn a_token_that_has_expired_is_replaced() -> anyhow::Result<()> {
    let stage = Stage::set(&["--require-token", "true"]).await?;
    for way in ["query", "protocol"] {
        let page = stage.page("/module").await?;
        page.run("window.asked = 0").await?;
        let token = format!("() => asked++ ? text('/token?uid=ann') : '{}'", expired()?);
        page.start(stage.server.websocket, &format!("{{token: {token}, tokenIn: '{way}'}}")).await?;
        page.has(1, json!({"type": "init"})).await?;
        page.has(1, json!({"event": "close", "code": 4401, "reason": "token expired", "again": true}))
            .await?;
        page.has(1, json!({"event": "reconnecting", "delay": 0})).await?;
        page.has(0, json!({"event": "error"})).await?;
        let mut php = stage.peer().await?;
        php.send_to_uid("ann", r#"{"type":"news"}"#).await?;
        page.has(1, json!({"type": "news"})).await?;

        // PHP closes the client on purpose, so the client does not reconnect.
        let client = page.run("return gateway.clientId").await?.as_str().unwrap_or_default().parse()?;
        php.close_client(client).await?;
        page.has(1, json!({"event": "close", "code": 1000, "again": false})).await?;
        assert_eq!(page.run("return [gateway.state, asked]").await?, json!(["closed", 2]));
        page.run("gateway.close()").await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_token_is_asked_for_at_an_address_of_the_site() -> anyhow::Result<()> {
    let stage = Stage::set(&[]).await?;
    let mut php = stage.peer().await?;
    for (answer, users) in [("text", 1), ("json", 1), ("json of nobody", 0)] {
        let page = stage.connected(&format!("{{token: '/ask?with={answer}'}}")).await?;
        page.has(1, json!({"type": "init"})).await?;
        assert_eq!(php.clients_of("ann").await?.len(), users, "{answer}");
        page.has(0, json!({"event": "error"})).await?;
        page.run("gateway.close()").await?;
        eventually("nobody", 0, async || Ok(php.clients_of("ann").await?.len())).await?;
    }
    // The page of an error must not be taken for a token. The next attempt may succeed, so the client asks again.
    for (answer, status, why) in [
        ("page", json!(200), "it answers with no token but with \"<!DOCTYPE html>"),
        ("nothing", json!(200), "it answers with no token but with \"\""),
        ("json without", json!(200), "it answers with no token but with \"{"),
        ("login", json!(0), "it leads elsewhere, perhaps to a login"),
        ("500", json!(500), "HTTP 500"),
        ("419", json!(419), "HTTP 419"),
    ] {
        let page = stage.page("/module").await?;
        page.start(stage.server.websocket, &format!("{{token: '/ask?with={answer}', {FAST}}}")).await?;
        page.comes_to("those({event: 'reconnecting'}).length > 1", true).await?;
        let errors = page.those(json!({"event": "error", "where": "connect"})).await?;
        let first = errors.first().context("no error")?;
        assert_eq!(first["status"], status, "{first}");
        let message = first["message"].as_str().unwrap_or_default();
        assert!(message.starts_with(&format!("no token from /ask?with={answer}: {why}")), "{message}");
        page.has(0, json!({"event": "open"})).await?;
        page.run("gateway.close()").await?;
    }
    // A client that is not allowed to have a token says so once and asks no more.
    for status in [401, 403] {
        let page = stage.page("/global").await?;
        page.start(stage.server.websocket, &format!("{{token: '/ask?with={status}', {FAST}}}")).await?;
        page.has(1, json!({"event": "error", "where": "token", "status": status})).await?;
        page.has(1, json!({"event": "close", "code": 4401, "again": false})).await?;
        page.has(0, json!({"event": "reconnecting"})).await?;
        assert_eq!(page.run("return gateway.state").await?, "closed");
    }
    Ok(())
}

#[tokio::test]
async fn a_token_that_is_refused_ends_it_after_one_other() -> anyhow::Result<()> {
    let stage = Stage::set(&["--require-token", "true"]).await?;
    for (options, reason, attempts) in [
        ("{token: () => `bad${++asked}`}", "token refused", 2),
        ("{token: async () => (asked++, '')}", "token missing", 2),
        ("{token: 'bad'}", "token refused", 1),
        ("{}", "token missing", 1),
    ] {
        let page = stage.page("/module").await?;
        page.run("window.asked = 0").await?;
        page.start(stage.server.websocket, options).await?;
        page.has(1, json!({"event": "error", "where": "token", "message": reason})).await?;
        page.has(attempts, json!({"event": "close", "code": 4401, "reason": reason})).await?;
        page.has(1, json!({"event": "close", "again": false})).await?;
        page.has(attempts - 1, json!({"event": "reconnecting"})).await?;
        assert_eq!(page.run("return gateway.state").await?, "closed");
        page.run("gateway.close()").await?;
    }
    // A static token that has expired cannot become good again, so the client stops; a function that fails is asked again.
    let page = stage.page("/module").await?;
    page.start(stage.server.websocket, &format!("{{token: '{}'}}", expired()?)).await?;
    page.has(1, json!({"event": "error", "where": "token", "message": "token expired"})).await?;
    page.comes_to("gateway.state", "closed").await?;
    page.run("gateway.close()").await?;

    let page = stage.page("/module").await?;
    page.run("window.asked = 0").await?;
    let token = "() => { if (asked++ < 3) throw new Error('no token'); return text('/token?uid=ann'); }";
    page.start(stage.server.websocket, &format!("{{token: {token}, {FAST}}}")).await?;
    page.has(1, json!({"event": "open"})).await?;
    page.has(3, json!({"event": "error", "where": "connect", "message": "no token"})).await?;
    page.has(3, json!({"event": "reconnecting"})).await
}

#[tokio::test]
async fn binding_is_tried_again_only_when_that_may_help() -> anyhow::Result<()> {
    let stage = Stage::set(&[]).await?;
    for (options, status) in [
        ("bind: '/bind?uid=ann', csrf: 'another'", json!(403)),
        ("bind: '/login'", json!(0)), // a redirect is not followed
        ("bind: '/nowhere'", json!(404)),
        ("bind: (identity) => fetch('/bind?uid=ann', {method: 'POST'})", json!(403)),
    ] {
        let page = stage.connected(&format!("{{{options}, {FAST}}}")).await?;
        page.has(1, json!({"event": "error", "where": "bind", "status": status})).await?;
        page.has(0, json!({"event": "bound"})).await?;
        assert_eq!(page.run("return gateway.state").await?, "open");
        page.run("gateway.close()").await?;
    }
    let page = stage
        .connected(&format!(
            "{{{FAST}, bind: ({{client_id, proof}}) => {{
                window.posted = (window.posted ?? 0) + 1;
                if (posted === 1) throw new Error('offline');
                if (posted === 2) return {{ok: false, status: 503}};
                window.identity = client_id + proof;
            }}}}"
        ))
        .await?;
    page.has(1, json!({"event": "bound"})).await?;
    page.has(1, json!({"event": "error", "where": "bind", "message": "offline"})).await?;
    page.has(1, json!({"event": "error", "where": "bind", "status": 503})).await?;
    let is_same = "return identity === gateway.clientId + those({type: 'init'})[0].proof";
    assert_eq!(page.run(is_same).await?, true);

    // A later message that looks like an `init` message is not treated as one.
    stage.peer().await?.send_to_all(r#"{"type":"init","client_id":"evil","proof":"x"}"#).await?;
    page.has(1, json!({"type": "init", "client_id": "evil"})).await?;
    assert_eq!(page.run("return posted + ' ' + (gateway.clientId !== 'evil')").await?, "3 true");
    Ok(())
}

#[tokio::test]
async fn a_page_that_was_suspended_or_offline_gets_another_connection() -> anyhow::Result<()> {
    let stage = Stage::set(&[]).await?;
    let page = stage.connected("{bind: '/bind?uid=ann', pingInterval: 20}").await?;
    page.has(1, json!({"event": "bound"})).await?;
    let lost = json!({"event": "close", "code": 1006, "reason": "no sign of life", "again": true});

    // The page believes that its timer stood still for ten minutes, as after sleep.
    page.run("const now = Date.now; Date.now = () => now() + 600_000").await?;
    page.has(1, lost.clone()).await?;
    page.has(2, json!({"event": "open"})).await?;
    // That a page is visible again says nothing about its connection.
    page.run("dispatchEvent(new Event('visibilitychange')); dispatchEvent(new Event('pageshow'))").await?;
    page.has(1, lost.clone()).await?;
    page.run("dispatchEvent(new Event('online'))").await?;
    page.has(2, lost).await?;
    page.has(3, json!({"event": "open"})).await?;
    let mut php = stage.peer().await?;
    eventually("one connection", 1, async || Ok(php.clients_of("ann").await?.len())).await
}

#[tokio::test]
async fn a_page_that_wakes_does_not_wait() -> anyhow::Result<()> {
    let mut stage = Stage::set(&[]).await?;
    // The delay is longer than the test, so only something that cuts it short lets the page reconnect.
    let page = stage.connected("{minDelay: 500_000, maxDelay: 500_000, random: () => 0.9}").await?;
    let [websocket, register] = stage.kill().await?;
    page.has(1, json!({"event": "reconnecting", "attempt": 1})).await?;
    stage.server = start(&["--websocket", &websocket, "--register", &register]).await?;
    page.run("Object.defineProperty(document, 'hidden', {configurable: true, get: () => true})").await?;
    page.run("document.dispatchEvent(new Event('visibilitychange'))").await?;
    assert_eq!(page.run("return gateway.state").await?, "waiting");
    page.run("delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))").await?;
    page.has(2, json!({"event": "open"})).await?;

    let [websocket, register] = stage.kill().await?;
    page.has(2, json!({"event": "close"})).await?;
    stage.server = start(&["--websocket", &websocket, "--register", &register]).await?;
    page.run("dispatchEvent(new Event('online'))").await?;
    page.has(3, json!({"event": "open"})).await?;

    let [websocket, register] = stage.kill().await?;
    page.has(3, json!({"event": "close"})).await?;
    stage.server = start(&["--websocket", &websocket, "--register", &register]).await?;
    page.run("gateway.connect()").await?;
    page.has(4, json!({"event": "open"})).await?;

    // A client that was closed for its own fault waits, whatever happens.
    page.run("gateway.send('x'.repeat(11_000_000))").await?;
    page.has(1, json!({"event": "close", "code": 1009, "again": true})).await?;
    page.run("dispatchEvent(new Event('online'))").await?;
    assert_eq!(page.run("return gateway.state").await?, "waiting");
    Ok(())
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_given_up() -> anyhow::Result<()> {
    let mut stage = Stage::set(&[]).await?;
    let events = root().join("tests/php/echo/Events.php");
    let _workers = WorkerRunner::start_with(events, stage.server.register[0], 1).await?;
    stage.server.logs("a worker joined").await?;
    let options = "{ping: 'ping', pingInterval: 50, pingTimeout: 2000, connectTimeout: 1000, minDelay: 20, maxDelay: 100}";
    let page = stage.connected(options).await?;
    page.comes_to("those({event: 'raw', data: 'ping'}).length > 3", true).await?;
    page.has(0, json!({"event": "close"})).await?;

    stage.server.signal(Signal::SIGSTOP)?;
    page.has(1, json!({"event": "close", "reason": "no sign of life", "again": true})).await?;
    page.comes_to("those({event: 'close', reason: 'no connection in time'}).length > 1", true).await?;
    stage.server.signal(Signal::SIGCONT)?;
    // On a busy machine it may be given up and come back once more.
    page.comes_to("those({event: 'open'}).length > 1", true).await
}

#[tokio::test]
async fn delays_are_random_below_a_limit_that_doubles() -> anyhow::Result<()> {
    let stage = Stage::set(&[]).await?;
    // Nothing answers at a port that is bound but not listening.
    let taken = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
    taken.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())?;
    let nobody = taken.local_addr()?.as_socket().context("an address")?;
    for (random, expected) in [
        ("1", json!([1, 2, 4, 8, 16, 20, 20])),
        ("0.5", json!([0.5, 1, 2, 4, 8, 10, 10])),
        ("0", json!([0, 0, 0, 0, 0, 0, 0])),
    ] {
        let page = stage.page("/module").await?;
        let limits = "minDelay: 1, maxDelay: 20, hiddenMaxDelay: 70";
        page.start(nobody, &format!("{{{limits}, random: () => {random}}}")).await?;
        page.comes_to("those({event: 'reconnecting'}).length > 6", true).await?;
        let delays = "return those({event: 'reconnecting'}).map(({delay}) => delay).slice(0, 7)";
        assert_eq!(page.run(delays).await?, expected);
        page.run("Object.defineProperty(document, 'hidden', {get: () => true})").await?;
        page.comes_to(&format!("those({{delay: {random} * 70}}).length > 1"), true).await?;
        page.run("gateway.close()").await?;
        assert_eq!(page.run("return gateway.state").await?, "closed");
    }
    // After a close for its own fault a page waits for at least half of the longest delay.
    for (random, expected) in [("0", 300_000), ("1", 600_000)] {
        let page = stage.connected(&format!("{{maxDelay: 600_000, random: () => {random}}}")).await?;
        page.run("gateway.send('x'.repeat(11_000_000))").await?;
        page.has(1, json!({"event": "close", "code": 1009})).await?;
        page.has(1, json!({"event": "reconnecting", "delay": expected})).await?;
    }
    Ok(())
}
