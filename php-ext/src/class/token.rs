//! Connect tokens, made in PHP and read by the gateway.

use std::time::{SystemTime, UNIX_EPOCH};

use gateway_wire::token::Claims;

use super::method::methods;
use super::random;
use crate::args::{Flag, JsonObject, Name, NameKind, NameList, Seconds, Text};
use crate::errors::Failure;
use crate::json;

methods! {
    /// Makes the token in this process, without the gateway.
    fn token(
        call,
        uid: Name,
        ttl: Seconds = 3600,
        groups: NameList = [],
        session: JsonObject = [],
        once: Flag = false,
        device: Option<Text> = null
    ) -> String {
        let Some(uid) = uid.kept(NameKind::Uid, "no token was made")? else { return Ok(String::new()) };
        let groups = groups.wire();
        let claims = Claims {
            uid: json::text(uid)?,
            expires: expiry(ttl.0)?,
            not_before: None,
            groups: groups.into_iter().map(|group| json::text(group)).collect::<Result<_, _>>()?,
            session: session.0,
            device: device.map(|device| json::text(device.wire())).transpose()?,
            once: if once.0 { Some(random::name()?) } else { None },
        };
        let key = call.properties()?.token_key()?;
        key.mint(&claims).map_err(|error| Failure::argument(format!("no token was made: {error}")))
    }
}

fn expiry(ttl: i64) -> Result<u64, Failure> {
    let ttl = u64::try_from(ttl).ok().filter(|ttl| *ttl > 0);
    let ttl = ttl.ok_or_else(|| Failure::argument("a token's time must be a second or more".to_owned()))?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
    Ok(now.saturating_add(ttl))
}
