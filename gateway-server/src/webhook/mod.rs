//! The webhook: a program of the application that is told over HTTP what has become of messages in the inbox.
//!
//! Requests are signed as Standard Webhooks has it (<https://www.standardwebhooks.com>), for which there are libraries in many languages.
//! A request that is not answered by 2xx is sent again, so a notice may come twice; the id of the request is then the same.

mod connection;
mod content;

use std::time::Duration;

use bytes::Bytes;
use hyper::StatusCode;

use crate::config::Settings;
use crate::inbox::notices::Notice;
use crate::net::WebhookKey;
use crate::telemetry::clock;
use connection::Connector;

/// Time for one request and its answer, with the connection.
const TIME: Duration = Duration::from_secs(10);

/// Why a webhook does not have the notices.
#[derive(Debug, thiserror::Error)]
pub enum NotTold {
    #[error("it cannot be reached: {0}")]
    Unreachable(String),
    #[error("it has not answered within {TIME:?}")]
    Silent,
    #[error("it answers {0}")]
    Refused(StatusCode),
}

/// The webhook, with its connection.
pub struct Webhook {
    key: WebhookKey,
    connector: Connector,
}

impl Webhook {
    /// Makes the webhook that the settings name, if they name one. It connects when it is used.
    ///
    /// # Errors
    ///
    /// Names the setting that is wrong, and says why.
    pub fn of(settings: &Settings) -> Result<Option<Self>, String> {
        let Some(address) = settings.webhook_url.clone() else { return Ok(None) };
        let key = WebhookKey::from_secret(&settings.webhook_secret);
        let connector = Connector::new(address, settings.webhook_tls_ca.as_deref());
        Ok(Some(Self {
            key: key.map_err(|reason| format!("webhook_secret: {reason}"))?,
            connector: connector.map_err(|reason| format!("webhook_tls_ca: {reason}"))?,
        }))
    }

    /// Tells the program, and waits for its answer.
    pub async fn tell(&mut self, notices: &[Notice]) -> Result<(), NotTold> {
        let id = content::id(notices);
        let body = Bytes::from(content::body(notices, &clock::in_words()));
        let time = clock::seconds_since_epoch();
        let signature = self.key.sign(&id, time, &body);
        let headers = [
            ("webhook-id", id),
            ("webhook-timestamp", time.to_string()),
            ("webhook-signature", format!("v1,{signature}")),
        ];
        match tokio::time::timeout(TIME, self.connector.post(&headers, body)).await {
            Ok(answered) => match answered.map_err(NotTold::Unreachable)? {
                status if status.is_success() => Ok(()),
                status => Err(NotTold::Refused(status)),
            },
            Err(_) => Err(NotTold::Silent),
        }
    }
}
