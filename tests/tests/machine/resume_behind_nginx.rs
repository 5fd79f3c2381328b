//! Pages behind nginx, over TLS, come back and miss nothing: while single connections are cut, nginx stands still, is killed and
//! started again, and the server stands still.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use gateway_tests::{
    COURSE_FLAGS, CutCourse, CuttingProxy, ProcessGroup, Rng, Road, Server, TestCertificate, course_messages,
    free_port, send_signal, skip,
};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::packaging::{is_installed, nginx};

const PAGES: usize = 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_doubled_through_nginx() -> anyhow::Result<()> {
    if !is_installed("nginx") {
        let reason = "nginx is not installed (Debian package nginx-light)";
        skip("nothing_is_lost_or_doubled_through_nginx", reason);
        return Ok(());
    }
    let mut server =
        Server::start(&[&COURSE_FLAGS, ["--trusted-proxies", "127.0.0.1"].as_slice()].concat()).await?;
    let (certificate, folder, address) = (TestCertificate::new()?, tempfile::tempdir()?, free_port()?);
    let start = async |server: SocketAddr, certificate: &TestCertificate, folder: &Path| {
        let nginx = nginx(folder, certificate, address.port(), server)?;
        Ok::<_, anyhow::Error>(ProcessGroup::start(nginx, "getrlimit(RLIMIT_NOFILE)").await?.0)
    };
    let mut process = Some(start(server.websocket, &certificate, folder.path()).await?);
    let proxy = CuttingProxy::start(address).await?;
    let road = Road { tls: Some(certificate), ..Road::plain(proxy) };
    let messages = course_messages(3000);
    let course = CutCourse { server: &mut server, road, pages: PAGES, messages, closes: true };
    course
        .run(async |server: &Server, road: &Road, rng: &mut Rng| {
            let time = Duration::from_millis(1 + rng.below(50) as u64);
            let stand_still = async |process: Pid| {
                send_signal(process, Signal::SIGSTOP)?;
                tokio::time::sleep(time).await;
                Ok(kill(process, Signal::SIGCONT)?)
            };
            match (rng.below(3), &process, &road.tls) {
                (0, Some(nginx), _) => stand_still(Pid::from_raw(nginx.leader().cast_signed())).await,
                (1, _, Some(certificate)) => {
                    // This kills it, with all connections that it carries.
                    process = None;
                    process = Some(start(server.websocket, certificate, folder.path()).await?);
                    Ok(())
                }
                _ => stand_still(server.pid()?).await,
            }
        })
        .await?;
    Ok(())
}
