//! The board for Grafana and the alerts for Prometheus, which know the metrics that a server really has: with a cluster and a store it has all.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use gateway_tests::{IN_JETSTREAM, Nats, Operator, SECRET, Server, root};
use serde_json::Value;

/// Labels that Prometheus adds to what it scrapes.
const OF_PROMETHEUS: [&str; 2] = ["instance", "job"];
/// Labels of Prometheus' own metrics of alerts, and of its functions.
const WORDS: [&str; 1] = ["alertname"];

/// Gives each metric of a server with the labels that it has.
async fn exposed(operator: &Operator) -> anyhow::Result<BTreeMap<String, BTreeSet<String>>> {
    let answer = operator.get("/metrics").await?;
    anyhow::ensure!(answer.status == 200, "{answer:?}");
    let mut metrics: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in answer.body.lines() {
        if let Some(family) = line.strip_prefix("# TYPE ") {
            let (name, kind) = family.split_once(' ').unwrap_or_default();
            let parts: &[&str] = if kind == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
            for part in parts {
                metrics.entry(format!("{name}{part}")).or_default();
            }
        } else if let Some((name, rest)) = line.split_once('{') {
            let labels = rest.split('}').next().unwrap_or_default();
            let names = labels.split(',').filter_map(|label| label.split('=').next()).map(str::to_owned);
            metrics.entry(name.to_owned()).or_default().extend(names);
        }
    }
    // Nothing carries clients for this server, so that these metrics have no values here.
    for (name, labels) in &mut metrics {
        if name.starts_with("gateway_relay_") {
            labels.insert("pid".to_owned());
        }
    }
    Ok(metrics)
}

/// Gives the names of metrics in an expression.
fn metrics_in(expression: &str) -> BTreeSet<String> {
    let words = expression.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let named = words.filter(|word| word.starts_with("gateway_") || word.starts_with("process_"));
    named.map(str::to_owned).collect()
}

/// Gives the labels that an expression groups by, and that a legend shows.
fn labels_in(expression: &str, legend: &str) -> BTreeSet<String> {
    let grouped = expression.split("by (").skip(1).filter_map(|rest| rest.split(')').next());
    let shown = legend.split("{{").skip(1).filter_map(|rest| rest.split("}}").next());
    let names = grouped.flat_map(|list| list.split(',')).chain(shown).map(|name| name.trim().to_owned());
    names.filter(|name| !OF_PROMETHEUS.contains(&&**name) && !WORDS.contains(&&**name)).collect()
}

/// Gives the expressions of a board's panels with their legends.
fn targets(board: &Value) -> Vec<(String, String)> {
    let panels = board["panels"].as_array().into_iter().flatten();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    targets.map(|target| (text(&target["expr"]), text(&target["legendFormat"]))).collect()
}

#[tokio::test]
async fn board_and_alerts_know_the_metrics_that_there_are() -> anyhow::Result<()> {
    let test = "board_and_alerts_know_the_metrics_that_there_are";
    let Some(nats) = Nats::start_jetstream(test).await? else { return Ok(()) };
    let server = Server::start_with(|command| {
        command.env("GATEWAY_SECRET_KEY", SECRET).env("GATEWAY_OPERATIONS_TOKEN", "operators");
        command.args(["--operations", "127.0.0.1:0", "--node", "127.0.0.1:1238"]).args(IN_JETSTREAM);
        command.args(["--cluster-nats", &format!("nats://{}", nats.address)]);
    })
    .await?;
    let there = exposed(&Operator::of(&server)?.with_token("operators")).await?;
    assert!(there.len() > 60, "{there:?}");

    let read =
        |path: &str| std::fs::read_to_string(root().join("packaging").join(path)).context(path.to_owned());
    let board: Value = serde_json::from_str(&read("grafana/push-gateway.json")?)?;
    let on_board = targets(&board);
    assert!(on_board.len() > 50, "{}", on_board.len());
    let rules = read("prometheus/push-gateway.rules.yml")?;
    let of_rules = rules.lines().filter_map(|line| line.trim().strip_prefix("expr: "));
    let mut used = BTreeSet::new();
    for (expression, legend) in
        on_board.into_iter().chain(of_rules.map(|rule| (rule.to_owned(), String::new())))
    {
        let metrics = metrics_in(&expression);
        assert!(!metrics.is_empty() || expression.starts_with("up{"), "{expression}");
        let mut labels = BTreeSet::new();
        for metric in &metrics {
            labels.extend(
                there.get(metric).with_context(|| format!("no metric {metric}: {expression}"))?.iter(),
            );
        }
        for label in labels_in(&expression, &legend) {
            assert!(labels.contains(&label), "no label {label}: {expression}, {legend}");
        }
        used.extend(metrics);
    }
    // Prose and annotations name metrics as well.
    for metric in metrics_in(&rules).iter().filter(|word| word.contains("_total") || word.contains("_bytes"))
    {
        assert!(there.contains_key(metric), "no metric {metric} in the rules");
    }
    let unused: Vec<_> = there.keys().filter(|metric| !used.contains(*metric)).collect();
    assert_eq!(unused, Vec::<&String>::new(), "neither the board nor an alert shows these");

    // The page lists them all, histograms by their names.
    let page = std::fs::read_to_string(root().join("docs/operations.md"))?;
    let name = |metric: &String| metric.trim_end_matches("_bucket").to_owned();
    let is_part = |metric: &&String| {
        metric.starts_with("gateway_shard_answer_seconds_") && !metric.ends_with("_bucket")
    };
    let listed = there.keys().filter(|metric| !is_part(metric)).map(name);
    let missing: Vec<_> = listed.filter(|metric| !page.contains(metric.as_str())).collect();
    assert_eq!(missing, Vec::<String>::new(), "docs/operations.md does not list these");
    Ok(())
}
