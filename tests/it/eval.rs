//! `cmdai eval`: many requests as JSON lines, on the real model.

use serde_json::{Value, json};

use crate::support::{Outcome, TestEnv};

fn rows(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
}

#[test]
fn every_row_is_answered_as_it_would_be_alone() {
    let env = TestEnv::with_model();
    let asked = [
        json!({"id": "a", "request": "find files larger than 10 MB", "cwd": "/", "ls": ["x"]}),
        json!({"id": 2, "request": ""}),
        json!({"id": 3, "request": "delete the file notes.txt"}),
    ];
    let input: String = asked.iter().map(|row| format!("{row}\n")).collect();
    let Outcome { code, stdout, stderr } =
        env.run_with_stdin(&["eval", "--jsonl", "--shell", "bash"], input.as_bytes());
    assert_eq!(code, 0, "{stderr}");
    let rows = rows(&stdout);
    assert_eq!(rows.iter().map(|row| row["id"].clone()).collect::<Vec<_>>(), [json!("a"), json!(2), json!(3)]);
    assert_eq!((&rows[0]["command"], &rows[0]["risk"]), (&json!("find . -type f -size +10M"), &json!("safe")));
    assert_eq!((&rows[1]["command"], &rows[1]["error"]), (&json!(""), &json!("the request is empty")));
    assert_eq!((&rows[2]["command"], &rows[2]["risk"]), (&json!("rm notes.txt"), &json!("caution")));
    assert!(rows[0]["seconds"].as_f64().unwrap() > 0.0);
    assert!(rows[0]["confidence"].as_f64().unwrap() > 0.8, "{}", rows[0]);
    assert!(rows[0].get("alternatives").is_none());
}

#[test]
fn broken_row_is_named_by_its_number() {
    let input = b"{\"id\": 1, \"request\": \"list files\"}\n\n{\"id\": 2}\n";
    let Outcome { code, stdout, stderr } = TestEnv::with_model().run_with_stdin(&["eval", "--jsonl"], input);
    assert_eq!((code, rows(&stdout).len()), (1, 1), "{stderr}");
    assert!(stderr.starts_with("cmdai: could not read row 3: missing field `request`"), "{stderr}");
}
