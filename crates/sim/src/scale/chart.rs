//! Throughput against the number of voters as an SVG, both axes logarithmic.

use std::fmt::Write;

use super::report::{JUNO_2016, Row};

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 560.0;
/// The plot's left, right, top and bottom edges.
const EDGES: (f64, f64, f64, f64) = (90.0, 870.0, 60.0, 480.0);
/// The voters at the ends of the axis.
const NODES: (f64, f64) = (3.0, 5000.0);
const BROADCAST: &str = "#1f5fa8";
const COLLECTOR: &str = "#c4641a";
const SIMULATED: &str = "#12365f";
const JUNO: &str = "#7a7a7a";

/// Where values stand: positions in the picture of voters and rates.
struct Scales {
    rates: (f64, f64),
}

fn between(value: f64, (low, high): (f64, f64), (from, to): (f64, f64)) -> f64 {
    from + (value.ln() - low.ln()) / (high.ln() - low.ln()) * (to - from)
}

impl Scales {
    /// Whole decades around all rates.
    fn of(rows: &[Row]) -> Scales {
        let modelled = rows.iter().flat_map(|r| [r.broadcast.rate, r.collector.rate]);
        let simulated = rows.iter().filter_map(|r| r.simulated.as_ref().map(|s| s.rate));
        let all: Vec<f64> = modelled.chain(simulated).chain(JUNO_2016.iter().map(|(_, rate)| *rate)).collect();
        let low = all.iter().copied().fold(f64::INFINITY, f64::min).max(1.0);
        let high = all.iter().copied().fold(1.0, f64::max);
        Scales { rates: (10f64.powf(low.log10().floor()), 10f64.powf(high.log10().ceil())) }
    }

    fn x(&self, nodes: f64) -> f64 {
        between(nodes, NODES, (EDGES.0, EDGES.1))
    }

    fn y(&self, rate: f64) -> f64 {
        between(rate, self.rates, (EDGES.3, EDGES.2))
    }
}

fn text(out: &mut String, x: f64, y: f64, anchor: &str, more: &str, text: &str) {
    let _ = writeln!(out, r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}"{more}>{text}</text>"#);
}

fn line(out: &mut String, (x1, y1): (f64, f64), (x2, y2): (f64, f64), style: &str) {
    let _ = writeln!(out, r#"<line x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}" {style}/>"#);
}

fn curve(out: &mut String, points: &[(f64, f64)], colour: &str, dashes: &str) {
    let path: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    let style = format!(r#"fill="none" stroke="{colour}" stroke-width="2"{dashes}"#);
    let _ = writeln!(out, r#"<polyline points="{}" {style}/>"#, path.join(" "));
}

fn dot(out: &mut String, (x, y): (f64, f64)) {
    let _ = writeln!(out, r#"<circle cx="{x:.1}" cy="{y:.1}" r="4.5" fill="{SIMULATED}"/>"#);
}

fn square(out: &mut String, (x, y): (f64, f64)) {
    let (x, y) = (x - 4.0, y - 4.0);
    let _ = writeln!(out, r#"<rect x="{x:.1}" y="{y:.1}" width="8" height="8" fill="{JUNO}"/>"#);
}

fn axes(out: &mut String, scales: &Scales) {
    let (left, right, top, bottom) = EDGES;
    let grid = r##"stroke="#dddddd" stroke-width="1""##;
    for nodes in [4, 8, 16, 20, 40, 100, 200, 400, 1000, 2000, 4000] {
        let x = scales.x(f64::from(nodes));
        line(out, (x, top), (x, bottom), grid);
        text(out, x, bottom + 20.0, "middle", "", &nodes.to_string());
    }
    let mut decade = scales.rates.0;
    while decade <= scales.rates.1 * 1.001 {
        for step in [1.0, 2.0, 5.0] {
            let rate = decade * step;
            if rate <= scales.rates.1 * 1.001 {
                let y = scales.y(rate);
                line(out, (left, y), (right, y), grid);
                text(out, left - 8.0, y + 4.0, "end", "", &format!("{rate:.0}"));
            }
        }
        decade *= 10.0;
    }
    let frame = r##"stroke="#333333" stroke-width="1.5""##;
    line(out, (left, bottom), (right, bottom), frame);
    line(out, (left, top), (left, bottom), frame);
    text(out, (left + right) / 2.0, bottom + 45.0, "middle", "", "voters (n)");
    let (x, y) = (24.0, (top + bottom) / 2.0);
    text(out, x, y, "middle", &format!(r#" transform="rotate(-90 {x} {y})""#), "commands per second");
}

fn legend(out: &mut String) {
    let (x, top) = (EDGES.0 + 20.0, EDGES.3 - 100.0);
    let _ = writeln!(
        out,
        r##"<rect x="{:.1}" y="{:.1}" width="420" height="92" fill="#ffffff" stroke="#cccccc"/>"##,
        x - 10.0,
        top - 4.0
    );
    let names = [
        "simulated: production replicas, broadcast",
        "closed form: broadcast",
        "closed form: collector (not built)",
        "Juno, published 2016, other machines",
    ];
    for (n, name) in names.iter().enumerate() {
        let y = top + 14.0 + 21.0 * n as f64;
        match n {
            0 => dot(out, (x + 15.0, y - 4.0)),
            1 => curve(out, &[(x, y - 4.0), (x + 30.0, y - 4.0)], BROADCAST, ""),
            2 => curve(out, &[(x, y - 4.0), (x + 30.0, y - 4.0)], COLLECTOR, r#" stroke-dasharray="7 4""#),
            _ => square(out, (x + 15.0, y - 4.0)),
        }
        text(out, x + 42.0, y, "start", "", name);
    }
}

/// The picture. `rows` ascend in voters.
pub fn svg(rows: &[Row], caption: &str) -> String {
    let scales = Scales::of(rows);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{HEIGHT}\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         font-family=\"sans-serif\" font-size=\"13\">\n<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#ffffff\"/>\n"
    );
    text(&mut out, WIDTH / 2.0, 26.0, "middle", r#" font-size="17""#, "Throughput by number of voters");
    text(&mut out, WIDTH / 2.0, 46.0, "middle", r##" fill="#555555""##, &escaped(caption));
    axes(&mut out, &scales);
    let points = |rate: fn(&Row) -> f64| -> Vec<(f64, f64)> {
        rows.iter().map(|row| (scales.x(row.nodes as f64), scales.y(rate(row)))).collect()
    };
    curve(&mut out, &points(|row| row.broadcast.rate), BROADCAST, "");
    curve(&mut out, &points(|row| row.collector.rate), COLLECTOR, r#" stroke-dasharray="7 4""#);
    for (nodes, rate) in JUNO_2016 {
        square(&mut out, (scales.x(nodes as f64), scales.y(rate)));
    }
    for row in rows {
        if let Some(simulated) = &row.simulated {
            dot(&mut out, (scales.x(row.nodes as f64), scales.y(simulated.rate)));
        }
    }
    legend(&mut out);
    out.push_str("</svg>\n");
    out
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
