//! A NATS server that knows its users by signed statements and keys, which `nsc` makes for it.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use gateway_tests::{Client, Nats, PhpPeer, SECRET, Server, new_producer};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};

const OPERATOR: u8 = 14 << 3;
const ACCOUNT: u8 = 0;
const USER: u8 = 20 << 3;
const SEED: u8 = 18 << 3;

/// An nkey: <https://docs.nats.io/running-a-nats-service/configuration/securing_nats/auth_intro/nkey_auth>.
struct Key {
    kind: u8,
    seed: [u8; 32],
    pair: Ed25519KeyPair,
}

impl Key {
    fn new(kind: u8, seed: u8) -> Self {
        let seed = [seed; 32];
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).expect("32 bytes are a seed");
        Self { kind, seed, pair }
    }

    fn public(&self) -> String {
        with_checksum([&[self.kind][..], self.pair.public_key().as_ref()].concat())
    }

    fn seed(&self) -> String {
        with_checksum([&[SEED | self.kind >> 5, (self.kind & 31) << 3][..], &self.seed].concat())
    }

    /// Makes a signed statement about another key.
    fn states(&self, of: &Key, nats: Value) -> String {
        let encode = |value: Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let claims = json!({"jti": "1", "iat": 1, "iss": self.public(), "name": "test", "sub": of.public(), "nats": nats});
        let text = format!("{}.{}", encode(json!({"typ": "JWT", "alg": "ed25519-nkey"})), encode(claims));
        let signature = BASE64_URL_SAFE_NO_PAD.encode(self.pair.sign(text.as_bytes()));
        format!("{text}.{signature}")
    }
}

fn with_checksum(mut bytes: Vec<u8>) -> String {
    let crc = bytes.iter().fold(0u16, |crc, byte| {
        (0..8).fold(
            crc ^ u16::from(*byte) << 8,
            |crc, _| if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 },
        )
    });
    bytes.extend(crc.to_le_bytes());
    let bits: Vec<u8> = bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1)).collect();
    let letter = |five: &[u8]| {
        let value = (0..5).fold(0, |value, bit| value << 1 | five.get(bit).copied().unwrap_or(0));
        char::from(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"[usize::from(value)])
    };
    bits.chunks(5).map(letter).collect()
}

#[tokio::test]
async fn a_file_of_credentials_lets_a_node_in() -> anyhow::Result<()> {
    let (operator, account, user) = (Key::new(OPERATOR, 1), Key::new(ACCOUNT, 2), Key::new(USER, 3));
    let limits = json!({"subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true, "conn": -1, "leaf": -1});
    let of_operator = operator.states(&operator, json!({"type": "operator", "version": 2}));
    let of_account = operator.states(&account, json!({"limits": limits, "type": "account", "version": 2}));
    // The user may publish and subscribe only to this cluster's subjects.
    let allowed = json!({"allow": ["gateway.gateway.>"]});
    let of_user = account.states(
        &user,
        json!({"pub": allowed, "sub": allowed, "subs": -1, "data": -1, "payload": -1, "type": "user", "version": 2}),
    );

    let folder = tempfile::tempdir()?;
    let config = folder.path().join("nats.conf");
    std::fs::write(
        &config,
        format!(
            "operator: {of_operator}\nresolver: MEMORY\nresolver_preload: {{ {}: {of_account} }}\n",
            account.public()
        ),
    )?;
    let path = config.display().to_string();
    let Some(nats) = Nats::start_with("a_file_of_credentials_lets_a_node_in", &["-c", &path]).await? else {
        return Ok(());
    };
    let credentials = |name: &str, key: &Key| {
        let file = folder.path().join(name);
        let text = format!(
            "-----BEGIN NATS USER JWT-----\n{of_user}\n------END NATS USER JWT------\n\n\
             -----BEGIN USER NKEY SEED-----\n{}\n------END USER NKEY SEED------\n",
            key.seed()
        );
        std::fs::write(&file, text).map(|()| file)
    };
    let start = async |file: std::path::PathBuf| {
        Server::start_with(|command| {
            command.args(["--cluster-nats", &nats.url(), "--cluster-credentials"]).arg(file);
            command.env("GATEWAY_SECRET_KEY", SECRET);
        })
        .await
    };
    let right = credentials("right.creds", &user)?;
    let (one, two) = (start(right.clone()).await?, start(right).await?);
    let mut php = PhpPeer::connect_as(one.register[0], new_producer(), SECRET.as_bytes()).await?;
    let mut client = Client::connect(two.websocket).await?;
    php.bind(client.id, "ann").await?;
    php.send_to_uid("ann", "with credentials").await?;
    assert_eq!(client.text().await?, "with credentials");

    let alone = start(credentials("wrong.creds", &Key::new(USER, 4))?).await?;
    let mut php = PhpPeer::connect_as(alone.register[0], new_producer(), SECRET.as_bytes()).await?;
    let error = php.count().await.unwrap_err().to_string();
    assert!(error.contains("Authorization Violation"), "{error}");
    Ok(())
}
