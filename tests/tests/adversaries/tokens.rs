//! Clients with connect tokens that are forged, expired or already used.

use anyhow::ensure;
use gateway_tests::Client;
use gateway_wire::token::{Claims, TokenKey};
use tokio::io::AsyncWriteExt as _;

use super::{REQUEST, connect, during, in_batches, rest};

#[tokio::test]
async fn tokens_that_are_replayed_or_too_old() -> anyhow::Result<()> {
    let key = TokenKey::new(b"a key");
    let expires = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs() + 600;
    let claims = Claims { uid: "victim".to_owned(), expires, ..Claims::default() };
    let once = key.mint(&Claims { once: Some("x".to_owned()), ..claims.clone() })?;
    let old = key.mint(&Claims { expires: expires - 700, ..claims })?;
    let forged = format!("{}x", &once[..once.len() - 1]);
    during("3,000 with bad tokens", &[], async |server, _| {
        // This is the honest client to whom the token belongs; it uses the token first.
        let path = |token: &str| format!("/?token={token}");
        let _owner = Client::shake_hands(server.websocket, &path(&once), &[]).await?;
        in_batches(3000, async |number| {
            let token = [&once, &old, &forged][number % 3];
            let mut socket = connect(server.websocket).await?;
            let request = String::from_utf8_lossy(REQUEST).replacen("/", &path(token), 1);
            socket.write_all(request.as_bytes()).await?;
            let answer = rest(&mut socket).await;
            ensure!(
                answer
                    .windows(4)
                    .any(|bytes| bytes[..2] == [0x88, 15] || bytes[2..] == 4401_u16.to_be_bytes())
            );
            ensure!(!answer.windows(6).any(|bytes| bytes == b"\"init\""));
            Ok(())
        })
        .await
        .map(drop)
    })
    .await
}
