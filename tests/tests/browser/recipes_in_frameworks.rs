//! The recipes for other frameworks than Yii 2: in an application of the framework where there is one, and otherwise the
//! parts of them that need none.

use std::path::Path;

use anyhow::Context as _;
use gateway_tests::{
    Browser, Client, PhpPeer, Recipe, Server, eventually, fences, file_of, on_default_ports, php, root,
    run_script, skip, soon,
};
use nix::sys::signal::Signal;

const AT: &str = "http://127.0.0.1:8080";

/// Writes the recipe's page, changed to show in its text what it would otherwise show by `alert`.
fn write_page(recipe: &Recipe, path: &str) -> anyhow::Result<()> {
    let script = fences(&recipe.page)
        .into_iter()
        .find(|fence| fence.language == "html")
        .context("the recipe shows no page")?;
    let alert = "<!DOCTYPE html><body><script>window.alert = text => {
        document.body.appendChild(document.createElement('p')).textContent = text;
    }</script>";
    recipe.write(path, &format!("{alert}{}", script.code))
}

/// Asks for a token on a page where nobody is logged in, and gives the client's error.
async fn refusal(browser: &Browser, page: &str, client: &str) -> anyhow::Result<String> {
    let script = format!(
        "return import('{client}').then(({{Gateway}}) => Gateway.token('/live/token')).catch(error => error.message)"
    );
    let said = browser.open(&format!("{AT}{page}")).await?.script(&script, vec![]).await?;
    Ok(said.as_str().unwrap_or_default().to_owned())
}

async fn pages_of_seven(wanted: usize) -> anyhow::Result<()> {
    let mut php = PhpPeer::connect("127.0.0.1:1238").await?;
    eventually("pages of user 7", wanted, async || Ok(php.clients_of("7").await?.len())).await
}

#[test]
fn laravel() -> anyhow::Result<()> {
    const TEST: &str = "laravel";
    let of_debian = Path::new("/usr/share/php/Illuminate/autoload.php");
    if std::env::var_os("LARAVEL_AUTOLOAD").is_none() && !of_debian.exists() {
        skip(
            TEST,
            "no Laravel: Debian has it as php-laravel-framework, and LARAVEL_AUTOLOAD names another's autoloader",
        );
        return Ok(());
    }
    on_default_ports(TEST, async || {
        let skeleton = root().join("tests/php/laravel");
        let recipe = Recipe::over(Some(&skeleton), "laravel.md", "public/js/gateway.js")?;
        for folder in [
            "bootstrap/cache",
            "storage/framework/cache",
            "storage/framework/sessions",
            "storage/framework/views",
        ] {
            std::fs::create_dir_all(recipe.path(folder))?;
        }
        recipe.write("database.sqlite", "")?;
        write_page(&recipe, "public/page.html")?;
        recipe.run(&["artisan", "prepare"]).await?;
        let mut server = Recipe::start_server().await?;
        let _php = recipe.serve(&["-t", "public", "public/index.php"]).await?;
        let browser = Browser::start().await?;
        let write = async |text: &str| {
            let form = browser.open(&format!("{AT}/write")).await?;
            form.write("#to", "7").await?;
            form.write("#text", text).await?;
            form.submit("button").await?;
            // The form comes back empty, whether or not the receiver could be told.
            form.shows("#text", &[""]).await
        };

        let refused = refusal(&browser, "/page", "/js/gateway.js").await?;
        assert!(refused.starts_with("no token from /live/token: HTTP 401 "), "{refused}");
        browser.open(&format!("{AT}/login/7")).await?.shows("body", &["7"]).await?;
        let page = browser.open(&format!("{AT}/page")).await?;
        pages_of_seven(1).await?;
        write("<b>hello</b>").await?;
        page.shows("p", &["<b>hello</b>"]).await?;

        // With a few words more the notification goes through Laravel's queue.
        let notification = file_of(&recipe.page, "app/Notifications/CommentWritten.php")?;
        let queued = "extends Notification implements \\Illuminate\\Contracts\\Queue\\ShouldQueue
            {
                use \\Illuminate\\Bus\\Queueable;";
        let (before, after) = notification.split_once("extends Notification\n{").context("the class")?;
        recipe.write("app/Notifications/CommentWritten.php", &format!("{before}{queued}{after}"))?;
        write("later").await?;
        let (worked, _) = recipe.run(&["artisan", "queue:work", "--stop-when-empty"]).await?;
        assert!(worked.contains("Processed:  App\\Notifications\\CommentWritten"), "{worked}");
        page.shows("p", &["<b>hello</b>", "later"]).await?;
        recipe.write("app/Notifications/CommentWritten.php", &notification)?;

        server.signal(Signal::SIGKILL)?;
        server.exit().await?;
        write("to nobody").await?;
        let _server = Recipe::start_server().await?;
        pages_of_seven(1).await?;
        write("once more").await?;
        page.shows("p", &["<b>hello</b>", "later", "once more"]).await
    })
}

#[test]
fn thinkphp() -> anyhow::Result<()> {
    const TEST: &str = "thinkphp";
    let Some(application) = std::env::var_os("THINKPHP_PATH") else {
        skip(
            TEST,
            "THINKPHP_PATH names no application of ThinkPHP, as `composer create-project topthink/think` makes one",
        );
        return Ok(());
    };
    on_default_ports(TEST, async || {
        let recipe = Recipe::over(Some(Path::new(&application)), "thinkphp.md", "public/static/gateway.js")?;
        recipe.write(".env", &format!("GATEWAY_TOKEN_KEY = {}\n", Recipe::KEY))?;
        recipe.write(
            "app/controller/Login.php",
            "<?php
            namespace app\\controller;
            class Login
            {
                public function index()
                {
                    \\think\\facade\\Session::set('user_id', 7);
                    return 'logged in';
                }
            }",
        )?;
        recipe.write(
            "public/write.html",
            "<form method=post action=/live/comment><input id=to name=to><input id=text name=text><button></button></form>",
        )?;
        write_page(&recipe, "public/page.html")?;
        let mut server = Recipe::start_server().await?;
        let _php = recipe.serve(&["-t", "public", "public/router.php"]).await?;
        let browser = Browser::start().await?;
        let write = async |text: &str, answer: &str| {
            let form = browser.open(&format!("{AT}/write.html")).await?;
            form.write("#to", "7").await?;
            form.write("#text", text).await?;
            form.submit("button").await?;
            form.shows("body", &[answer]).await
        };

        let refused = refusal(&browser, "/page.html", "/static/gateway.js").await?;
        assert_eq!(refused, "no token from /live/token: HTTP 403 log in first");
        write("from nobody", "log in first").await?;
        browser.open(&format!("{AT}/login")).await?.shows("body", &["logged in"]).await?;
        let page = browser.open(&format!("{AT}/page.html")).await?;
        pages_of_seven(1).await?;
        write("<b>hello</b>", r#"{"pushed":true}"#).await?;
        page.shows("p", &["<b>hello</b>"]).await?;

        server.signal(Signal::SIGKILL)?;
        server.exit().await?;
        write("to nobody", r#"{"pushed":false}"#).await?;
        let _server = Recipe::start_server().await?;
        pages_of_seven(1).await?;
        write("once more", r#"{"pushed":true}"#).await?;
        page.shows("p", &["<b>hello</b>", "once more"]).await
    })
}

/// Checks that PHP finds no error in any file of the page, and that the service pushes.
async fn without_the_framework(page: &str, service: &str, class: &str) -> anyhow::Result<()> {
    let recipe = Recipe::of(page)?;
    let mut checked = 0;
    for file in fences(&recipe.page).into_iter().filter(|fence| fence.language == "php") {
        let file = file
            .file
            .ok_or_else(|| anyhow::anyhow!("{page} does not say what file this is: {}", file.code))?;
        let output = soon("php -l", php()?.arg("-l").arg(recipe.path(&file)).output()).await??;
        assert!(output.status.success(), "{file}: {output:?}");
        checked += 1;
    }
    assert!(checked > 4, "{page} shows {checked} files");
    assert!(file_of(&recipe.page, service)?.contains("class Push"));

    let server = Server::start_with(|command| {
        command.env("GATEWAY_TOKEN_KEY", Recipe::KEY);
    })
    .await?;
    let (register, service) = (server.register[0].to_string(), recipe.path(service).display().to_string());
    let run = async |what| {
        run_script("recipe_push.php", &[&service, class, &register, Recipe::KEY, what], "").await
    };
    let token = run("token").await?;
    let socket = Client::shake_hands(server.websocket, &format!("/?token={token}"), &[]).await?;
    let mut client = Client { id: "7f000001000000000000".parse()?, socket };
    assert!(client.text().await?.contains("init"));
    let said = run("push").await?;
    let lines: Vec<_> = said.lines().collect();
    assert_eq!(lines[0], r#"{"online":[true,false],"user":true,"group":true}"#);
    assert!(lines[1].contains("lost was not pushed: Can not connect to tcp://127.0.0.1:1"), "{said}");
    assert_eq!(lines[2], "false");
    assert_eq!(client.text().await?, r#"{"type":"comment","text":"hello"}"#);
    assert_eq!(client.text().await?, r#"{"type":"headline"}"#);
    Ok(())
}

#[tokio::test]
async fn thinkphp_without_it() -> anyhow::Result<()> {
    without_the_framework("thinkphp.md", "app/service/Push.php", r"app\service\Push").await
}

#[tokio::test]
async fn laravel_without_it() -> anyhow::Result<()> {
    without_the_framework("laravel.md", "app/Services/Push.php", r"App\Services\Push").await
}
