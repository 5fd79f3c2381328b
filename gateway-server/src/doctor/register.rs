//! The register port, at which the doctor logs in as a PHP process does.

use std::fmt;

use gateway_wire::bridge::frame::{self, HEADER, MAX_LOGIN};
use gateway_wire::bridge::{self, NONCE_BYTES, PREFACE, Producer, Reply};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use super::finding::Finding;
use super::reach::{PATIENCE, reachable};
use crate::config::Settings;

/// What has come of a login at one of the register's addresses.
pub(super) struct Login {
    at: String,
    pub(super) outcome: Result<(), LoginProblem>,
}

pub(super) enum LoginProblem {
    /// Nobody accepts connections there.
    Closed(String),
    /// Something accepts connections, and says nothing to the preface.
    Silent,
    /// Something answers that is no gateway.
    Foreign(String),
    /// The gateway refuses the login, in its own words.
    Refused(String),
    /// The gateway does not know the secret.
    Unproven,
}

impl fmt::Display for LoginProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed(error) => f.write_str(error),
            Self::Silent => {
                f.write_str("something accepts connections there, and does not answer as a gateway")
            }
            Self::Foreign(said) => write!(f, "what answers there is no gateway-server: {said}"),
            Self::Refused(said) => write!(f, "the gateway refuses PHP: {said}"),
            Self::Unproven => f.write_str("what answers there does not know the secret_key"),
        }
    }
}

/// Logs in at all addresses of the register.
pub(super) async fn log_in(settings: &Settings) -> Vec<Login> {
    let secret = settings.secret_key.as_bytes();
    let mut logins = Vec::new();
    for address in settings.register.iter().filter(|address| address.port() != 0) {
        let socket = timeout(PATIENCE, TcpStream::connect(reachable(*address))).await;
        let outcome = match socket {
            Ok(Ok(socket)) => at(socket, secret).await,
            Ok(Err(error)) => Err(LoginProblem::Closed(error.to_string())),
            Err(_) => Err(LoginProblem::Closed(format!("nothing accepts connections within {PATIENCE:?}"))),
        };
        logins.push(Login { at: address.to_string(), outcome });
    }
    if let Some(path) = &settings.register_unix {
        let outcome = match timeout(PATIENCE, UnixStream::connect(path)).await {
            Ok(Ok(socket)) => at(socket, secret).await,
            Ok(Err(error)) => Err(LoginProblem::Closed(error.to_string())),
            Err(_) => Err(LoginProblem::Closed(format!("nothing accepts connections within {PATIENCE:?}"))),
        };
        logins.push(Login { at: path.display().to_string(), outcome });
    }
    logins
}

/// The findings of these logins. `is_running` says whether a server was found.
pub(super) fn look(logins: &[Login], is_running: bool) -> Vec<Finding> {
    let of = |login: &Login| {
        let at = &login.at;
        let problem = match &login.outcome {
            Ok(()) => return Some(Finding::ok("register", format!("PHP can log in at {at}"))),
            // The check of ports tells of it where a server runs.
            Err(LoginProblem::Closed(_)) if is_running => return None,
            Err(LoginProblem::Closed(_)) => {
                return Some(Finding::skipped("register", format!("nothing listens at {at} yet")));
            }
            Err(problem) => problem,
        };
        let advice = match problem {
            LoginProblem::Refused(_) | LoginProblem::Unproven => {
                "have the same secret_key in the server's settings and in PHP (gateway.secret_key), then restart what changed"
            }
            _ => {
                "stop what listens there, such as GatewayWorker's Register, or give register another address"
            }
        };
        Some(Finding::mend("register", format!("{at}: {problem}"), advice))
    };
    logins.iter().filter_map(of).collect()
}

async fn at(mut stream: impl AsyncRead + AsyncWrite + Unpin, secret: &[u8]) -> Result<(), LoginProblem> {
    timeout(PATIENCE, handshake(&mut stream, secret)).await.unwrap_or(Err(LoginProblem::Silent))
}

async fn handshake(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    secret: &[u8],
) -> Result<(), LoginProblem> {
    let lost = |error: std::io::Error| LoginProblem::Foreign(error.to_string());
    stream.write_all(&PREFACE).await.map_err(lost)?;
    let mut input = Vec::new();
    let nonce = match reply(stream, &mut input).await? {
        Reply::Hello { nonce, .. } => nonce,
        Reply::Error { message, .. } => return Err(LoginProblem::Refused(message)),
        _ => return Err(LoginProblem::Foreign("it greets otherwise".to_owned())),
    };
    let (mut own, mut producer) = ([0; NONCE_BYTES], [0; 16]);
    let drawn = getrandom::fill(&mut own).and_then(|()| getrandom::fill(&mut producer));
    drawn.map_err(|error| LoginProblem::Closed(format!("no random numbers: {error}")))?;
    let login = bridge::Login::new(bridge::Login::PHP, Producer(producer), secret, &nonce, own);
    let mut encoded = Vec::new();
    login.encode(&mut encoded).map_err(|error| LoginProblem::Closed(error.to_string()))?;
    stream.write_all(&encoded).await.map_err(lost)?;
    match reply(stream, &mut input).await? {
        Reply::Welcome { proof, .. } if !secret.is_empty() && !login.is_answered(secret, &nonce, &proof) => {
            Err(LoginProblem::Unproven)
        }
        Reply::Welcome { .. } => Ok(()),
        Reply::Error { message, .. } => Err(LoginProblem::Refused(message)),
        _ => Err(LoginProblem::Foreign("it answers the login otherwise".to_owned())),
    }
}

/// Reads the next reply. The frames of a handshake have [`MAX_LOGIN`] bytes at most.
async fn reply(stream: &mut (impl AsyncRead + Unpin), input: &mut Vec<u8>) -> Result<Reply, LoginProblem> {
    let foreign = |input: &[u8]| LoginProblem::Foreign(format!("{:?}", gateway_wire::excerpt(input)));
    loop {
        match frame::content_length(input, MAX_LOGIN) {
            Ok(Some(length)) => {
                let reply = Reply::decode(&input[HEADER..HEADER + length]).map_err(|_| foreign(input))?;
                input.drain(..HEADER + length);
                return Ok(reply);
            }
            Ok(None) => {}
            Err(_) => return Err(foreign(input)),
        }
        match stream.read_buf(input).await {
            Ok(0) if input.is_empty() => {
                return Err(LoginProblem::Foreign("it closes the connection".to_owned()));
            }
            Ok(0) => return Err(foreign(input)),
            Ok(_) => {}
            Err(error) => return Err(LoginProblem::Foreign(error.to_string())),
        }
    }
}
