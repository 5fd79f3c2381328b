//! What has become of something that several shards are told or asked, of which some may have ended: they do so one after the other when
//! the server stops. One that has ended has no clients, so the answer is that of the others.

use crate::shard::Stopped;

/// How many shards were told, and how many have ended.
#[derive(Debug, Default)]
pub(super) struct ShardsLeft {
    left: usize,
    ended: usize,
}

impl ShardsLeft {
    /// Notes one shard's result, and gives it if the shard is left.
    pub(super) fn note<T>(&mut self, result: Result<T, Stopped>) -> Option<T> {
        match result {
            Ok(_) => self.left += 1,
            Err(Stopped) => self.ended += 1,
        }
        result.ok()
    }

    /// Is an error when all have ended, and so the server has.
    pub(super) fn any(self) -> Result<(), Stopped> {
        if self.left == 0 && self.ended > 0 { Err(Stopped) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_when_all_have_ended_the_server_has() {
        let any = |results: &[Result<u8, ()>]| {
            let mut shards = ShardsLeft::default();
            let noted: Vec<_> =
                results.iter().filter_map(|result| shards.note(result.map_err(|()| Stopped))).collect();
            (noted, shards.any().is_ok())
        };
        assert_eq!(any(&[]), (vec![], true));
        assert_eq!(any(&[Err(()), Ok(1), Err(()), Ok(2)]), (vec![1, 2], true));
        assert_eq!(any(&[Err(()), Err(())]), (vec![], false));
    }
}
