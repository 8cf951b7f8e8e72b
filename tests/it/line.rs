//! What the core does for a line besides the first suggestion: a further one, a changed one, an explanation.

use cmdai::server::protocol::{Job, Task};

use crate::{
    chat::{Chat, Reply},
    resident::{Peer, Resident, SHORT},
    support::{Outcome, TestEnv},
};

const WORDS: &str = "show disk usage of each folder here";

fn widget(env: &TestEnv, args: &[&str], line: &str) -> String {
    let outcome = env.run_with_stdin(&[&["widget", "--shell", "bash"], args].concat(), line.as_bytes());
    assert_eq!(outcome.stderr, "");
    outcome.stdout
}

/// A home whose engine is `chat`.
fn asking(chat: &Chat) -> TestEnv {
    let mut env = TestEnv::without_model();
    env.set("CMDAI_REMOTE_URL", &chat.url);
    env.set("CMDAI_ENGINE", "remote");
    env
}

#[test]
fn server_goes_on_from_the_candidates_it_has_made() {
    let home = Resident::new();
    home.start();
    let mut peer = Peer::greeted(&home.socket());
    let job = |alternatives| {
        let Job { task: Task::Suggest(mut request), target } = home.job(WORDS) else { unreachable!() };
        request.alternatives = alternatives;
        Job { task: Task::Suggest(request), target }
    };
    let (fresh, whole) = peer.suggest(job(3));
    peer.suggest(home.job(SHORT.0));
    let mut commands = Vec::new();
    let mut decoded = 0;
    for alternatives in 1..=3 {
        let (made, timing) = peer.suggest(job(alternatives));
        assert_eq!(made.len(), alternatives);
        decoded += timing.decoded_tokens;
        commands.push(made.last().unwrap().command.clone());
    }
    assert_eq!(commands, fresh.into_iter().map(|made| made.command).collect::<Vec<_>>());
    assert_eq!(decoded, whole.decoded_tokens, "nothing is written twice");
    let (again, timing) = peer.suggest(job(1));
    assert_eq!((again.len(), timing.decoded_tokens > 0), (1, true), "a new request is a new answer");
}

#[test]
fn candidate_of_a_widget_is_that_alternative_with_and_without_a_server() {
    let mut env = Resident::warm();
    for server in ["1", "0"] {
        env.set("CMDAI_SERVER", server);
        let all = env.run(&["suggest", "--shell", "bash", "--alternatives", "3", WORDS]).stdout;
        assert_eq!(all.lines().count(), 3, "{all}");
        for (n, command) in all.lines().enumerate() {
            let answer = widget(&env, &["--candidate", &(n + 1).to_string()], &format!("# {WORDS}"));
            let mut lines = answer.lines();
            assert!(lines.next().is_some_and(|status| status.starts_with('0')), "{answer}");
            assert_eq!(lines.nth(1), Some(command));
        }
    }
}

#[test]
fn widget_says_that_there_is_no_further_candidate() {
    let chat = Chat::start(vec![Reply::says(&["ls"]); 9]);
    let env = asking(&chat);
    assert_eq!(widget(&env, &[], "list"), "0\nsafe\nls");
    assert_eq!(widget(&env, &["--candidate", "2"], "list"), "5\nthere is no other suggestion\n");
}

#[test]
fn words_behind_a_command_are_asked_with_it() {
    let chat = Chat::says(&["ls -lS"]);
    let env = asking(&chat);
    assert_eq!(widget(&env, &[], "ls -l # by size"), "0\nsafe\nls -lS");
    assert!(chat.seen()[0].body.contains(r#"# ls -l, but by size\n""#), "{}", chat.seen()[0].body);
}

#[test]
fn slot_and_risk_come_with_the_command_and_a_dangerous_one_as_it_is_wanted() {
    let answers = ["cat <file>", "rm -r src", "rm -rf /", "rm -rf /", "rm -rf /", "rm -rf /"];
    let chat = Chat::start(answers.map(|answer| Reply::says(&[answer])));
    let mut env = asking(&chat);
    assert_eq!(widget(&env, &[], "x"), "0 5\nsafe\ncat '<file>'");
    assert!(widget(&env, &[], "x").starts_with("0\ncaution: "));
    let warned = widget(&env, &[], "x");
    assert!(warned.starts_with("0\ndangerous: ") && warned.ends_with("\nrm -rf /"), "{warned}");
    env.set("CMDAI_DANGEROUS", "comment");
    assert!(widget(&env, &[], "x").ends_with("\n# rm -rf /"));
    env.set("CMDAI_DANGEROUS", "refuse");
    assert!(widget(&env, &[], "x").starts_with("2\nthe suggestion was refused, dangerous: "));
    env.set("CMDAI_DANGEROUS", "never");
    assert!(widget(&env, &[], "x").contains("wanted warn, comment or refuse, found \"never\""));
}

#[test]
fn explanation_has_a_line_for_each_part_and_the_risk_is_the_rater_s() {
    let mut env = Resident::warm();
    let command = "sudo rm -rf /etc | wc -l";
    let [with, without] = ["1", "0"].map(|server| {
        env.set("CMDAI_SERVER", server);
        let Outcome { code, stdout, stderr } = env.run(&["explain", "--shell", "bash", command]);
        assert_eq!(code, 0, "{stderr}");
        assert!(stderr.starts_with("dangerous: "), "{stderr}");
        stdout
    });
    assert_eq!(with, without);
    let parts: Vec<&str> = with.lines().map(|line| line.split("  ").next().unwrap()).collect();
    assert_eq!(parts, ["sudo rm", "-rf /etc", "wc", "-l"]);
    let shown = widget(&env, &["--explain"], command);
    let (status, rest) = shown.split_once('\n').unwrap();
    assert!(status == "0" && rest.starts_with("dangerous: ") && rest.ends_with(with.trim_end()), "{shown}");
    assert!(widget(&env, &["--explain"], " ").starts_with("2\n"));
}
