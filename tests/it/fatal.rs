//! What ends a process in the middle of computing, without a server to catch it: the person has an answer or an error's
//! line, never a core dump.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Read, Write},
    process::Stdio,
};

use crate::{
    resident::{FILE, LONG, Resident, SHORT, finish},
    server_faults::own_store,
    support::{CMDAI, Outcome, model},
};

const CUT: &str = "the model's file was cut short while it was being read";

#[test]
fn model_cut_short_under_a_request_is_one_clean_error() {
    let mut home = Resident::new();
    home.set("CMDAI_SERVER", "0");
    let store = own_store(&mut home);
    for words in [LONG, SHORT.0] {
        let mut command = home.command(CMDAI);
        command.args(["widget", "--shell", "zsh", "--stream"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut widget = command.spawn().expect("it runs");
        widget.stdin.take().expect("piped").write_all(words.as_bytes()).expect("its line");
        let mut output = BufReader::new(widget.stdout.take().expect("piped"));
        let mut reply = String::new();
        output.read_line(&mut reply).expect("a preview");
        assert!(reply.starts_with('~'), "it computes: {reply}");
        File::options().write(true).open(store.join(FILE)).and_then(|file| file.set_len(1 << 20)).expect("it is cut");
        reply.clear();
        output.read_to_string(&mut reply).expect("the rest");
        let Outcome { code, stderr, .. } = finish(widget);
        let last: Vec<&str> = reply.lines().filter(|line| !line.starts_with('~')).collect();
        assert_eq!((code, stderr.as_str()), (1, ""), "{reply}");
        assert_eq!(last, ["1", &format!("{CUT}; run cmdai model verify")]);
        fs::copy(model(FILE), store.join(FILE)).expect("a copy");
    }
    home.answers(SHORT);
}

#[test]
fn memory_that_does_not_suffice_is_an_error_and_no_abort_at_every_size() {
    let mut home = Resident::new();
    home.set("CMDAI_SERVER", "0");
    let mut answered = 0;
    // Kilobytes of address space: from too little to map the file to more than enough. At 20,000 the loader has no room for
    // the program itself.
    for limit in (40_000..=640_000).step_by(20_000) {
        let cache = home.home().join(limit.to_string());
        let script = format!("ulimit -c 0 -v {limit}; exec \"$0\" \"$@\"");
        let mut command = home.command("bash");
        command.args(["-c", &script, CMDAI, SHORT.0]).env("CMDAI_CACHE_DIR", cache);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let outcome = finish(command.spawn().expect("bash runs"));
        let is_answer = (outcome.code, outcome.stdout.as_str()) == (0, SHORT.1);
        // Rust says itself which allocation failed, before the line that is ours.
        let is_error = outcome.code == 1 && outcome.stdout.is_empty() && outcome.stderr.contains("cmdai: ");
        assert!(is_answer || is_error, "{limit}: {} {:?} {}", outcome.code, outcome.stdout, outcome.stderr);
        answered += usize::from(is_answer);
    }
    assert!((1..31).contains(&answered), "{answered}");
}
