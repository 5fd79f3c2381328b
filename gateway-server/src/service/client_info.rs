//! The answer to PHP about one client: everything that this node knows of it.

use std::time::Duration;

use gateway_wire::bridge::AnswerValue;

use super::Gateway;
use crate::shard::{ConnectionInfo, Stopped};
use crate::telemetry::clock;

impl Gateway {
    /// Describes a client of this node, or gives null if it is not online.
    pub(super) async fn client_info(&self, connection_id: u32) -> Result<AnswerValue, Stopped> {
        // What was sent before counts as waiting or kept once it is flushed.
        self.flush();
        let Some((info, online)) = self.hub.client_info(connection_id).await? else {
            return Ok(AnswerValue::Null);
        };
        let listener = self.listeners.get(usize::from(info.listener));
        Ok(describe(info, online, listener, clock::since_epoch()))
    }
}

/// Makes the answer. `online` is for how long the client has been online, `now` the time since 1970.
fn describe(
    info: ConnectionInfo,
    online: Option<Duration>,
    listener: Option<&String>,
    now: Duration,
) -> AnswerValue {
    // The time since when a client is connected again would have to be kept for it.
    let in_state = info.parked.or(online.filter(|_| !info.has_returned));
    let since = |age: Option<Duration>| optional(age.map(|age| integer(now.saturating_sub(age).as_secs())));
    let text = |text: String| AnswerValue::Str(text.into_bytes());
    let state = if info.parked.is_some() { "parked" } else { "connected" };
    let fields = [
        ("state", text(state.to_owned())),
        ("since", since(in_state)),
        ("online_since", since(online)),
        ("address", optional(info.address.map(|address| text(address.to_string())))),
        ("listener", optional(listener.cloned().map(text))),
        ("uid", optional(info.uid.map(|uid| AnswerValue::Str(uid.into())))),
        (
            "groups",
            AnswerValue::List(info.groups.into_iter().map(|group| AnswerValue::Str(group.into())).collect()),
        ),
        ("queued_bytes", integer(info.queued as u64)),
        ("parked_seconds", optional(info.parked.map(|parked| integer(parked.as_secs())))),
        ("kept_bytes", integer(info.kept as u64)),
    ];
    AnswerValue::Map(fields.into_iter().map(|(name, value)| (text(name.to_owned()), value)).collect())
}

fn integer(number: u64) -> AnswerValue {
    AnswerValue::Int(i64::try_from(number).unwrap_or(i64::MAX))
}

fn optional(value: Option<AnswerValue>) -> AnswerValue {
    value.unwrap_or(AnswerValue::Null)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(parked: Option<u64>, has_returned: bool) -> ConnectionInfo {
        ConnectionInfo {
            connection_id: 7,
            uid: None,
            groups: Vec::new(),
            group_count: 0,
            address: None,
            listener: 0,
            queued: 0,
            parked: parked.map(Duration::from_secs),
            kept: 0,
            has_returned,
        }
    }

    #[test]
    fn the_time_of_a_state_is_told_where_it_is_known() {
        use AnswerValue::{Int, Null, Str};
        let told = |info, online: Option<u64>| {
            let AnswerValue::Map(fields) =
                describe(info, online.map(Duration::from_secs), None, Duration::from_secs(1000))
            else {
                panic!("no map")
            };
            let field = |name: &str| {
                let named = fields.iter().find(|(key, _)| *key == Str(name.as_bytes().to_vec()));
                named.unwrap().1.clone()
            };
            ["state", "since", "online_since", "parked_seconds"].map(field)
        };
        let text = |text: &str| Str(text.as_bytes().to_vec());
        assert_eq!(told(info(None, false), Some(40)), [text("connected"), Int(960), Int(960), Null]);
        assert_eq!(told(info(None, true), Some(40)), [text("connected"), Null, Int(960), Null]);
        assert_eq!(told(info(Some(3), true), Some(40)), [text("parked"), Int(997), Int(960), Int(3)]);
        assert_eq!(told(info(Some(3), false), None), [text("parked"), Int(997), Null, Int(3)]);
        assert_eq!(told(info(None, false), None), [text("connected"), Null, Null, Null]);
    }
}
