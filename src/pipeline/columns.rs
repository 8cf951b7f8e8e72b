//! The separator of a table in the commands that read it: a model that was shown `id;name;age` counts the columns right and
//! then forgets `-F';'`.

use std::ops::Range;

use super::repair::edited;
use crate::{
    request::{Excerpt, Shell},
    safety,
};

/// What may separate columns.
const SEPARATORS: [char; 4] = [',', ';', '\t', '|'];

/// Programs that hand on lines with the columns in them.
const HAND_ON: [&str; 7] = ["cat", "cut", "grep", "head", "shuf", "sort", "tail"];

/// `command` with the separator of the table `excerpt` for each `awk`, `cut` and `sort` by column that reads it, itself or
/// through a pipe.
pub(super) fn separated(command: &str, excerpt: &Excerpt, shell: Shell) -> String {
    let Some(separator) = excerpt.separator else { return command.to_owned() };
    let text = |range: &Range<usize>| &command[range.clone()];
    let is_table = |range: &Range<usize>| text(range).trim_matches(['\'', '"']) == excerpt.file;
    let inputs = safety::inputs(command, shell);
    let mut edits = Vec::new();
    let mut end_of_table = None;
    for words in safety::commands(command, shell) {
        let (Some(first), Some(last)) = (words.first(), words.last()) else { continue };
        let input = inputs.iter().find(|input| input.start >= last.end && command[last.end..input.start].trim() == "<");
        let piped =
            end_of_table.is_some_and(|end: usize| command.get(end..first.start).is_some_and(|t| t.trim() == "|"));
        // The first operand of grep is what it looks for; behind an option a file may be written.
        let operands = words.windows(2).filter(|pair| !matches!(text(&pair[0]), "grep" | "-o" | "-e"));
        let reads = piped || operands.map(|pair| &pair[1]).any(is_table) || input.is_some_and(is_table);
        if reads {
            edits.extend(edit(command, &words, separator, shell));
        }
        end_of_table = (reads && hands_on(command, &words)).then_some(input.map_or(last.end, |input| input.end));
    }
    edited(command, edits)
}

/// Whether what a command writes has the columns of what it reads, with the same between them.
fn hands_on(command: &str, words: &[Range<usize>]) -> bool {
    let Some((name, arguments)) = words.split_first() else { return false };
    let mut arguments = arguments.iter().map(|word| &command[word.clone()]);
    match &command[name.clone()] {
        "grep" => !arguments.any(|word| word.starts_with('-') && word.contains(['o', 'c', 'n', 'H', 'r', 'l'])),
        "cut" => {
            let several =
                |word: &str| word.trim_start_matches("-f").contains([',', '-']) && word != "--output-delimiter";
            arguments.clone().any(|word| word.starts_with("-f") && several(word))
                && !arguments.any(|word| word.starts_with("--output"))
        }
        name => HAND_ON.contains(&name),
    }
}

/// Gives one program the separator, if it takes one and has another or none.
fn edit(command: &str, words: &[Range<usize>], separator: char, shell: Shell) -> Option<(Range<usize>, String)> {
    let text = |word: &Range<usize>| &command[word.clone()];
    let (name, arguments) = words.split_first()?;
    let (option, long) = match text(name) {
        "awk" | "gawk" | "mawk" => ("-F", "--field-separator"),
        "cut" => ("-d", "--delimiter"),
        "sort" => ("-t", "--field-separator"),
        _ => return None,
    };
    let has = |prefix: &str| arguments.iter().position(|word| text(word).starts_with(prefix));
    let needs = match option {
        "-F" => !command.contains("FS") && arguments.iter().any(|word| names_a_column(text(word))),
        "-d" => has("-f").or(has("--fields")).is_some(),
        _ => has("-k").or(has("--key")).is_some(),
    };
    if !needs || has(long).is_some() {
        return None;
    }
    let quoted = match (separator, option) {
        (',', _) => ",".to_owned(),
        // awk reads it itself, the others want the character.
        ('\t', "-F") => r"'\t'".to_owned(),
        ('\t', _) if shell == Shell::Fish => r"\t".to_owned(),
        ('\t', _) => r"$'\t'".to_owned(),
        (other, _) => format!("'{other}'"),
    };
    let Some(at) = has(option) else {
        // A tab is what cut takes.
        let new = (separator, option) != ('\t', "-d");
        return new.then(|| (name.end..name.end, format!(" {option}{quoted}")));
    };
    let of =
        |value: &str| SEPARATORS.into_iter().find(|separator| value.trim_matches(['\'', '"']) == separator.to_string());
    let value = text(&arguments[at]).strip_prefix(option)?;
    let (range, value) = match value {
        "" => (arguments.get(at + 1)?.clone(), text(arguments.get(at + 1)?)),
        value => (arguments[at].end - value.len()..arguments[at].end, value),
    };
    // One that is no separator of tables is meant.
    of(value).filter(|given| *given != separator).map(|_| (range, quoted))
}

/// Whether a program of awk's speaks of a column: `$2`, `$NF`.
fn names_a_column(program: &str) -> bool {
    let column = |rest: &str| rest.starts_with(|c: char| ('1'..='9').contains(&c)) || rest.starts_with("NF");
    program.match_indices('$').any(|(at, _)| column(&program[at + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(command: &str, separator: char, shell: Shell) -> String {
        let excerpt = Excerpt { file: "d/a.csv".into(), text: "1 id, 2 age".into(), separator: Some(separator) };
        separated(command, &excerpt, shell)
    }

    #[test]
    fn table_is_read_by_its_own_separator() {
        for (written, separator, meant) in [
            ("awk '{s += $2} END {print s}' d/a.csv", ',', "awk -F, '{s += $2} END {print s}' d/a.csv"),
            ("awk -F, '{print $2}' d/a.csv", ';', "awk -F';' '{print $2}' d/a.csv"),
            ("awk -F ',' '{print $2}' d/a.csv", ';', "awk -F ';' '{print $2}' d/a.csv"),
            ("sort -k2,2n 'd/a.csv' | head -3", ',', "sort -t, -k2,2n 'd/a.csv' | head -3"),
            ("sort -k2n d/a.csv", '\t', r"sort -t$'\t' -k2n d/a.csv"),
            (
                "tail -n +2 d/a.csv | cut -d, -f2,3 | sort -k1",
                '|',
                "tail -n +2 d/a.csv | cut -d'|' -f2,3 | sort -t'|' -k1",
            ),
            ("tail -n +2 < d/a.csv | cut -f2", ',', "tail -n +2 < d/a.csv | cut -d, -f2"),
            ("x=$(grep a d/a.csv | awk '$1 > 2' | sort -k2)", ',', "x=$(grep a d/a.csv | awk -F, '$1 > 2' | sort -k2)"),
        ] {
            assert_eq!(of(written, separator, Shell::Bash), meant);
            assert_eq!(of(meant, separator, Shell::Zsh), meant, "already right");
        }
        assert_eq!(of("sort -k2 d/a.csv", '\t', Shell::Fish), r"sort -t\t -k2 d/a.csv");
        for (right, separator) in [
            ("awk '{s += $2}' other.csv", ','),
            ("awk 'END {print NR}' d/a.csv", ','),
            ("awk 'BEGIN {FS=\",\"} {print $2}' d/a.csv", ','),
            ("awk -F@ '{print $2}' d/a.csv", ','),
            ("wc -l d/a.csv; ps aux | awk '{print $2}' | sort -k2", ','),
            ("cut -f2 d/a.csv", '\t'),
            ("cut -d, -f2 d/a.csv | awk '{print $1}'", ','),
            ("sort -t, -k1 d/a.csv | uniq -c | awk '$1 > 2'", ','),
            ("sed 's/,/ /g' d/a.csv | awk '{print $2}'", ','),
            ("grep d/a.csv access.log | awk '{print $1}'", ','),
            ("grep -c a d/a.csv | awk '{print $1}'", ','),
            ("sort -k2 names.txt -o d/a.csv", ','),
            ("sort d/a.csv | uniq -c", ','),
        ] {
            assert_eq!(of(right, separator, Shell::Bash), right);
        }
    }
}
