//! Text written where it will run later: start-up files, scheduled jobs, units and agents.

use super::target::{self, Target};
use super::walk::Walker;
use super::word::{Flow, Span};

impl Walker {
    /// Judges `out`, written into `path`, as the code that it becomes.
    pub(super) fn lasting(&mut self, path: &str, out: &Flow, span: Span) {
        let Some(text) = out.text.as_deref().filter(|text| !text.is_empty()) else { return };
        if path.contains("/LaunchAgents/") || path.contains("/LaunchDaemons/") {
            self.property_list(text, span);
        } else if path.contains("/systemd/") || path.ends_with(".service") || path.ends_with(".desktop") {
            for line in text.lines() {
                let setting = line.split_once('=').filter(|(key, _)| key.starts_with("Exec"));
                if let Some((_, code)) = setting {
                    self.run_text(code.trim_start_matches(['-', '+', '!', '@']), span);
                }
            }
        } else if path.contains("/cron") || path.starts_with("/var/spool/") {
            self.jobs(text, span);
        } else if target::classify(path, None) == Target::Startup && !path.ends_with("config") {
            self.run_text(text, span);
        }
    }

    /// Lines of a crontab: the command behind the five fields or `@daily`.
    pub(super) fn jobs(&mut self, text: &str, span: Span) {
        for line in text.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
            let fields = if line.starts_with('@') { 1 } else { 5 };
            let mut rest = line;
            for _ in 0..fields {
                rest = rest.split_once([' ', '\t']).map_or("", |(_, rest)| rest.trim_start());
            }
            if !rest.is_empty() {
                self.run_text(rest, span);
            }
        }
    }

    /// The strings of a property list, the one behind `-c` as code.
    fn property_list(&mut self, text: &str, span: Span) {
        let strings: Vec<String> = text
            .split("<string>")
            .skip(1)
            .filter_map(|part| part.split_once("</string>"))
            .map(|(inside, _)| {
                inside.replace("&gt;", ">").replace("&lt;", "<").replace("&quot;", "\"").replace("&amp;", "&")
            })
            .collect();
        strings.iter().filter(|string| string.contains(' ')).for_each(|string| self.run_text(string, span));
        self.run_text(&strings.join(" "), span);
    }
}
