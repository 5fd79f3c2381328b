//! The Yii2 quick start of php/yii2/README.md, followed line by line in an application like yii2-app-basic: the one that
//! YII2_APP_BASIC_PATH names, with its vendor directory, or else a stand-in on the Yii 2 of YII2_PATH.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Context as _;
use gateway_tests::{
    Browser, Fence, PhpPeer, ProcessGroup, Server, Tab, done, eventually, extension, fences,
    on_default_ports, root, skip,
};
use nix::sys::signal::Signal;
use serde_json::json;
use tempfile::TempDir;

const CHECKOUT: &str = "/path/to/push-gateway";
const SITE: &str = "http://localhost:8080/index.php?r=site";

fn page(name: &str) -> anyhow::Result<String> {
    Ok(std::fs::read_to_string(root().join("php/yii2").join(name))?)
}

/// Gives the code blocks of the quick start, in their order.
fn blocks(page: &str, heading: &str) -> anyhow::Result<Vec<Fence>> {
    let part = page.split(heading).nth(1).with_context(|| format!("no {heading}"))?;
    Ok(fences(part.split("\n## ").next().unwrap_or_default()))
}

/// Finds Yii.php: a checkout of the framework has it in a folder, an application's vendor directory does not.
fn framework() -> Option<PathBuf> {
    let path = PathBuf::from(std::env::var_os("YII2_PATH").filter(|path| !path.is_empty())?);
    [path.join("framework"), path].into_iter().find(|path| path.join("Yii.php").exists())
}

struct Application {
    folder: TempDir,
}

impl Application {
    /// Makes an application; where that is impossible, the test is reported as skipped, and this gives `None`.
    fn of(test: &str) -> anyhow::Result<Option<Self>> {
        let made = Self::make()?;
        Ok(made.inspect_err(|reason| skip(test, reason)).ok())
    }

    /// Makes an application; gives the reason instead where that is impossible.
    fn make() -> anyhow::Result<Result<Self, &'static str>> {
        let of_others = std::env::var_os("YII2_APP_BASIC_PATH").filter(|path| !path.is_empty());
        let framework = framework();
        if of_others.is_none() && framework.is_none() {
            return Ok(Err("YII2_PATH names no Yii 2"));
        }
        if Command::new("composer").arg("--version").env("COMPOSER_ALLOW_SUPERUSER", "1").output().is_err() {
            return Ok(Err("composer is not installed (Debian package composer)"));
        }
        let folder = TempDir::with_prefix("gateway-test-quick-start-")?;
        let from = of_others.clone().map_or_else(|| root().join("tests/php/yii2-app-basic"), PathBuf::from);
        done(Command::new("cp").arg("-r").arg(from.join(".")).arg(folder.path()))?;
        let application = Self { folder };
        if of_others.is_none()
            && let Some(framework) = framework
        {
            std::fs::create_dir_all(application.path("vendor/yiisoft"))?;
            std::os::unix::fs::symlink(framework, application.path("vendor/yiisoft/yii2"))?;
        }
        // These files take the place of php.ini and of composer's own configuration, which the page is not about.
        for folder in ["web/assets", "runtime", "machine/php"] {
            std::fs::create_dir_all(application.path(folder))?;
        }
        let loads = format!("extension={}\n", extension()?.display());
        std::fs::write(application.path("machine/php/gateway.ini"), loads)?;
        // What the packages require of others comes from there, and no class of it is used as long as nobody gives them a log.
        let others = ["psr/log", "psr/event-dispatcher"].map(|name| {
            let package = json!({"name": name, "version": "1.99.0", "type": "metapackage"});
            json!({"type": "package", "package": package})
        });
        let offline = json!({"repositories": [{"packagist.org": false}, others[0], others[1]]});
        std::fs::write(application.path("machine/config.json"), offline.to_string())?;
        Ok(Ok(application))
    }

    fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    /// The command that runs these lines in the application's folder, as a user would type them.
    fn shell(&self, lines: &str) -> Command {
        let lines = lines.replace(CHECKOUT, &root().display().to_string());
        let mut command = Command::new("sh");
        command.args(["-euc", &lines]).current_dir(self.folder.path());
        command.env("PHP_INI_SCAN_DIR", format!(":{}", self.path("machine/php").display()));
        command.env("COMPOSER_HOME", self.path("machine")).env("COMPOSER_ALLOW_SUPERUSER", "1");
        command
    }

    /// Inserts text before or after the first `mark` that follows `after`.
    fn insert(&self, file: &str, after: &str, mark: &str, place: Place, text: &str) -> anyhow::Result<()> {
        let code = std::fs::read_to_string(self.path(file))?;
        let begin = code.find(after).with_context(|| format!("{after:?} in {file}"))?;
        let at = begin + code[begin..].find(mark).with_context(|| format!("{mark:?} in {file}"))?;
        let at = if place == Place::Behind { at + mark.len() } else { at };
        let (before, behind) = code.split_at(at);
        Ok(std::fs::write(self.path(file), format!("{before}\n{text}\n{behind}"))?)
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.path("runtime/logs/app.log")).unwrap_or_default()
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Before,
    Behind,
}

/// Gives the code of the only block that contains `part`.
fn block<'a>(blocks: &'a [Fence], part: &str) -> anyhow::Result<&'a str> {
    let found: Vec<_> = blocks.iter().filter(|block| block.code.contains(part)).collect();
    anyhow::ensure!(found.len() == 1, "{} blocks have {part:?}", found.len());
    Ok(&found[0].code)
}

/// Follows steps 1 to 7, except for starting the server.
fn follow(application: &Application, blocks: &[Fence]) -> anyhow::Result<()> {
    done(&mut application.shell(block(blocks, "composer require")?))?;
    done(&mut application.shell(block(blocks, "random_bytes")?))?;
    for one in blocks.iter().filter(|block| block.file.as_deref() == Some("config/gateway.php")) {
        std::fs::write(application.path("config/gateway.php"), &one.code)?;
    }
    let component = block(blocks, "require __DIR__")?;
    for file in ["config/web.php", "config/console.php"] {
        application.insert(file, "", "'components' => [", Place::Behind, component)?;
    }
    let controller = "controllers/SiteController.php";
    let action = block(blocks, "TokenAction")?;
    application.insert(controller, "function actions()", "return [", Place::Behind, action)?;
    let widget = block(blocks, "GatewayWidget")?;
    application.insert("views/layouts/main.php", "", "<?php $this->endBody() ?>", Place::Before, widget)?;
    application.insert(controller, "class ", "{", Place::Behind, block(blocks, "actionComment")?)?;
    let index = application.path("views/site/index.php");
    let mut home = std::fs::read_to_string(&index)?;
    write!(home, "\n{}", block(blocks, "beginForm")?)?;
    Ok(std::fs::write(index, home)?)
}

async fn start_server(application: &Application, blocks: &[Fence]) -> anyhow::Result<Server> {
    let line = block(blocks, "--token-key-file")?.trim();
    let flags = line
        .strip_prefix(&format!("{CHECKOUT}/target/release/gateway-server "))
        .with_context(|| format!("{line} starts the server"))?;
    // The harness would otherwise choose free ports; these are the server's defaults.
    Server::start_with(|command| {
        command.args(flags.split(' ')).current_dir(application.folder.path());
        command.args(["--websocket", "0.0.0.0:8282", "--register", "127.0.0.1:1238,127.0.0.1:1236"]);
    })
    .await
}

async fn pages_of_101(wanted: usize) -> anyhow::Result<()> {
    let mut php = PhpPeer::connect("127.0.0.1:1238").await?;
    eventually("pages of user 101", wanted, async || Ok(php.clients_of("101").await?.len())).await
}

/// Opens a tab and logs user 101 in.
async fn log_in(browser: &Browser) -> anyhow::Result<Tab> {
    let tab = browser.open(&format!("{SITE}%2Flogin")).await?;
    tab.write("#loginform-username", "demo").await?;
    tab.write("#loginform-password", "demo").await?;
    tab.submit("#login-form button").await?;
    Ok(tab)
}

async fn the_quick_start_works(application: &Application, blocks: &[Fence]) -> anyhow::Result<()> {
    follow(application, blocks)?;
    let mut server = start_server(application, blocks).await?;
    let (_site, _) = ProcessGroup::start(application.shell(block(blocks, "yii serve")?), " started").await?;

    let browser = Browser::start().await?;
    let tab = log_in(&browser).await?;
    let other = browser.open(SITE).await?;
    pages_of_101(2).await?;

    tab.write("#comment input[name=text]", "<b>grüß").await?;
    tab.submit("#comment button").await?;
    other.shows("#comments li", &["<b>grüß"]).await?;
    pages_of_101(2).await?;
    let said = done(&mut application.shell(block(blocks, "gateway/send")?))?;
    assert_eq!(said.trim(), "Sent to 2 clients.");
    other.shows("#comments li", &["<b>grüß", "hello"]).await?;

    // The comment is saved and the page comes back, even if nobody can be told.
    server.signal(Signal::SIGKILL)?;
    server.exit().await?;
    tab.write("#comment input[name=text]", "nobody hears it").await?;
    tab.submit("#comment button").await?;
    tab.shows("#comment input[name=text]", &[""]).await?;
    let status = "return performance.getEntriesByType('navigation')[0].responseStatus";
    assert_eq!(tab.script(status, vec![]).await?, 200);
    let told = " was not sent: ";
    assert!(application.log().contains(told), "{}", application.log());
    Ok(())
}

#[test]
fn the_quick_start_works_as_printed() -> anyhow::Result<()> {
    const TEST: &str = "the_quick_start_works_as_printed";
    let Some(application) = Application::of(TEST)? else { return Ok(()) };
    let blocks = blocks(&page("README.md")?, "## Live pages in ten minutes")?;
    on_default_ports(TEST, async || the_quick_start_works(&application, &blocks).await)
}

#[test]
fn the_chinese_page_has_the_same_code() -> anyhow::Result<()> {
    let code = |page: &str, heading: &str| -> anyhow::Result<Vec<String>> {
        Ok(blocks(page, heading)?.into_iter().map(|block| block.code).collect())
    };
    assert_eq!(
        code(&page("README.md")?, "## Live pages in ten minutes")?,
        code(&page("README.zh-CN.md")?, "## 十分钟做出实时页面")?
    );
    Ok(())
}

/// What the project's README shows of these steps is what stands here.
#[test]
fn the_readme_shows_the_same_steps() -> anyhow::Result<()> {
    let readme = std::fs::read_to_string(root().join("README.md"))?;
    let part = readme.split("\n### Yii 2\n").nth(1).context("no part for Yii 2")?;
    let part = part.split("\n### ").next().unwrap_or_default();
    let blocks = blocks(&page("README.md")?, "## Live pages in ten minutes")?;
    let known: Vec<_> = blocks.iter().flat_map(|block| block.code.lines()).map(str::trim).collect();
    let shown: Vec<_> = fences(part).into_iter().map(|fence| fence.code).collect();
    let unknown: Vec<_> =
        shown.iter().flat_map(|code| code.lines()).filter(|line| !known.contains(&line.trim())).collect();
    assert_eq!(unknown, [WITHOUT_EXTENSION]);
    Ok(())
}

/// The README's line that has the application run without the extension.
const WITHOUT_EXTENSION: &str = "composer require workerman/gatewayclient";

async fn it_works_without_the_extension(application: &Application, blocks: &[Fence]) -> anyhow::Result<()> {
    std::fs::remove_file(application.path("machine/php/gateway.ini"))?;
    follow(application, blocks)?;
    done(&mut application.shell(WITHOUT_EXTENSION))?;
    let loaded = done(&mut application.shell("php -r 'echo extension_loaded(\"gateway\") ? 1 : 0;'"))?;
    assert_eq!(loaded, "0");
    let _server = start_server(application, blocks).await?;
    let (_site, _) = ProcessGroup::start(application.shell(block(blocks, "yii serve")?), " started").await?;
    let browser = Browser::start().await?;
    let tab = log_in(&browser).await?;
    let other = browser.open(SITE).await?;
    pages_of_101(2).await?;
    tab.write("#comment input[name=text]", "nothing was compiled").await?;
    tab.submit("#comment button").await?;
    other.shows("#comments li", &["nothing was compiled"]).await
}

#[test]
fn the_quick_start_works_without_the_extension() -> anyhow::Result<()> {
    const TEST: &str = "the_quick_start_works_without_the_extension";
    let Some(client) = std::env::var_os("GATEWAYCLIENT_PATH").filter(|path| !path.is_empty()) else {
        skip(TEST, "GATEWAYCLIENT_PATH names no workerman/gatewayclient");
        return Ok(());
    };
    let Some(application) = Application::of(TEST)? else { return Ok(()) };
    let client = PathBuf::from(client);
    let source =
        json!({"type": "path", "url": client, "options": {"versions": {"workerman/gatewayclient": "3.1.0"}}});
    done(&mut application.shell(&format!("composer config repositories.gatewayclient '{source}'")))?;
    let blocks = blocks(&page("README.md")?, "## Live pages in ten minutes")?;
    on_default_ports(TEST, async || it_works_without_the_extension(&application, &blocks).await)
}

async fn a_page_connects_whatever_its_handlers_are(
    application: &Application,
    blocks: &[Fence],
) -> anyhow::Result<()> {
    follow(application, blocks)?;
    let layout = "views/layouts/main.php";
    let more = "'gone' => 'showNothing', 'late' => 'later.show',";
    application.insert(layout, "'on' =>", "[", Place::Behind, more)?;
    let hears = "<script>window.said = []; console.error = text => said.push(text);</script>";
    application.insert(layout, "", "<?php $this->beginBody() ?>", Place::Behind, hears)?;
    let _server = start_server(application, blocks).await?;
    let (_site, _) = ProcessGroup::start(application.shell(block(blocks, "yii serve")?), " started").await?;

    let browser = Browser::start().await?;
    let tab = log_in(&browser).await?;
    pages_of_101(1).await?;
    let said = async |wanted: &[&str]| {
        let wanted: Vec<_> = wanted.iter().map(|line| format!("Gateway: the handler of {line}")).collect();
        eventually("the console", wanted, async || {
            Ok(serde_json::from_value(tab.script("return said", vec![]).await?)?)
        })
        .await
    };
    let push = |kind: &str| {
        let line = format!("php yii gateway/send '{{\"type\":\"{kind}\",\"text\":\"{kind}\"}}' --uid=101");
        done(&mut application.shell(&line))
    };
    let gone = r#"messages of type "gone" is no function of this page: showNothing is not defined"#;
    let late = r#"messages of type "late" is no function of this page: later is not defined"#;
    said(&[gone, late]).await?;
    push("gone")?;
    let came =
        r#"messages of type "gone" is no function, and something came for it: showNothing is not defined"#;
    said(&[gone, late, came]).await?;
    tab.script("window.later = {show: showComment}", vec![]).await?;
    push("late")?;
    push("comment")?;
    tab.shows("#comments li", &["late", "comment"]).await?;
    said(&[gone, late, came]).await
}

#[test]
fn a_handler_that_is_missing_or_comes_late_keeps_no_page_from_connecting() -> anyhow::Result<()> {
    const TEST: &str = "a_handler_that_is_missing_or_comes_late_keeps_no_page_from_connecting";
    let Some(application) = Application::of(TEST)? else { return Ok(()) };
    let blocks = blocks(&page("README.md")?, "## Live pages in ten minutes")?;
    on_default_ports(TEST, async || a_page_connects_whatever_its_handlers_are(&application, &blocks).await)
}

/// An application that has named the folder `php` since there was one package goes on, with the same classes, aliases and commands.
#[test]
fn the_folder_of_all_packages_is_one_package() -> anyhow::Result<()> {
    let Some(application) = Application::of("the_folder_of_all_packages_is_one_package")? else {
        return Ok(());
    };
    let run = |lines: &str| done(&mut application.shell(lines));
    run(&format!("composer config repositories.push-gateway path {CHECKOUT}/php"))?;
    run("composer require push-gateway/yii2-gateway:@dev")?;
    run(r#"php -r '
        require "vendor/autoload.php";
        require "vendor/yiisoft/yii2/Yii.php";
        $classes = ["GatewayFactory", "Webhook\\Webhook", "Worker\\Command", "Yii2\\Gateway", "Yii2\\test\\FakeInbox"];
        foreach ($classes as $class) {
            class_exists("PushGateway\\$class") || exit("there is no $class");
        }
        $extension = (require "vendor/yiisoft/extensions.php")["push-gateway/yii2-gateway"];
        class_exists($extension["bootstrap"]) || exit("there is no bootstrap");
        is_file($extension["alias"]["@PushGateway/Yii2"] . "/Gateway.php") || exit("the alias leads nowhere");
        is_file((new PushGateway\Yii2\GatewayAsset())->sourcePath . "/gateway.global.js") || exit("the asset leads nowhere");
        touch("all-is-there");
    '"#)?;
    assert!(application.path("all-is-there").exists());
    assert!(application.path("vendor/bin/gateway-worker").exists());
    Ok(())
}

/// The packages come from git repositories of their own, which are made as the page says.
#[test]
fn the_packages_come_from_a_git_server() -> anyhow::Result<()> {
    let Some(application) = Application::of("the_packages_come_from_a_git_server")? else { return Ok(()) };
    let folder = TempDir::with_prefix("gateway-test-split-")?;
    let (checkout, bare) = (folder.path().join("checkout"), folder.path().join("git"));
    let run = |lines: &str| {
        let lines = lines
            .replace(CHECKOUT, &checkout.display().to_string())
            .replace("git@example.com:", &format!("{}/", bare.display()));
        let mut command = application.shell(&lines);
        for role in ["AUTHOR", "COMMITTER"] {
            command
                .env(format!("GIT_{role}_NAME"), "test")
                .env(format!("GIT_{role}_EMAIL"), "test@localhost");
        }
        done(&mut command)
    };
    run(&format!(
        "for name in gateway gateway-worker yii2-gateway; do
            git init --quiet --bare --initial-branch main '{}'/$name.git
        done
        git init --quiet '{checkout}'; cd '{checkout}'
        cp -r '{root}/php' '{root}/scripts' '{root}/LICENSE' .; git add .; git commit --quiet -m all",
        bare.display(),
        checkout = checkout.display(),
        root = root().display(),
    ))?;
    for block in blocks(&page("README.md")?, "## Install the package")? {
        run(&block.code)?;
    }
    assert!(application.path("vendor/push-gateway/yii2-gateway/src/Gateway.php").exists());
    Ok(())
}
