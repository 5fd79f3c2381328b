//! The text format of Prometheus.

use std::fmt::{Display, Write as _};

/// The text of one scrape.
#[derive(Default)]
pub(super) struct Exposition {
    text: String,
}

/// One metric, to which values are appended.
pub(super) struct Family<'a> {
    text: &'a mut String,
    name: &'static str,
}

impl Exposition {
    pub(super) fn gauge(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, "gauge", help)
    }

    /// Begins a counter, whose name ends in `_total` by convention.
    pub(super) fn counter(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, "counter", help)
    }

    /// Writes a histogram. `bounds` are in seconds, and the last of `counts` is of what took longer than all of them.
    pub(super) fn histogram(
        &mut self,
        name: &'static str,
        help: &str,
        bounds: impl Iterator<Item = f64>,
        counts: &[u64],
        sum: f64,
    ) {
        self.family(name, "histogram", help);
        let mut within = 0;
        let bounds = bounds.map(|bound| bound.to_string()).chain(["+Inf".to_owned()]);
        for (bound, count) in bounds.zip(counts) {
            within += count;
            let _ = writeln!(self.text, "{name}_bucket{{le=\"{bound}\"}} {within}");
        }
        let _ = writeln!(self.text, "{name}_sum {sum}\n{name}_count {within}");
    }

    fn family(&mut self, name: &'static str, kind: &str, help: &str) -> Family<'_> {
        // Writing to a string cannot fail.
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        Family { text: &mut self.text, name }
    }

    pub(super) fn into_text(self) -> String {
        self.text
    }
}

impl Family<'_> {
    pub(super) fn is(&mut self, value: impl Display) {
        let _ = writeln!(self.text, "{} {value}", self.name);
    }

    pub(super) fn of(&mut self, label: &str, of: &str, value: impl Display) {
        let _ = writeln!(self.text, "{}{{{label}=\"{}\"}} {value}", self.name, escaped(of));
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_counts_upwards() {
        let mut exposition = Exposition::default();
        exposition.histogram("a", "Help.", [0.1, 2.5].into_iter(), &[3, 0, 4], 1.5);
        let lines = "# HELP a Help.\n# TYPE a histogram\na_bucket{le=\"0.1\"} 3\na_bucket{le=\"2.5\"} 3\n\
            a_bucket{le=\"+Inf\"} 7\na_sum 1.5\na_count 7\n";
        assert_eq!(exposition.into_text(), lines);
    }

    #[test]
    fn labels_are_escaped() {
        let mut exposition = Exposition::default();
        exposition.gauge("a", "Help.").of("by", "x\"\\\n", 3);
        assert_eq!(exposition.into_text(), "# HELP a Help.\n# TYPE a gauge\na{by=\"x\\\"\\\\\\n\"} 3\n");
    }
}
