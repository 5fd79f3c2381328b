//! A look, now and then, at what is remembered for a while only: as long as anything is left, and no longer.

use std::time::{Duration, Instant};

/// Has what is old forgotten every `pause`, unless `is_swept` says that somebody does that already. `forget_old` gives whether nothing is
/// left to forget, and has taken back `is_swept` then: whoever remembers something after that calls this again.
pub fn keep_swept(
    is_swept: &mut bool,
    pause: Duration,
    mut forget_old: impl FnMut(Instant) -> bool + Send + 'static,
) {
    if std::mem::replace(is_swept, true) {
        return;
    }
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(pause).await;
            if forget_old(Instant::now()) {
                break;
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc::unbounded_channel;

    use super::*;

    #[tokio::test]
    async fn one_looks_until_nothing_is_left() {
        let (sender, mut looks) = unbounded_channel();
        let mut is_swept = false;
        let mut look = |left: i32| {
            let (sender, mut left) = (sender.clone(), left);
            keep_swept(&mut is_swept, Duration::from_millis(1), move |_| {
                left -= 1;
                sender.send(left).unwrap();
                left == 0
            });
            is_swept
        };
        assert!(look(3) && look(100));
        drop(sender);
        let mut seen = Vec::new();
        while let Some(left) = looks.recv().await {
            seen.push(left);
        }
        assert_eq!(seen, [2, 1, 0]);
    }
}
