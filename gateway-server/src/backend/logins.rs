//! Who may try the secret, and how fast: wrong guesses cost an address time.

use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use hashbrown::{HashMap, HashSet};

use crate::listener::Customer;
use crate::ops::config::Secret;

/// Wrong guesses that an address may make at once, and then in a second.
const AT_ONCE: f64 = 10.0;
const PER_SECOND: f64 = 1.0;
/// A guess that has to wait longer is not looked at.
const PATIENCE: Duration = Duration::from_secs(5);
/// Addresses whose guesses are counted; the others share one account.
const ACCOUNTS: usize = 65_536;

/// For all protocols of the register port.
pub struct Logins {
    secret: Secret,
    accounts: Mutex<Accounts>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    WrongSecret,
    TooManyGuesses,
}

struct Accounts {
    guesses: HashMap<Customer, Account>,
    /// Somebody there knows the secret: one who does not must not make him wait.
    known: HashSet<Customer>,
    /// When those that have nothing to wait for were closed last, for others to have a place.
    closed_at: Instant,
}

struct Account {
    left: f64,
    at: Instant,
}

impl Logins {
    pub fn new(secret: Secret) -> Self {
        let accounts = Accounts { guesses: HashMap::new(), known: HashSet::new(), closed_at: Instant::now() };
        Self { secret, accounts: Mutex::new(accounts) }
    }

    /// Whether everybody may come.
    pub(super) fn is_open(&self) -> bool {
        self.secret.is_empty()
    }

    /// `knows` compares what a peer brought with the secret. It is not asked before it is the peer's turn, so that nobody learns
    /// by impatience.
    pub(super) async fn check(
        &self,
        peer: Option<SocketAddr>,
        knows: impl Fn(&[u8]) -> bool,
    ) -> Result<(), Refused> {
        let customer = peer.filter(|_| !self.is_open()).map(|peer| Customer::of(peer.ip()));
        // Whoever may open the unix socket is trusted by the file system.
        let Some(customer) = customer else { return self.compare(knows) };
        let deadline = Instant::now() + PATIENCE;
        loop {
            let now = Instant::now();
            match self.guess(customer, now, || self.compare(&knows)) {
                Ok(verdict) => return verdict,
                Err(wait) if now + wait > deadline => return Err(Refused::TooManyGuesses),
                Err(wait) => tokio::time::sleep(wait).await,
            }
        }
    }

    /// What `proof` makes of the secret, for a peer that has shown that it knows it.
    pub(super) fn prove<T>(&self, proof: impl FnOnce(&[u8]) -> T) -> T {
        proof(self.secret.as_bytes())
    }

    fn compare(&self, knows: impl Fn(&[u8]) -> bool) -> Result<(), Refused> {
        if knows(self.secret.as_bytes()) { Ok(()) } else { Err(Refused::WrongSecret) }
    }

    /// Or how long that address has to wait.
    fn guess(
        &self,
        customer: Customer,
        now: Instant,
        compare: impl Fn() -> Result<(), Refused>,
    ) -> Result<Result<(), Refused>, Duration> {
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        let Accounts { guesses, known, closed_at } = &mut *accounts;
        if known.contains(&customer) {
            return Ok(compare());
        }
        let mut has_place = guesses.len() < ACCOUNTS || guesses.contains_key(&customer);
        if !has_place && now.saturating_duration_since(*closed_at) >= Duration::from_secs(1) {
            *closed_at = now;
            guesses.retain(|_, account| account.refill(now) < AT_ONCE);
            has_place = guesses.len() < ACCOUNTS;
        }
        let place = if has_place { customer } else { Customer::UNSPECIFIED };
        let account = guesses.entry(place).or_insert(Account { left: AT_ONCE, at: now });
        if account.refill(now) < 1.0 {
            return Err(Duration::from_secs_f64((1.0 - account.left) / PER_SECOND + 0.001));
        }
        let verdict = compare();
        if verdict.is_ok() {
            if known.len() < ACCOUNTS {
                known.insert(customer);
            }
        } else {
            account.left -= 1.0;
        }
        Ok(verdict)
    }
}

impl Refused {
    /// `setting` is where PHP has the secret.
    pub(super) fn advice(self, setting: &str) -> String {
        match self {
            Self::WrongSecret => format!("wrong secret: {setting} must be the server's secret_key"),
            Self::TooManyGuesses => format!(
                "too many wrong secrets from this address: when {setting} is the server's secret_key, try again in a moment"
            ),
        }
    }
}

impl Account {
    fn refill(&mut self, now: Instant) -> f64 {
        let gained = now.saturating_duration_since(self.at).as_secs_f64() * PER_SECOND;
        self.left = (self.left + gained).min(AT_ONCE);
        self.at = now;
        self.left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WRONG: Result<(), Refused> = Err(Refused::WrongSecret);

    fn customer(address: &str) -> Customer {
        Customer::of(address.parse().unwrap())
    }

    #[test]
    fn an_address_that_guesses_has_to_wait() {
        let logins = Logins::new(Secret::default());
        let (one, other) = (customer("192.0.2.1"), customer("192.0.2.2"));
        let start = Instant::now();
        for _ in 0..10 {
            assert_eq!(logins.guess(one, start, || WRONG), Ok(WRONG));
        }
        let wait = logins.guess(one, start, || unreachable!("it is not its turn")).unwrap_err();
        assert!(wait > Duration::from_millis(999) && wait < Duration::from_millis(1010), "{wait:?}");
        assert_eq!(logins.guess(other, start, || WRONG), Ok(WRONG));
        assert_eq!(logins.guess(one, start + wait, || WRONG), Ok(WRONG));
        logins.guess(one, start + wait, || WRONG).unwrap_err();
        // From then on somebody there is known.
        assert_eq!(logins.guess(one, start + 2 * wait, || Ok(())), Ok(Ok(())));
        for _ in 0..100 {
            assert_eq!(logins.guess(one, start + 2 * wait, || WRONG), Ok(WRONG));
        }
    }

    #[test]
    fn addresses_without_number_share_an_account() {
        let logins = Logins::new(Secret::default());
        let start = Instant::now();
        let guess = |number: u32, now| {
            logins.guess(Customer::of(std::net::Ipv4Addr::from_bits(number).into()), now, || WRONG)
        };
        for number in 1..=ACCOUNTS as u32 + 10 {
            assert_eq!(guess(number, start), Ok(WRONG));
        }
        guess(u32::MAX, start).unwrap_err();
        assert_eq!(guess(1, start), Ok(WRONG));
        // The accounts of those who have not come again are closed.
        assert_eq!(guess(u32::MAX, start + Duration::from_secs(20)), Ok(WRONG));
        assert_eq!(logins.accounts.lock().unwrap().guesses.len(), 1);
    }
}
