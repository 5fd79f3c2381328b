//! The opening of a bridge connection: preface, nonce, proof of the secret.

use std::net::SocketAddr;
use std::time::Duration;

use gateway_wire::bridge::{self, Login, NONCE_BYTES, Proof, Reply, frame};
use tokio::io::AsyncReadExt as _;

use super::Bridge;
use super::io::{Connection, Ended};

/// Checks the login of a peer whose first preface byte was read already. Gives the login and the proof that this server knows the
/// secret too, which the welcome carries.
pub(super) async fn login(
    connection: &mut Connection,
    peer: Option<SocketAddr>,
    bridge: &Bridge,
    timeout: Duration,
) -> Result<(Login, Proof), Ended> {
    match tokio::time::timeout(timeout, exchange(connection, peer, bridge)).await {
        Ok(result) => result,
        Err(_) => {
            Err(Ended::Refused(format!("the login was not done within {timeout:?} (handshake_timeout)")))
        }
    }
}

async fn exchange(
    connection: &mut Connection,
    peer: Option<SocketAddr>,
    bridge: &Bridge,
) -> Result<(Login, Proof), Ended> {
    let mut preface = bridge::PREFACE;
    connection.socket.read_exact(&mut preface[1..]).await?;
    bridge::check_preface(preface).map_err(|error| Ended::Refused(error.to_string()))?;

    let mut nonce = [0; NONCE_BYTES];
    getrandom::fill(&mut nonce).map_err(|error| Ended::Refused(format!("no random numbers: {error}")))?;
    connection.reply(&Reply::Hello { nonce, instance: bridge.instance() });
    connection.flush().await?;

    let content = connection.next_frame(frame::MAX_LOGIN).await?;
    let login = Login::decode(&content).map_err(|error| Ended::Refused(format!("a bad login: {error}")))?;
    if ![Login::PHP, Login::WORKER].contains(&&*login.role) {
        return Err(Ended::Refused("the login has a role that is not known here".to_owned()));
    }
    bridge.logins.check(peer, |secret| login.knows(secret, &nonce)).await.map_err(Ended::Login)?;
    let proof = bridge.logins.prove(|secret| login.gateway_proof(secret, &nonce));
    Ok((login, proof))
}
