//! Where the messages of a uid are: each names some that were before it, so that all are found from the last one.
//!
//! A message is published only if the last one of its uid is still the one that it was made behind. So no message is left out,
//! whichever nodes publish.

use super::api::ApiError;
use super::message::{Before, KeptMessage, Place};
use super::names::UidNames;
use super::shared::Shared;

/// The end of a uid's messages, as a message that is published next has to name it.
#[derive(Clone, Debug, Default)]
pub(super) struct ChainEnd {
    /// The position of the last message, 0 if there is none.
    pub(super) last: u64,
    pub(super) before: Before,
}

impl Shared {
    /// Gives the end of a uid's messages.
    pub(super) async fn chain_end(&self, uid: &UidNames) -> Result<ChainEnd, ApiError> {
        let raw = self.api.last(&uid.messages()).await?;
        if let Some((seq, kept)) = raw.as_ref().and_then(|raw| Some((raw.seq, self.message(raw)?))) {
            let mut before = kept.before;
            before.push(seq, kept.key);
            return Ok(ChainEnd { last: seq, before });
        }
        // Nobody with the secret has written the last one, so it names nothing; or it was removed, which servers of version 2.10
        // take for the end of all.
        let (mut places, until) = (Vec::new(), raw.map(|raw| raw.seq));
        let last = self.look_for(uid, 0, until.unwrap_or(u64::MAX), &mut places).await?;
        let mut before = Before::default();
        places.into_iter().rev().for_each(|(seq, key)| before.push(seq, key));
        Ok(ChainEnd { last: until.unwrap_or(last), before })
    }

    /// Gives the places of a uid's messages behind a position, in order, without those that others have replaced. Some of the messages
    /// may have gone.
    pub(super) async fn places(&self, uid: &UidNames, after: u64) -> Result<Vec<Place>, ApiError> {
        let mut places = self.all_places(uid, after).await?;
        hide_replaced(&mut places);
        Ok(places)
    }

    /// Gives the places of a uid's messages behind a position, in order.
    pub(super) async fn all_places(&self, uid: &UidNames, after: u64) -> Result<Vec<Place>, ApiError> {
        let mut places = Vec::new();
        let Before { places: mut part, mut has_more } = self.chain_end(uid).await?.before;
        loop {
            let is_whole = !has_more || part.first().is_none_or(|(first, _)| *first <= after);
            part.retain(|(seq, _)| *seq > after);
            let Some((first, _)) = part.first().copied() else { break };
            // The places are gathered from the last to the first.
            places.extend(part.iter().rev().copied());
            if is_whole {
                break;
            }
            match self.before_any(&part).await? {
                Some((seq, before)) => {
                    places.retain(|(known, _)| *known >= seq);
                    (part, has_more) = (before.places, before.has_more);
                }
                None => {
                    self.look_for(uid, after, first, &mut places).await?;
                    break;
                }
            }
        }
        places.reverse();
        Ok(places)
    }

    /// Gives the earliest of these messages that is there, and what it names before it.
    async fn before_any(&self, part: &[Place]) -> Result<Option<(u64, Before)>, ApiError> {
        for (seq, _) in part {
            let kept: Option<KeptMessage> = self.api.at(*seq).await?.and_then(|raw| self.message(&raw));
            if let Some(kept) = kept {
                return Ok(Some((*seq, kept.before)));
            }
        }
        Ok(None)
    }

    /// Looks for messages one by one, where none is there that names them. Gives the last position that was found.
    async fn look_for(
        &self,
        uid: &UidNames,
        after: u64,
        until: u64,
        places: &mut Vec<Place>,
    ) -> Result<u64, ApiError> {
        let (mut found, mut last) = (Vec::new(), after);
        while let Some(raw) = self.api.next(last.saturating_add(1), &uid.messages()).await? {
            if raw.seq >= until {
                break;
            }
            last = raw.seq;
            found.extend(self.message(&raw).map(|kept| (raw.seq, kept.key)));
        }
        places.extend(found.into_iter().rev());
        Ok(last)
    }
}

/// Takes out what a later message replaces.
fn hide_replaced(places: &mut Vec<Place>) {
    let mut keys = hashbrown::HashSet::new();
    let mut is_last: Vec<_> = places.iter().rev().map(|(_, key)| *key == 0 || keys.insert(*key)).collect();
    places.retain(|_| is_last.pop().unwrap_or(true));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_of_those_that_replace_each_other_is_left() {
        let mut places = vec![(1, 7), (2, 0), (3, 8), (4, 7), (5, 0), (9, 7)];
        hide_replaced(&mut places);
        assert_eq!(places, [(2, 0), (3, 8), (5, 0), (9, 7)]);
    }
}
