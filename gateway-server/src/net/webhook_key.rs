//! The key by which a webhook tells that a request is of this server.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::system::Secret;

const PREFIX: &str = "whsec_";
/// The bytes that a key has, by Standard Webhooks.
const LENGTHS: std::ops::RangeInclusive<usize> = 24..=64;

/// A key for signatures.
#[derive(Clone)]
pub struct WebhookKey(Hmac<Sha256>);

impl WebhookKey {
    /// Reads a secret like `whsec_` and base64 of 24 to 64 bytes.
    pub fn from_secret(secret: &Secret) -> Result<Self, String> {
        let wrong = || {
            format!(
                "it must be {PREFIX} and base64 of {} to {} random bytes; this makes one: \
                 echo \"{PREFIX}$(head -c 32 /dev/urandom | base64)\"",
                LENGTHS.start(),
                LENGTHS.end()
            )
        };
        let text = secret.as_bytes().strip_prefix(PREFIX.as_bytes()).ok_or_else(wrong)?;
        let key = STANDARD.decode(text).map_err(|_| wrong())?;
        if !LENGTHS.contains(&key.len()) {
            return Err(wrong());
        }
        Hmac::new_from_slice(&key).map(Self).map_err(|error| error.to_string())
    }

    /// Gives the signature of a request, in base64.
    pub(crate) fn sign(&self, id: &str, time: u64, body: &[u8]) -> String {
        let mut mac = self.0.clone();
        mac.update(format!("{id}.{time}.").as_bytes());
        mac.update(body);
        STANDARD.encode(mac.finalize().into_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_signed_as_the_example_of_standard_webhooks() {
        let key = WebhookKey::from_secret(&Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")).unwrap();
        let body = b"{\"test\": 2432232314}";
        let signature = key.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body);
        assert_eq!(signature, "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn what_is_no_secret_is_refused_with_a_way_to_make_one() {
        for wrong in
            ["", "secret", "whsec_", "whsec_!!!", "whsec_c2hvcnQ=", &format!("whsec_{}", "A".repeat(88))]
        {
            let error = WebhookKey::from_secret(&Secret::new(wrong)).err().unwrap();
            assert!(error.contains("/dev/urandom"), "{wrong}: {error}");
        }
    }
}
