//! The numbers in plain words.

use indicatif::HumanCount;

use super::{BlastRadius, Extent, Tally};

impl BlastRadius {
    /// What there is to say behind `reason`, the worst that the rater has to say; its verb is not said twice.
    pub fn behind(&self, reason: &str) -> Option<String> {
        if self.nothing {
            return Some("nothing there now".into());
        }
        let said = [("deletes", self.deleted), ("moves", self.moved), ("overwrites", self.overwritten)];
        let said: Vec<(&str, String)> = said.iter().filter_map(|(verb, tally)| Some((*verb, tally.words()?))).collect();
        match said.as_slice() {
            [] => None,
            [(verb, words)] if reason.starts_with(verb) => Some(words.clone()),
            said => Some(said.iter().map(|(verb, words)| format!("{verb} {words}")).collect::<Vec<_>>().join("; ")),
        }
    }
}

impl Tally {
    /// `1,284 files, 3.1 GB, 2 git repositories`; none for nothing.
    fn words(&self) -> Option<String> {
        let extent = match self.extent {
            Extent::All => "",
            Extent::AtLeast => "at least ",
            Extent::MoreThan => "more than ",
        };
        if self.files == 0 {
            let folders = match self.extent {
                Extent::All => ("empty folder", "empty folders"),
                _ => ("folder", "folders"),
            };
            return (self.folders > 0).then(|| format!("{extent}{}", several(self.folders, folders)));
        }
        let mut words = format!("{extent}{}, {}", several(self.files, ("file", "files")), size(self.bytes));
        if self.git_repositories > 0 {
            words.push_str(&format!(", {}", several(self.git_repositories, ("git repository", "git repositories"))));
        }
        Some(words)
    }
}

fn several(count: u64, (one, many): (&str, &str)) -> String {
    format!("{} {}", HumanCount(count), if count == 1 { one } else { many })
}

/// Two digits that count, in powers of a thousand.
fn size(bytes: u64) -> String {
    let mut size = bytes as f64;
    let mut unit = None;
    for next in ["kB", "MB", "GB", "TB", "PB", "EB"] {
        if size < 999.5 {
            break;
        }
        (size, unit) = (size / 1000.0, Some(next));
    }
    match unit {
        None => several(bytes, ("byte", "bytes")),
        Some(unit) if size < 9.95 => format!("{size:.1} {unit}"),
        Some(unit) => format!("{size:.0} {unit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(files: u64, folders: u64, bytes: u64, git_repositories: u64, extent: Extent) -> Tally {
        Tally { files, folders, bytes, git_repositories, extent }
    }

    #[test]
    fn tally_is_said_in_plain_words() {
        for (tally, words) in [
            (tally(1284, 96, 3_100_000_000, 2, Extent::All), Some("1,284 files, 3.1 GB, 2 git repositories")),
            (tally(1, 0, 1, 1, Extent::All), Some("1 file, 1 byte, 1 git repository")),
            (tally(1, 1, 0, 0, Extent::AtLeast), Some("at least 1 file, 0 bytes")),
            (tally(200_000, 1, 12_345, 0, Extent::MoreThan), Some("more than 200,000 files, 12 kB")),
            (tally(0, 1, 0, 0, Extent::All), Some("1 empty folder")),
            (tally(0, 2, 0, 0, Extent::AtLeast), Some("at least 2 folders")),
            (tally(0, 0, 0, 0, Extent::AtLeast), None),
        ] {
            assert_eq!(tally.words().as_deref(), words);
        }
    }

    #[test]
    fn size_has_two_digits_that_count() {
        for (bytes, words) in [
            (0, "0 bytes"),
            (999, "999 bytes"),
            (1000, "1.0 kB"),
            (9949, "9.9 kB"),
            (9950, "10 kB"),
            (999_499, "999 kB"),
            (999_500, "1.0 MB"),
            (3_111_111_111, "3.1 GB"),
            (u64::MAX, "18 EB"),
        ] {
            assert_eq!(size(bytes), words);
        }
    }

    #[test]
    fn verb_is_said_unless_the_reason_has_said_it() {
        let mut radius = BlastRadius { deleted: tally(2, 0, 30, 0, Extent::All), ..BlastRadius::default() };
        assert_eq!(radius.behind("deletes files for good").unwrap(), "2 files, 30 bytes");
        assert_eq!(radius.behind("runs as administrator").unwrap(), "deletes 2 files, 30 bytes");
        radius.overwritten = tally(1, 0, 2000, 0, Extent::All);
        assert_eq!(radius.behind("deletes files").unwrap(), "deletes 2 files, 30 bytes; overwrites 1 file, 2.0 kB");
        assert_eq!(BlastRadius::default().behind("deletes files"), None);
        assert_eq!(BlastRadius { nothing: true, ..BlastRadius::default() }.behind("").unwrap(), "nothing there now");
    }
}
