//! Notices for PHP about calls that it took for done.

use std::fmt;

/// Losses are told apart for so many gateways until PHP reads the notices.
const MAX_GATEWAYS: usize = 16;

/// A notice that PHP shows as a warning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The target, as its addresses read.
    pub target: String,
    /// The number of calls that the notice is about.
    pub calls: u64,
    /// The kind of trouble that the calls had.
    pub trouble: NoticeKind,
    /// The reason of the last of these calls, in words.
    pub why: String,
}

/// The kinds of trouble that accepted calls can have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoticeKind {
    /// The gateway refused orders.
    Refused,
    /// This gateway of GatewayWorker did not get orders, or perhaps did not.
    Lost(String),
    /// Queries were answered without what some of GatewayWorker's gateways know.
    Partial,
}

/// The notices that wait for PHP to read them.
#[derive(Debug, Default)]
pub(crate) struct Notices(Vec<(NoticeKind, u64, String)>);

impl Notices {
    pub(crate) fn add(&mut self, trouble: NoticeKind, calls: u64, why: String) {
        let same = self.0.iter().position(|(known, ..)| *known == trouble);
        let is_full = self.0.len() >= MAX_GATEWAYS && matches!(trouble, NoticeKind::Lost(_));
        let similar = || self.0.iter().position(|(known, ..)| matches!(known, NoticeKind::Lost(_)));
        match same.or_else(|| similar().filter(|_| is_full)) {
            Some(at) => self.0[at] = (trouble, self.0[at].1 + calls, why),
            None => self.0.push((trouble, calls, why)),
        }
    }

    pub(crate) fn take(&mut self, target: &impl fmt::Display) -> Vec<Notice> {
        let notice = |(trouble, calls, why)| Notice { target: target.to_string(), calls, trouble, why };
        std::mem::take(&mut self.0).into_iter().map(notice).collect()
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { target, calls, trouble, why } = self;
        let s = if *calls == 1 { "" } else { "s" };
        match trouble {
            NoticeKind::Refused => {
                write!(f, "the gateway at {target} refused {calls} earlier call{s}: {why}")
            }
            NoticeKind::Lost(gateway) => write!(
                f,
                "{calls} earlier call{s} did not reach GatewayWorker's gateway {gateway}, or may not have: {why}"
            ),
            NoticeKind::Partial => {
                write!(f, "{calls} answer{s} lack what some of GatewayWorker's gateways know: {why}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn are_few_whatever_happens() {
        let mut notices = Notices::default();
        for i in 0..1000 {
            notices.add(NoticeKind::Lost(format!("10.0.0.1:{i}")), 1, "gone".to_owned());
            notices.add(NoticeKind::Refused, 1, format!("no {i}"));
        }
        let told = notices.take(&"tcp://here");
        assert!(told.len() <= MAX_GATEWAYS + 2 && notices.take(&"").is_empty());
        assert_eq!(told.iter().map(|notice| notice.calls).sum::<u64>(), 2000);
        let refused = told.iter().find(|notice| notice.trouble == NoticeKind::Refused).unwrap();
        assert_eq!(refused.to_string(), "the gateway at tcp://here refused 1000 earlier calls: no 999");
    }
}
