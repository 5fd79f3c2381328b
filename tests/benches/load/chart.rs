//! A chart of the rates as bars: servers that are faster than the plain loop go to the right of the middle line, slower ones
//! to the left.

use std::fmt::Write as _;

use crate::contender::Contender;
use crate::results::{Results, Row, Unit};

const WIDTH: f64 = 860.0;
const LABELS: f64 = 290.0;
const RIGHT: f64 = 50.0;
/// The height of a line of the legend, which has two lines.
const LINE: f64 = 18.0;
const TOP: f64 = 64.0 + LINE;
const BAR: f64 = 10.0;
const GAP: f64 = 14.0;
/// The powers of two at both ends of the scale.
const LOWEST: f64 = -4.0;
const HIGHEST: f64 = 4.0;

const STYLE: &str = "
  text { font: 12px system-ui, sans-serif; fill: #24292f }
  .small { font-size: 10px; fill: #57606a }
  .grid { stroke: #d0d7de } .middle { stroke: #57606a; stroke-width: 1.5 }
  .ours { fill: #0969da } .uws { fill: #bf8700 } .ws { fill: #8250df } .nchan { fill: #1a7f37 } .io { fill: #cf222e }
  .sockudo { fill: #bc4c00 } .reverb { fill: #bf3989 } .original { fill: #57606a } .event { fill: #8c959f }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .small { fill: #9198a1 }
    .grid { stroke: #3d444d } .middle { stroke: #9198a1 }
    .ours { fill: #4493f8 } .uws { fill: #d29922 } .ws { fill: #ab7df8 } .nchan { fill: #3fb950 } .io { fill: #f85149 }
    .sockudo { fill: #fb8f44 } .reverb { fill: #ff80c8 } .original { fill: #9198a1 } .event { fill: #656c76 }
  }
";

pub(crate) fn draw(results: &Results) -> String {
    let rows: Vec<(&Row, Vec<(Contender, f64)>)> = results
        .rows
        .iter()
        .filter(|row| {
            row.unit == Unit::Rate && row.contenders().all(|one| row.figures(one).latency.is_none())
        })
        .map(|row| (row, ratios(row)))
        .filter(|(_, ratios)| !ratios.is_empty())
        .collect();
    let shown: Vec<Contender> = Contender::ALL
        .into_iter()
        .filter(|one| rows.iter().any(|(_, ratios)| ratios.iter().any(|(contender, _)| contender == one)))
        .collect();
    let bars: usize = rows.iter().map(|(_, ratios)| ratios.len()).sum();
    let height = TOP + bars as f64 * BAR + rows.len() as f64 * GAP + 12.0;

    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\">\n\
         <title>Rates as ratios to a plain send loop</title>\n<style>{STYLE}</style>\n"
    );
    // Writing into a string cannot fail.
    let _ = legend(&mut out, &shown);
    let _ = grid(&mut out, height);
    let mut y = TOP;
    for (row, ratios) in rows {
        let middle = y + ratios.len() as f64 * BAR / 2.0 + 4.0;
        let _ = writeln!(
            out,
            "<text x=\"{}\" y=\"{middle}\" text-anchor=\"end\">{}</text>",
            LABELS - 24.0,
            row.label
        );
        for (contender, ratio) in ratios {
            let _ = bar(&mut out, y, contender, ratio);
            y += BAR;
        }
        y += GAP;
    }
    out + "</svg>\n"
}

fn ratios(row: &Row) -> Vec<(Contender, f64)> {
    row.contenders()
        .filter(|contender| !matches!(contender, Contender::Plain | Contender::Ring))
        .filter_map(|one| Some((one, row.ratio(one, Contender::Plain, |figures| figures.value)?)))
        .collect()
}

fn legend(out: &mut String, shown: &[Contender]) -> std::fmt::Result {
    let (mut x, mut y) = (LABELS, 12.0);
    for contender in shown {
        let name = contender.name();
        let width = 40.0 + 7.0 * name.len() as f64;
        if x + width > WIDTH {
            (x, y) = (LABELS, y + LINE);
        }
        writeln!(
            out,
            "<rect class=\"{}\" x=\"{x}\" y=\"{y}\" width=\"12\" height=\"12\" rx=\"2\"/>",
            class(*contender)
        )?;
        writeln!(out, "<text x=\"{}\" y=\"{}\">{name}</text>", x + 17.0, y + 10.0)?;
        x += width;
    }
    Ok(())
}

fn grid(out: &mut String, height: f64) -> std::fmt::Result {
    let mut power = LOWEST;
    while power <= HIGHEST {
        let x = position(power);
        let class = if power == 0.0 { "middle" } else { "grid" };
        let name = if power < 0.0 { format!("1/{}", (-power).exp2()) } else { format!("{}", power.exp2()) };
        writeln!(
            out,
            "<line class=\"{class}\" x1=\"{x}\" y1=\"{}\" x2=\"{x}\" y2=\"{}\"/>",
            TOP - 10.0,
            height - 8.0
        )?;
        writeln!(
            out,
            "<text class=\"small\" x=\"{x}\" y=\"{}\" text-anchor=\"middle\">{name}</text>",
            TOP - 16.0
        )?;
        power += 1.0;
    }
    Ok(())
}

fn bar(out: &mut String, y: f64, contender: Contender, ratio: f64) -> std::fmt::Result {
    let (zero, end) = (position(0.0), position(ratio.log2().clamp(LOWEST, HIGHEST)));
    let (x, width) = (zero.min(end), (zero - end).abs().max(1.0));
    let class = class(contender);
    writeln!(
        out,
        "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y}\" width=\"{width:.1}\" height=\"{}\"/>",
        BAR - 1.0
    )?;
    let (x, anchor) = if end < zero { (end - 4.0, "end") } else { (end + 4.0, "start") };
    let y = y + BAR - 1.5;
    writeln!(out, "<text class=\"small\" x=\"{x:.1}\" y=\"{y}\" text-anchor=\"{anchor}\">{ratio:.2}</text>")
}

/// Gives where a power of two stands on the scale.
fn position(power: f64) -> f64 {
    LABELS + (power - LOWEST) / (HIGHEST - LOWEST) * (WIDTH - LABELS - RIGHT)
}

fn class(contender: Contender) -> &'static str {
    match contender {
        Contender::Ours => "ours",
        Contender::Plain => "plain",
        // It stands in tables only.
        Contender::Ring => "other",
        Contender::UWebSockets => "uws",
        Contender::Ws => "ws",
        Contender::Nchan => "nchan",
        Contender::SocketIo => "io",
        Contender::Sockudo => "sockudo",
        Contender::Reverb => "reverb",
        Contender::GatewayWorker => "original",
        Contender::GatewayWorkerEvent => "event",
        Contender::Gateway2
        | Contender::Store
        | Contender::Coalesce
        | Contender::BehindNginx
        | Contender::BehindCaddy => "other",
    }
}
