//! Files that a request names: what they hold helps, where they lie is found, and nothing of it leaves the machine.

use std::fs;

use serde_json::{Value, json};

use crate::{
    chat::{Chat, Reply},
    pty::ANSWER,
    support::{CMDAI, Outcome, TestEnv},
};

const FILES: [(&str, &str); 4] = [
    ("data/users.csv", "id,name,city,age\n1,Ann,Rome,40\n2,Bo,Oslo,9\n"),
    ("settings.json", "{\"db\": {\"hostname\": \"db1\", \"port\": 1}}"),
    ("src/core/parser.py", "pass\n"),
    ("notes.txt", "a\n"),
];

fn with_files(env: &TestEnv) {
    for (path, content) in FILES {
        let path = env.home().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
}

#[test]
fn files_that_are_named_are_looked_at_and_found() {
    let env = TestEnv::with_model();
    with_files(&env);
    let asked = [
        ("sort data/users.csv by age", "sort -t, -k4"),
        ("print the database host from settings.json", ".db.hostname"),
        ("how many lines are in parser.py", "src/core/parser.py"),
        ("how many lines are in notes.txt", "wc -l notes.txt"),
    ];
    let input: String = asked
        .iter()
        .map(|(request, _)| format!("{}\n", json!({"id": 1, "request": request, "cwd": env.home()})))
        .collect();
    let Outcome { code, stdout, stderr } =
        env.run_with_stdin(&["eval", "--jsonl", "--shell", "bash"], input.as_bytes());
    assert_eq!(code, 0, "{stderr}");
    for (line, (request, part)) in stdout.lines().zip(asked) {
        let row: Value = serde_json::from_str(line).unwrap();
        let command = row["command"].as_str().unwrap();
        assert!(command.contains(part), "{request}: {command}");
        assert_eq!(row["risk"], "safe", "{command}");
    }
}

#[test]
fn what_files_hold_is_not_sent_to_a_remote_engine() {
    let chat = Chat::says(&[ANSWER]);
    let mut env = TestEnv::without_model();
    for (name, value) in [("CMDAI_ENGINE", "remote"), ("CMDAI_REMOTE_URL", &*chat.url)] {
        env.set(name, value);
    }
    with_files(&env);
    let output = env.command(CMDAI).args(["suggest", "sort data/users.csv by age"]).output().expect("cmdai runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let sent: String = chat.seen().into_iter().map(|seen| seen.body).collect();
    assert!(sent.contains("data/users.csv") && !sent.contains("city"), "{sent}");
}

#[test]
fn suggestion_is_for_the_folder_of_the_person() {
    let mut env = TestEnv::without_model();
    let chat = Chat::start(["wc -l parser.py", "rm parser.py"].map(|text| Reply::says(&[text])));
    for (name, value) in [("CMDAI_ENGINE", "remote"), ("CMDAI_REMOTE_URL", &*chat.url)] {
        env.set(name, value);
    }
    with_files(&env);
    let ask = |words: &str| {
        let output = env.command(CMDAI).args(["suggest", "--shell", "bash", words]).output().expect("cmdai runs");
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(ask("lines of parser.py"), "wc -l src/core/parser.py\n");
    assert_eq!(ask("delete parser.py"), "rm parser.py\n", "better nothing is deleted than what was not meant");
}
