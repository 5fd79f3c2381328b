//! Limits on guesses of the secret: wrong guesses slow down the address that they come from, and no other.
//!
//! An address from which nobody has come with the secret gets its guesses compared one after the other: ten at once, then one a
//! second. Nobody there loses anything by waiting.
//!
//! An address from which somebody came with the secret is different. A stranger on the same machine or behind the same NAT must
//! not make that peer wait, as thousands of PHP processes may log in at once. Only the secret tells the two apart, so each guess
//! is compared at once, and the right secret passes at once. The answer to a wrong guess waits as long as the earlier wrong
//! guesses of the address require; when that would take too long, the guess is refused without saying whether it was compared. A
//! guesser can still conclude from not being let in at once that the guess was wrong, as fast as connections can be made. Against
//! a random secret of 16 bytes or more this is hopeless, and the server warns at its start of a shorter one. For a shorter secret
//! the comparisons are bounded too, and beyond the bound every peer of that address waits: the secret's safety matters more than
//! the wait.

use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use gateway_wire::token::MIN_SECRET;
use hashbrown::HashMap;

use crate::net::RateLimitKey;
use crate::system::Secret;

/// Wrong guesses of an address that get their answer: ten at once, then one a second.
const ANSWERED: Allowance = Allowance { at_once: 10.0, per_second: 1.0 };
/// Wrong guesses that are compared from an address where a peer knows the secret and the secret is short.
const LOOKED_AT: Allowance = Allowance { at_once: 1000.0, per_second: 20.0 };
/// Longest wait of a guess. A guess that would wait longer is refused: it is not compared, or it is not told the result.
const PATIENCE: Duration = Duration::from_secs(5);
/// Number of addresses whose guesses are counted separately; further addresses share one account.
const ACCOUNTS: usize = 65_536;
/// Time for which an address counts as one where a peer knows the secret, after a login with it.
const KNOWN: Duration = Duration::from_secs(24 * 3600);

/// The limits on guesses, for all protocols of the register port together.
pub struct LoginLimits {
    secret: Secret,
    accounts: Mutex<Accounts>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    WrongSecret,
    TooManyGuesses,
}

/// The outcome of one guess.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Right,
    /// The guess is wrong, and the peer is told so after this time.
    Wrong(Duration),
    /// The guess was not compared, and may be tried again after this time.
    Later(Duration),
    /// The guess is refused without saying whether it was compared.
    TooMany,
}

struct Accounts {
    guesses: HashMap<RateLimitKey, Account>,
    /// The time of the last login with the secret, by address.
    known: HashMap<RateLimitKey, Instant>,
    /// The time when accounts with full allowances were last removed to make room for others.
    closed_at: Instant,
}

/// A number of guesses at once, and a rate at which they come back, per second.
struct Allowance {
    at_once: f64,
    per_second: f64,
}

/// The rest of each allowance of an address. `answers` is below zero while peers wait for theirs.
struct Account {
    answers: f64,
    looks: f64,
    at: Instant,
}

impl LoginLimits {
    pub fn new(secret: Secret) -> Self {
        let accounts = Accounts { guesses: HashMap::new(), known: HashMap::new(), closed_at: Instant::now() };
        Self { secret, accounts: Mutex::new(accounts) }
    }

    /// True when the server has no secret, so that every peer is let in.
    pub(super) fn is_open(&self) -> bool {
        self.secret.is_empty()
    }

    /// Checks a peer's secret. `knows` compares what the peer sent with the secret, in constant time.
    pub(super) async fn check(
        &self,
        peer: Option<SocketAddr>,
        knows: impl Fn(&[u8]) -> bool,
    ) -> Result<(), Refused> {
        let is_right = || knows(self.secret.as_bytes());
        let key = peer.filter(|_| !self.is_open()).map(|peer| RateLimitKey::of(peer.ip()));
        // A peer on the unix socket has no address; the permissions of the socket's file say who may connect.
        let Some(key) = key else {
            return if is_right() { Ok(()) } else { Err(Refused::WrongSecret) };
        };
        let deadline = Instant::now() + PATIENCE;
        loop {
            let now = Instant::now();
            match self.guess(key, now, is_right) {
                Verdict::Right => return Ok(()),
                Verdict::Wrong(wait) => {
                    tokio::time::sleep(wait).await;
                    return Err(Refused::WrongSecret);
                }
                Verdict::Later(wait) if now + wait <= deadline => tokio::time::sleep(wait).await,
                Verdict::Later(_) | Verdict::TooMany => return Err(Refused::TooManyGuesses),
            }
        }
    }

    /// Lets `proof` compute a proof of the secret, for a peer that has shown that it knows it.
    pub(super) fn prove<T>(&self, proof: impl FnOnce(&[u8]) -> T) -> T {
        proof(self.secret.as_bytes())
    }

    fn guess(&self, key: RateLimitKey, now: Instant, is_right: impl Fn() -> bool) -> Verdict {
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        let is_known = accounts.knows(key, now);
        let account = accounts.of(key, now);
        let is_strong = self.secret.as_bytes().len() >= MIN_SECRET;
        let wait = match (is_known, is_strong) {
            (false, _) => ANSWERED.wait(account.answers),
            (true, false) => LOOKED_AT.wait(account.looks),
            (true, true) => Duration::ZERO,
        };
        if !wait.is_zero() {
            return Verdict::Later(wait);
        }
        if is_right() {
            accounts.remember(key, now);
            return Verdict::Right;
        }
        account.looks = (account.looks - 1.0).max(0.0);
        let wait = ANSWERED.wait(account.answers);
        if wait > PATIENCE {
            return Verdict::TooMany;
        }
        account.answers -= 1.0;
        Verdict::Wrong(wait)
    }
}

impl Accounts {
    fn knows(&self, key: RateLimitKey, now: Instant) -> bool {
        self.known.get(&key).is_some_and(|last| now.saturating_duration_since(*last) < KNOWN)
    }

    fn remember(&mut self, key: RateLimitKey, now: Instant) {
        if self.known.len() >= ACCOUNTS && !self.known.contains_key(&key) {
            self.known.retain(|_, last| now.saturating_duration_since(*last) < KNOWN);
        }
        if self.known.len() < ACCOUNTS || self.known.contains_key(&key) {
            self.known.insert(key, now);
        }
    }

    /// Gives the account of an address, or the shared account when there is no room for another.
    fn of(&mut self, key: RateLimitKey, now: Instant) -> &mut Account {
        let Self { guesses, closed_at, .. } = self;
        let mut has_place = guesses.len() < ACCOUNTS || guesses.contains_key(&key);
        if !has_place && now.saturating_duration_since(*closed_at) >= Duration::from_secs(1) {
            *closed_at = now;
            guesses.retain(|_, account| !account.refill(now));
            has_place = guesses.len() < ACCOUNTS;
        }
        let slot = if has_place { key } else { RateLimitKey::UNSPECIFIED };
        let account = guesses.entry(slot).or_insert(Account {
            answers: ANSWERED.at_once,
            looks: LOOKED_AT.at_once,
            at: now,
        });
        account.refill(now);
        account
    }
}

impl Refused {
    /// The error's text for the peer. `setting` names the place where PHP has its secret.
    pub(super) fn advice(self, setting: &str) -> String {
        match self {
            Self::WrongSecret => format!("wrong secret: {setting} must be the server's secret_key"),
            Self::TooManyGuesses => format!(
                "too many wrong secrets from this address: when {setting} is the server's secret_key, try again in a moment"
            ),
        }
    }
}

impl Allowance {
    fn refilled(&self, left: f64, seconds: f64) -> f64 {
        (left + seconds * self.per_second).min(self.at_once)
    }

    /// Time until one more guess is allowed.
    fn wait(&self, left: f64) -> Duration {
        if left >= 1.0 {
            return Duration::ZERO;
        }
        Duration::from_secs_f64((1.0 - left) / self.per_second + 0.001)
    }
}

impl Account {
    /// Adds what the time since the last call gives back. Gives true when both allowances are full, so that the account can be
    /// removed.
    fn refill(&mut self, now: Instant) -> bool {
        let seconds = now.saturating_duration_since(self.at).as_secs_f64();
        self.answers = ANSWERED.refilled(self.answers, seconds);
        self.looks = LOOKED_AT.refilled(self.looks, seconds);
        self.at = now;
        self.answers >= ANSWERED.at_once && self.looks >= LOOKED_AT.at_once
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WRONG: Verdict = Verdict::Wrong(Duration::ZERO);

    fn key(address: &str) -> RateLimitKey {
        RateLimitKey::of(address.parse().unwrap())
    }

    fn later(verdict: Verdict) -> Duration {
        let Verdict::Later(wait) = verdict else { panic!("{verdict:?}") };
        wait
    }

    #[test]
    fn an_address_that_guesses_has_to_wait() {
        let logins = LoginLimits::new(Secret::new("s3cr3t"));
        let (one, other) = (key("192.0.2.1"), key("192.0.2.2"));
        let start = Instant::now();
        for _ in 0..10 {
            assert_eq!(logins.guess(one, start, || false), WRONG);
        }
        let wait = later(logins.guess(one, start, || unreachable!("it is not its turn")));
        assert!(wait > Duration::from_millis(999) && wait < Duration::from_millis(1010), "{wait:?}");
        assert_eq!(logins.guess(other, start, || false), WRONG);
        assert_eq!(logins.guess(one, start + wait, || false), WRONG);
        later(logins.guess(one, start + wait, || true));
    }

    /// Counts the wrong guesses that are answered within the longest wait, and how often a peer beside them that knows the secret
    /// came in.
    fn guesses_beside_one_who_knows(secret: &str, count: usize) -> (usize, usize) {
        let logins = LoginLimits::new(Secret::new(secret));
        let (there, start) = (key("192.0.2.1"), Instant::now());
        assert_eq!(logins.guess(there, start, || true), Verdict::Right);
        let (mut answered, mut passed) = (0, 0);
        for _ in 0..count {
            answered += usize::from(matches!(logins.guess(there, start, || false), Verdict::Wrong(_)));
            passed += usize::from(logins.guess(there, start, || true) == Verdict::Right);
        }
        (answered, passed)
    }

    #[test]
    fn whoever_is_beside_one_who_knows_is_slowed_all_the_same() {
        // Ten are answered at once, and then one for each second of the longest wait.
        assert_eq!(guesses_beside_one_who_knows("a secret of many bytes", 5000), (14, 5000));
        // Guesses of a short secret are compared up to the bound, even if others wait for it.
        let (answered, passed) = guesses_beside_one_who_knows("s3cr3t", 5000);
        assert_eq!(answered, 14);
        assert!((999..=1000).contains(&passed), "{passed}");
    }

    #[test]
    fn the_waits_of_wrong_guesses_add_up() {
        let logins = LoginLimits::new(Secret::new("a secret of many bytes"));
        let (there, start) = (key("192.0.2.1"), Instant::now());
        assert_eq!(logins.guess(there, start, || true), Verdict::Right);
        for _ in 0..10 {
            assert_eq!(logins.guess(there, start, || false), WRONG);
        }
        for seconds in 1..5 {
            let Verdict::Wrong(wait) = logins.guess(there, start, || false) else { panic!("it may wait") };
            assert_eq!(wait.as_secs(), seconds);
        }
        assert_eq!(logins.guess(there, start, || false), Verdict::TooMany);
        // A login with the secret that is a day old counts no more.
        let tomorrow = start + KNOWN;
        for _ in 0..10 {
            assert_eq!(logins.guess(there, tomorrow, || false), WRONG);
        }
        later(logins.guess(there, tomorrow, || true));
    }

    #[test]
    fn addresses_without_number_share_an_account() {
        let logins = LoginLimits::new(Secret::new("s3cr3t"));
        let start = Instant::now();
        let guess = |number: u32, now| {
            logins.guess(RateLimitKey::of(std::net::Ipv4Addr::from_bits(number).into()), now, || false)
        };
        for number in 1..=ACCOUNTS as u32 + 10 {
            assert_eq!(guess(number, start), WRONG);
        }
        later(guess(u32::MAX, start));
        assert_eq!(guess(1, start), WRONG);
        // The accounts of addresses that have not come again are removed.
        assert_eq!(guess(u32::MAX, start + Duration::from_secs(20)), WRONG);
        assert_eq!(logins.accounts.lock().unwrap().guesses.len(), 1);
    }
}
