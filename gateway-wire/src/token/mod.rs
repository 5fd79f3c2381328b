//! Connect tokens: the application says in one who a client is, and signs it, so that nobody else can make it.
//!
//! A token is a JSON Web Token (RFC 7519) that is signed by HMAC-SHA-256 (`HS256` of RFC 7518), which any library can make. It has at
//! most [`MAX_TOKEN`] bytes. It must have the claims `sub`, the uid, and `exp`, the time when it expires. It may have `nbf`, the time
//! from which it is good; `groups`, a list of groups that the client joins; `session`, an object that becomes its session; and `jti`, a
//! name, with which the token is good once only. Other claims are ignored.

mod claims;
mod key;

pub use claims::{Claims, MAX_TOKEN, TokenError};
pub use key::{MIN_SECRET, SecretTooShort, TokenKey};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;

impl TokenKey {
    /// Checks a token and gives its claims. `now` is in seconds since 1970. The token is refused if it is too long, signed with another
    /// key, of another algorithm, malformed, expired or not good yet. Whether a token with `jti` was used before is for the caller to
    /// check.
    pub fn verify(&self, token: &str, now: u64) -> Result<Claims, TokenError> {
        let claims = self.signed(token)?;
        claims.check(now)?;
        Ok(claims)
    }

    /// Gives the uid of a token with a good signature, even when its time is over.
    pub fn signed_uid(&self, token: &str) -> Option<String> {
        self.signed(token).ok().map(|claims| claims.uid)
    }

    /// Reads a token with a good signature, without a look at its times.
    fn signed(&self, token: &str) -> Result<Claims, TokenError> {
        if token.len() > MAX_TOKEN {
            return Err(TokenError::TooLong(token.len()));
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::NotAToken)?;
        let (header, payload) = signed.split_once('.').ok_or(TokenError::NotAToken)?;
        let signature = BASE64.decode(signature).map_err(|_| TokenError::NotAToken)?;
        // The signature comes first: nothing else of the token is decoded before it is known to be the application's.
        if !self.has_signed(signed.as_bytes(), &signature) {
            return Err(TokenError::WrongSignature);
        }
        let header = BASE64.decode(header).map_err(|_| TokenError::NotAToken)?;
        claims::check_header(&header)?;
        let payload = BASE64.decode(payload).map_err(|_| TokenError::NotAToken)?;
        Claims::parse(&payload)
    }

    /// Makes a token. Claims that [`TokenKey::verify`] would refuse, apart from their times, are an error, as is a token over
    /// [`MAX_TOKEN`] bytes.
    pub fn mint(&self, claims: &Claims) -> Result<String, TokenError> {
        let token = self.seal(claims::HEADER.as_bytes(), &claims.encode()?);
        if token.len() > MAX_TOKEN {
            return Err(TokenError::TooLong(token.len()));
        }
        Ok(token)
    }

    /// Makes a token of any header and payload, which are not checked: for tests of what is refused.
    pub fn seal(&self, header: &[u8], payload: &[u8]) -> String {
        let mut token = BASE64.encode(header);
        token.push('.');
        BASE64.encode_string(payload, &mut token);
        let signature = self.sign(token.as_bytes());
        token.push('.');
        BASE64.encode_string(signature, &mut token);
        token
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn key() -> TokenKey {
        TokenKey::new(b"a key of the application")
    }

    fn claims() -> Claims {
        Claims {
            uid: "42".to_owned(),
            expires: NOW + 60,
            not_before: None,
            groups: vec!["news".to_owned(), "房间".to_owned()],
            session: serde_json::from_str(r#"{"name":"Ann","5":[1,2.5,null,true,{}]}"#).unwrap(),
            once: Some("x1".to_owned()),
            device: Some("phone".to_owned()),
        }
    }

    /// Makes a token as another library would.
    fn signed(header: &str, payload: &str) -> String {
        key().seal(header.as_bytes(), payload.as_bytes())
    }

    #[test]
    fn what_is_minted_is_good_until_it_expires() {
        let token = key().mint(&claims()).unwrap();
        assert_eq!(key().verify(&token, NOW), Ok(claims()));
        assert_eq!(key().verify(&token, NOW + 59), Ok(claims()));
        assert_eq!(key().verify(&token, NOW + 60), Err(TokenError::Expired(NOW + 60)));
        assert_eq!(TokenKey::new(b"another").verify(&token, NOW), Err(TokenError::WrongSignature));
    }

    #[test]
    fn every_byte_counts() {
        let token = key().mint(&claims()).unwrap();
        for at in 0..token.len() {
            for other in [b'A', b'B', b'.', b'=', b'_'] {
                let mut bytes = token.clone().into_bytes();
                if std::mem::replace(&mut bytes[at], other) != other {
                    key().verify(std::str::from_utf8(&bytes).unwrap(), NOW).unwrap_err();
                }
            }
            key().verify(&token[..at], NOW).unwrap_err();
        }
        key().verify(&format!("{token}="), NOW).unwrap_err();
        assert_eq!(key().verify(&"a".repeat(MAX_TOKEN + 1), NOW), Err(TokenError::TooLong(MAX_TOKEN + 1)));
    }

    #[test]
    fn tokens_of_other_libraries_are_taken() {
        let header = r#"{"typ":"JWT","alg":"HS256","kid":"1"}"#;
        let token = signed(header, r#"{"iss":"app","sub":42,"exp":1800000060.5,"iat":1}"#);
        let expected = Claims { uid: "42".to_owned(), expires: NOW + 60, ..Claims::default() };
        assert_eq!(key().verify(&token, NOW), Ok(expected));
    }

    #[test]
    fn what_is_signed_must_still_make_sense() {
        let good = r#"{"alg":"HS256"}"#;
        for header in
            [r#"{"alg":"none"}"#, r#"{"alg":"HS512"}"#, "{}", "[]", r#"{"alg":"HS256","crit":["b64"]}"#]
        {
            let error = key().verify(&signed(header, r#"{"sub":"1","exp":1800000060}"#), NOW).unwrap_err();
            assert_eq!(error, TokenError::OtherAlgorithm, "{header}");
        }
        for payload in [
            "",
            "1",
            "{}",
            r#"{"sub":"1"}"#,
            r#"{"exp":1800000060}"#,
            r#"{"sub":"","exp":1800000060}"#,
            r#"{"sub":null,"exp":1800000060}"#,
            r#"{"sub":"1","exp":"1800000060"}"#,
            r#"{"sub":"1","exp":-1}"#,
            r#"{"sub":"1","exp":1800000060,"groups":"news"}"#,
            r#"{"sub":"1","exp":1800000060,"groups":[""]}"#,
            r#"{"sub":"1","exp":1800000060,"session":[1]}"#,
            r#"{"sub":"1","exp":1800000060,"jti":""}"#,
            r#"{"sub":"1","exp":1e300}"#,
        ] {
            let error = key().verify(&signed(good, payload), NOW).unwrap_err();
            assert!(matches!(error, TokenError::BadClaims(_)), "{payload}: {error}");
        }
        let early = format!(r#"{{"sub":"1","exp":{},"nbf":{}}}"#, NOW + 300, NOW + 200);
        assert_eq!(key().verify(&signed(good, &early), NOW), Err(TokenError::TooEarly(NOW + 200)));
        let uid = "u".repeat(crate::bridge::MAX_NAME + 1);
        let long = format!(r#"{{"sub":"{uid}","exp":1800000060}}"#);
        assert!(matches!(key().verify(&signed(good, &long), NOW), Err(TokenError::BadClaims(_))));
    }

    #[test]
    fn a_session_is_the_array_that_php_would_make_of_it() {
        assert_eq!(
            String::from_utf8(claims().serialized_session()).unwrap(),
            r#"a:2:{s:4:"name";s:3:"Ann";i:5;a:5:{i:0;i:1;i:1;d:2.5;i:2;N;i:3;b:1;i:4;a:0:{}}}"#
        );
        assert!(Claims::default().serialized_session().is_empty());
    }
}
