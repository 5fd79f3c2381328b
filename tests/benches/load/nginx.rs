//! nginx: with nchan as a push server, and as a proxy with TLS in front of our server.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use gateway_tests::TestCertificate;

use crate::contender::peers;

/// The words with which nginx says that it is about to serve.
pub(crate) const READY: &str = "getrlimit(RLIMIT_NOFILE)";

pub(crate) struct Nginx {
    binary: PathBuf,
    nchan: PathBuf,
}

impl Nginx {
    /// Finds nginx below the folder in NGINX_PATH, among the other servers, or installed.
    pub(crate) fn find() -> Option<Self> {
        let given = std::env::var_os("NGINX_PATH").map(PathBuf::from);
        given.into_iter().chain([peers().join("nginx"), "/".into()]).find_map(|folder| {
            let binary = folder.join("usr/sbin/nginx");
            let nchan = folder.join("usr/lib/nginx/modules/ngx_nchan_module.so");
            binary.exists().then_some(Self { binary, nchan })
        })
    }

    pub(crate) fn has_nchan(&self) -> bool {
        self.nchan.exists()
    }

    /// Gives the command of an nginx with nchan.
    pub(crate) fn with_nchan(&self, address: SocketAddr, folder: &Path) -> anyhow::Result<Command> {
        let server = format!(
            "nchan_shared_memory_size 256M;
            server {{
                listen {address} backlog=4096;
                location ~ ^/subscribe/(.+)$ {{
                    nchan_subscriber websocket; nchan_channel_id $1; nchan_subscriber_first_message newest;
                }}
                location ~ ^/publish/(.+)$ {{
                    nchan_publisher http; nchan_channel_id $1; nchan_store_messages off;
                }}
            }}"
        );
        self.command(&format!("load_module {};", self.nchan.display()), &server, folder)
    }

    /// Gives the command of an nginx that speaks TLS and hands everything to the server at `behind`.
    pub(crate) fn in_front(
        &self,
        address: SocketAddr,
        behind: SocketAddr,
        certificate: &TestCertificate,
        folder: &Path,
    ) -> anyhow::Result<Command> {
        let (file, key) = (certificate.certificate.display(), certificate.key.display());
        let server = format!(
            "server {{
                listen {address} ssl backlog=4096;
                ssl_certificate {file}; ssl_certificate_key {key}; ssl_protocols TLSv1.3;
                location / {{
                    proxy_pass http://{behind}; proxy_http_version 1.1; proxy_read_timeout 1h;
                    proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;
                }}
            }}"
        );
        self.command("", &server, folder)
    }

    fn command(&self, modules: &str, server: &str, folder: &Path) -> anyhow::Result<Command> {
        let [config, scratch] = ["nginx.conf", "scratch"].map(|name| folder.join(name));
        let (folder, scratch) = (folder.display(), scratch.display());
        let as_root = if nix::unistd::geteuid().is_root() { "user root;" } else { "" };
        let limit = rlimit::getrlimit(rlimit::Resource::NOFILE)?.0;
        let text = format!(
            "{modules}
            daemon off; master_process off; {as_root} worker_rlimit_nofile {limit};
            pid {folder}/pid; error_log stderr notice;
            events {{ worker_connections {connections}; }}
            http {{
                access_log off; tcp_nodelay on; keepalive_requests 1000000000; keepalive_timeout 1h;
                client_body_temp_path {scratch}; proxy_temp_path {scratch}; fastcgi_temp_path {scratch};
                uwsgi_temp_path {scratch}; scgi_temp_path {scratch};
                {server}
            }}\n",
            connections = limit.min(100_000),
        );
        std::fs::File::create(&config)?.write_all(text.as_bytes())?;
        let mut command = Command::new(&self.binary);
        command.arg("-c").arg(config).args(["-e", "stderr"]);
        Ok(command)
    }
}
