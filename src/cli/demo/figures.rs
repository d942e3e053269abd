//! The table at the end.

use std::time::Duration;

use client::load::Report;

use crate::cli::ceiling::Ceiling;
use crate::cli::style;

/// What the demo measured.
#[derive(Default)]
pub(super) struct Figures {
    pub loads: Vec<(String, Report)>,
    pub liar: Option<Report>,
    pub ceiling: Option<Ceiling>,
    pub outage: Option<Duration>,
    pub elapsed: Duration,
}

/// A report in one line.
pub(super) fn line(report: &Report) -> String {
    format!(
        "{} commands in {:.2} s: {:.0} per second, p50 {:.1} ms, p99 {:.1} ms",
        report.count,
        report.elapsed.as_secs_f64(),
        report.rate(),
        report.latency_ms(0.5),
        report.latency_ms(0.99)
    )
}

impl Figures {
    pub fn print(&self) {
        let ceiling = self.ceiling.map(|c| c.rate());
        let mut rows = Vec::new();
        for (name, report) in
            self.loads.iter().map(|(n, r)| (n.as_str(), r)).chain(self.liar.as_ref().map(|r| ("2000 with a liar", r)))
        {
            let share = ceiling.map_or_else(String::new, |c| format!("{:.0} %", 100.0 * report.rate() / c));
            rows.push(vec![
                name.to_owned(),
                format!("{:.0}", report.rate()),
                share,
                format!("{:.1}", report.latency_ms(0.5)),
                format!("{:.1}", report.latency_ms(0.99)),
            ]);
        }
        let table = style::table(&["load", "commands/s", "of ceiling", "p50 ms", "p99 ms"], &rows);
        anstream::println!("\n{table}");
        if let Some(c) = self.ceiling {
            anstream::println!(
                "ceiling {:.0} commands/s: {} processors shared by {} replicas that each check ({:.1} us) and execute ({:.1} us) \
                 every command, and a client that signs ({:.1} us)",
                c.rate(),
                c.processors,
                c.replicas,
                c.verify_us,
                c.execute_us,
                c.sign_us
            );
        }
        anstream::println!("{}", style::paint(style::RESULT, format!("done in {:.0} s", self.elapsed.as_secs_f64())));
    }
}
