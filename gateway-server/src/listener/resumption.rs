//! A page that asks to be the client that was here before: it shows a resume secret, in the query or among the subprotocols.

use std::future::Future;

use bytes::Bytes;
use gateway_wire::client_protocol::{GapReason, ResumeOffer};
use tokio_tungstenite::tungstenite::handshake::server::Request;

use super::newcomer::Newcomer;
use super::token::{TokenVerifier, protocols};
use crate::service::NotFound;

/// Finds and ends the clients that pages ask for.
pub trait ClientRegistry {
    /// Says whether a page may come back by this offer, and the uid that a token beside it must name, or the reason why not.
    fn find(&self, offer: &ResumeOffer) -> impl Future<Output = Result<Option<Bytes>, NotFound>> + Send;

    /// Whether the client has kept the slot of the connection that it has lost.
    fn has_slot(&self, offer: &ResumeOffer) -> bool;

    /// Makes it impossible for the client to come back, as somebody else has come with its secret.
    fn disown(&self, offer: &ResumeOffer) -> impl Future<Output = ()> + Send;
}

/// What became of the wish to resume.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Resumption {
    /// The page has not asked for a client, so it becomes a new one.
    #[default]
    NotAsked,
    /// The page is the client of this offer.
    Good(ResumeOffer),
    /// The page becomes a new client, and is told the reason.
    Gap(GapReason),
    /// The page is asked to try again, as nobody can say now whether its offer is good.
    NotNow(ResumeOffer),
}

impl Resumption {
    /// Looks whether the page of a request is the client that it asks for. A token beside the secret has to be signed and of the
    /// uid that the client's own token has named, or without one of the uid that it is bound to; whether it has expired or was used does not matter. With a token of another uid the client cannot be resumed any
    /// more, as somebody else has its secret. After too many wrong secrets from an address, those from there are not looked at.
    pub(super) async fn of(
        request: &Request,
        token: Option<&str>,
        token_verifier: &TokenVerifier,
        clients: &impl ClientRegistry,
        newcomer: &impl Newcomer,
    ) -> Self {
        let offer = match offer(request) {
            None => return Self::NotAsked,
            Some(Err(())) => return Self::Gap(GapReason::Unknown),
            Some(Ok(offer)) => offer,
        };
        if !newcomer.may_show_secret() {
            return Self::Gap(GapReason::Unknown);
        }
        let uid = match clients.find(&offer).await {
            Err(NotFound::NotNow(_)) => return Self::NotNow(offer),
            Err(NotFound::Gap(reason)) => {
                if reason == GapReason::Unknown {
                    newcomer.has_shown_wrong_secret();
                }
                return Self::Gap(reason);
            }
            Ok(uid) => uid,
        };
        let Some(token) = token else { return Self::Good(offer) };
        match token_verifier.uid_of(token) {
            Some(signed) if uid.as_deref() == Some(signed.as_bytes()) => Self::Good(offer),
            Some(_) => {
                clients.disown(&offer).await;
                Self::Gap(GapReason::Identity)
            }
            // The token is refused for its own fault, which is not the client's.
            None => Self::Gap(GapReason::Identity),
        }
    }
}

/// The offer of a request, or an error if it is malformed or there are several.
fn offer(request: &Request) -> Option<Result<ResumeOffer, ()>> {
    let query = request.uri().query().unwrap_or_default();
    let parameter = |name: &str| query.split('&').find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
    let by_query = parameter("resume").map(|resume| {
        ResumeOffer::from_parameters(resume, parameter("seen").unwrap_or_default()).map_err(drop)
    });
    let by_protocol =
        protocols(request).filter_map(ResumeOffer::from_subprotocol).map(|offer| offer.map_err(drop));
    let mut offers = by_protocol.chain(by_query);
    let first = offers.next()?;
    Some(if offers.next().is_some() { Err(()) } else { first })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use gateway_wire::ClientId;
    use gateway_wire::client_protocol::ResumeSecret;

    use super::super::refusal::Refusal;
    use super::*;

    #[test]
    fn an_offer_stands_in_the_query_or_among_the_subprotocols() {
        let secret = format!("7f00000104d600000007{}", "ab".repeat(16));
        let read = |query: &str, protocol: &str| {
            let mut request = Request::new(());
            *request.uri_mut() = format!("/?{query}").parse().unwrap();
            request.headers_mut().insert("sec-websocket-protocol", protocol.parse().unwrap());
            offer(&request).map(|offer| offer.map(|offer| offer.seen))
        };
        assert_eq!(read("x=1", "gateway.2, gateway"), None);
        assert_eq!(read(&format!("a=b&resume={secret}&seen=7"), "gateway.2"), Some(Ok(7)));
        assert_eq!(read("", &format!("gateway.2, gateway.resume.{secret}.9")), Some(Ok(9)));
        assert_eq!(
            read(&format!("resume={secret}&seen=7"), &format!("gateway.2, gateway.resume.{secret}.9")),
            Some(Err(()))
        );
        assert_eq!(read(&format!("resume={secret}"), "gateway.2"), Some(Err(())));
        assert_eq!(read("resume=x&seen=1", "gateway.2"), Some(Err(())));
        assert_eq!(read("", "gateway.2, gateway.resume.x"), Some(Err(())));
    }
    /// One client that may come back, those who look for it, and a bound on those that look in vain.
    struct Guessed {
        secret: ResumeOffer,
        looked: AtomicUsize,
        wrong: AtomicUsize,
    }

    impl ClientRegistry for Guessed {
        async fn find(&self, offer: &ResumeOffer) -> Result<Option<Bytes>, NotFound> {
            self.looked.fetch_add(1, Ordering::Relaxed);
            let is_good = offer.secret == self.secret.secret;
            if is_good { Ok(None) } else { Err(GapReason::Unknown.into()) }
        }

        fn has_slot(&self, _offer: &ResumeOffer) -> bool {
            true
        }

        async fn disown(&self, _offer: &ResumeOffer) {}
    }

    impl Newcomer for Guessed {
        fn admit(&mut self, _request: &Request) -> Result<Option<Refusal>, Refusal> {
            Ok(None)
        }

        fn may_show_secret(&self) -> bool {
            self.wrong.load(Ordering::Relaxed) < 3
        }

        fn has_shown_wrong_secret(&self) {
            self.wrong.fetch_add(1, Ordering::Relaxed);
        }

        async fn may_find_room(&self, _full: &Refusal) -> bool {
            false
        }

        async fn make_room(&mut self) -> Result<(), Refusal> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn beyond_the_bound_no_secret_is_looked_at() {
        let client = ClientId::new("127.0.0.1:1238".parse().unwrap(), 7);
        let good = ResumeOffer { secret: ResumeSecret::new(client, [7; 16]), seen: 0 };
        let guessed = Guessed { secret: good, looked: 0.into(), wrong: 0.into() };
        let come = async |offer: ResumeOffer| {
            let mut request = Request::new(());
            *request.uri_mut() =
                format!("/?resume={}&seen={}", offer.secret.to_text(), offer.seen).parse().unwrap();
            Resumption::of(&request, None, &TokenVerifier::open(), &guessed, &guessed).await
        };
        let made_up = |number| ResumeOffer { secret: ResumeSecret::new(client, [number; 16]), seen: 0 };
        for number in 0..3 {
            assert_eq!(come(good).await, Resumption::Good(good));
            assert_eq!(come(made_up(number)).await, Resumption::Gap(GapReason::Unknown));
        }
        assert_eq!(guessed.looked.load(Ordering::Relaxed), 6);
        for offer in [made_up(9), good] {
            assert_eq!(come(offer).await, Resumption::Gap(GapReason::Unknown));
        }
        let counted = [&guessed.looked, &guessed.wrong].map(|count| count.load(Ordering::Relaxed));
        assert_eq!(counted, [6, 3]);
    }
}
