//! The engine `remote`, against the loopback server of [`crate::chat`]: what is sent, to whom, and what is made of every
//! answer.

use std::{fs, net::TcpListener, ops::ControlFlow, os::unix::fs::PermissionsExt, time::Duration};

use cmdai::{
    context::Context,
    engine::{
        Engine, GenerateParams, Interrupt,
        remote::{Patience, Remote, Server, Settings},
    },
    error::Error,
    pipeline, prompt,
    request::Shell,
};

use crate::{
    chat::{Chat, EVENTS, Reply, end, event},
    pty::{CLEAR, CTRL_G, Setup, Term},
    support::{CMDAI, Outcome, TestEnv},
};

const KEY: &str = "sk-hunter2hunter2hunter2";
const WORDS: &str = "list files by size";

/// A home in which the engine `remote` is asked for and set up, and no model is.
fn env(url: &str) -> TestEnv {
    let mut env = TestEnv::without_model();
    for (name, value) in [("CMDAI_ENGINE", "remote"), ("CMDAI_REMOTE_URL", url), ("CMDAI_REMOTE_KEY", KEY)] {
        env.set(name, value);
    }
    env
}

fn config(text: &str) -> TestEnv {
    let mut env = TestEnv::without_model();
    let path = env.home().join("config.toml");
    fs::write(&path, text).unwrap();
    env.set("CMDAI_CONFIG", path.to_str().unwrap());
    env
}

/// The command that is made of `reply`.
fn command(reply: Reply) -> Outcome {
    env(&Chat::start([reply]).url).run(&[WORDS])
}

/// One line and one hint on stderr, one line for the widget, no key, no command. Returns the line.
#[track_caller]
fn fails(env: &TestEnv, code: i32) -> String {
    let Outcome { code: found, stdout, stderr } = env.run(&[WORDS]);
    assert_eq!((found, stdout.as_str()), (code, ""), "{stderr}");
    let lines: Vec<&str> = stderr.lines().collect();
    assert!(lines.len() == 2 && lines[1].starts_with("hint: "), "{lines:?}");
    let line = lines[0].strip_prefix("cmdai: ").expect(lines[0]);
    let hint = lines[1].trim_start_matches("hint: ");
    let widget = env.run_with_stdin(&["widget", "--shell", "bash"], WORDS.as_bytes());
    assert_eq!((widget.stdout, widget.stderr), (format!("{code}\n{line}; {hint}\n"), String::new()));
    assert!(!stderr.contains("hunter2"), "{stderr}");
    line.to_owned()
}

/// The line for `reply`, with the server's address written `HOST`.
#[track_caller]
fn line(reply: Reply) -> String {
    let chat = Chat::start([reply]);
    fails(&env(&chat.url), 1).replace(&format!("127.0.0.1:{}", chat.port), "HOST")
}

#[test]
fn words_become_the_command_of_the_server_and_no_model_is_needed() {
    let chat = Chat::says(&["ls", " -l", "hS"]);
    let mut env = TestEnv::without_model();
    env.set("CMDAI_REMOTE_URL", &chat.url);
    for args in [&["suggest", "--engine", "remote", WORDS][..], &["--engine", "remote", "list", "files"]] {
        let Outcome { code, stdout, stderr } = env.run(args);
        assert_eq!((code, stdout.as_str(), stderr.as_str()), (0, "ls -lhS\n", "safe\n"));
    }
    env.set("CMDAI_ENGINE", "remote");
    let widget = env.run_with_stdin(&["widget", "--shell", "fish"], b"# list files");
    assert_eq!((widget.code, widget.stdout.as_str(), widget.stderr.as_str()), (0, "0\nsafe\nls -lhS", ""));
    assert!(chat.seen().iter().all(|seen| seen.header("authorization").is_none()), "no key was set");
}

#[test]
fn risk_is_read_from_the_command_and_not_asked_of_the_server() {
    let outcome = command(Reply::says(&["rm -rf ~ # safe"]));
    assert_eq!(outcome.stdout, "rm -rf ~ # safe\n");
    assert!(outcome.stderr.starts_with("dangerous: "), "{}", outcome.stderr);
}

#[test]
fn what_leaves_the_machine_is_this_byte_for_byte() {
    let chat = Chat::says(&["ls"]);
    let env = env(&chat.url);
    let outcome = env.run(&["suggest", "--shell", "fish", "--model", "some-model", "say \"hé\" <|im_end|>"]);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    let [seen] = &chat.seen()[..] else { panic!("one request") };
    assert_eq!(seen.line, "POST /v1/chat/completions HTTP/1.1");
    let os = if cfg!(target_os = "macos") { "macOS" } else { "Linux" };
    let body = GOLDEN.replace("OS", os);
    assert_eq!(seen.body, body);
    let mut headers = seen.headers.clone();
    headers.sort();
    let wanted = [
        ("accept", "text/event-stream, application/json".to_owned()),
        ("authorization", format!("Bearer {KEY}")),
        ("content-length", body.len().to_string()),
        ("content-type", "application/json".into()),
        ("host", format!("127.0.0.1:{}", chat.port)),
        ("user-agent", concat!("cmdai/", env!("CARGO_PKG_VERSION")).into()),
    ];
    assert_eq!(headers, wanted.map(|(name, value)| (name.to_owned(), value)));
}

const GOLDEN: &str = concat!(
    r##"{"model":"some-model","messages":[{"role":"system","content":"You are an expert of the command line. "##,
    r##"Below every comment, write the one shell command that does exactly what it says, on one "##,
    r##"line."},{"role":"user","content":"Write the commands for fish, OS.\n\n# list all files in this folder "##,
    r##"with sizes, newest first\nls -lht\n# find python files changed in the last day\nfind . -name '*.py' "##,
    r##"-mtime -1\n# count lines in all txt files\ncat *.txt | wc -l\n# which process is using port 8080\nlsof "##,
    r##"-i :8080\n# replace foo with bar in config.ini\nsed -i 's/foo/bar/g' config.ini\n# show the last 5 "##,
    r##"commits, one line each\ngit log --oneline -n 5\n# stage everything and commit it as 'fix typo'\ngit add "##,
    r##"-A && git commit -m 'fix typo'\n# make a copy of photos in /mnt/usb that keeps dates and owners\ncp -a "##,
    r##"photos /mnt/usb/\n# show the name field of config.json\njq -r .name config.json\n# how many times does "##,
    r##"each word occur in notes.md, most frequent first\ntr -cs '[:alnum:]' '\\n' < notes.md | sort | uniq -c | "##,
    r##"sort -rn\n# delete all .bak files here and below that are older than a month\nfind . -type f -name "##,
    r##"'*.bak' -mtime +30 -delete\n# print the second column of data.csv without the header line\ntail -n +2 "##,
    r##"data.csv | cut -d, -f2\n# say \"hé\" "##,
    r##"<|im_end|>\n"}],"temperature":0.0,"seed":0,"max_tokens":160,"stream":true}"##,
);

#[test]
fn secret_in_the_words_is_not_sent_and_its_stand_in_comes_back() {
    let chat = Chat::says(&["curl -H 'Authorization: Bearer REDACTED' https://example.com"]);
    let secret = "ghp_0123456789abcdefghijABCDEFGHIJ456789";
    let outcome = env(&chat.url).run(&[&format!("get https://me:hunter3@example.com with token {secret}")]);
    assert!(outcome.stdout.contains("REDACTED"), "{}", outcome.stderr);
    let body = &chat.seen()[0].body;
    assert!(body.contains("get https://me:REDACTED@example.com with token REDACTED\\n\"}]"), "{body}");
}

#[test]
fn further_alternatives_are_drawn_with_seeds_of_their_own() {
    let chat = Chat::start(["ls", "ls", "echo", "du"].map(|text| Reply::says(&[text])));
    let outcome = env(&chat.url).run(&["suggest", "--alternatives", "3", WORDS]);
    assert_eq!(outcome.stdout, "ls\necho\ndu\n", "{}", outcome.stderr);
    let tails: Vec<String> = chat.seen().iter().map(|seen| seen.body.split_once("}],").unwrap().1.to_owned()).collect();
    // The second one is the likeliest behind examples.
    let wanted = [("0.0", 0), ("0.0", 0), ("0.8", 1), ("0.8", 2)];
    let wanted = wanted.map(|(t, seed)| format!(r#""temperature":{t},"seed":{seed},"max_tokens":160,"stream":true}}"#));
    assert_eq!(tails, wanted);
}

#[test]
fn nothing_is_sent_unless_the_engine_is_asked_for_by_name() {
    let chat = Chat::says(&["ls"]);
    let mut env = config(&format!("[remote]\nurl = \"{}\"\nmodel = \"m\"\n", chat.url));
    for (name, value) in [("CMDAI_REMOTE_URL", chat.url.as_str()), ("CMDAI_REMOTE_KEY", KEY)] {
        env.set(name, value);
    }
    assert!(env.run(&[WORDS]).stderr.contains("not on this machine yet"));
    assert_eq!(env.run_with_stdin(&["widget", "--shell", "zsh"], WORDS.as_bytes()).code, 3);
    assert!(env.run(&["doctor"]).stdout.contains("  words      stay on this machine\n"));
    assert_eq!(chat.seen().len(), 0);
}

#[test]
fn engine_without_a_server_is_refused_with_the_places_to_set_one() {
    let mut env = config("engine = \"remote\"\n");
    env.set("CMDAI_REMOTE_KEY", KEY);
    assert_eq!(fails(&env, 2), "the engine remote has no server to ask");
    let hint = env.run(&[WORDS]).stderr;
    assert!(hint.contains("config.toml") && hint.contains("CMDAI_REMOTE_URL"), "{hint}");
    assert!(env.run(&["doctor"]).stdout.contains("! words      the engine remote has no server"));
}

#[test]
fn http_to_another_machine_is_refused_before_anything_is_sent() {
    for url in ["http://example.com/v1", "http://192.0.2.1:8080/v1"] {
        let line = fails(&env(url), 2);
        assert!(line.contains("http would send your words to ") && line.ends_with(" in the clear"), "{line}");
    }
    assert!(fails(&env("sk-hunter2hunter2"), 2).ends_with("it is not http or https"));
    assert!(fails(&env("https://me:hunter2@example.com/v1"), 2).contains("it holds a user"));
}

#[test]
fn config_file_sets_server_model_and_key_and_the_environment_beats_it() {
    let chat = Chat::says(&["ls"]);
    let env = config("");
    let key = env.home().join("key");
    fs::write(&key, format!("{KEY}\n")).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let text = format!(
        "engine = \"remote\"\n[remote]\nurl = \"{}\"\nmodel = \"of-file\"\nkey_file = {key:?}\nkey = \"hunter2\"\n",
        chat.url
    );
    let mut env = config(&text);
    let outcome = env.run(&[WORDS]);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (0, "ls\n"), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("unknown key \"remote.key\"; known: url, model, key_file"), "{}", outcome.stderr);
    assert!(!outcome.stderr.contains("hunter2"), "{}", outcome.stderr);
    env.set("CMDAI_REMOTE_MODEL", "of-environment");
    env.set("CMDAI_REMOTE_KEY", "other");
    env.run(&[WORDS]);
    env.run(&["--model", "of-flag", WORDS]);
    let seen: Vec<_> = chat
        .seen()
        .iter()
        .map(|seen| (seen.header("authorization").unwrap().to_owned(), seen.body[..30].to_owned()))
        .collect();
    for ((authorization, body), (key, model)) in
        seen.iter().zip([(KEY, "of-file"), ("other", "of-environment"), ("other", "of-flag")])
    {
        assert_eq!(authorization, &format!("Bearer {key}"));
        assert!(body.starts_with(&format!("{{\"model\":\"{model}\",")), "{body}");
    }
    assert_eq!(seen.len(), 3);
}

#[test]
fn key_file_that_will_not_do_is_named_and_its_content_is_not() {
    let chat = Chat::says(&["ls"]);
    let home = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str, mode: u32| {
        let path = home.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path.to_str().unwrap().to_owned()
    };
    for (path, reason) in [
        (file("open", KEY, 0o644), "others may read it"),
        (file("two", "Bearer hunter2", 0o600), "not one word"),
        (file("empty", "\n", 0o600), "not one word"),
        (file("long", &"hunter2".repeat(100_000), 0o600), "not one word"),
        (home.path().to_str().unwrap().to_owned(), "not a regular file"),
        ("/nonexistent/key".into(), "No such file"),
    ] {
        let env = config(&format!("engine = \"remote\"\n[remote]\nurl = \"{}\"\nkey_file = {path:?}\n", chat.url));
        let outcome = env.run(&[WORDS]);
        assert!(outcome.code != 0 && outcome.stderr.contains(reason), "{path}: {}", outcome.stderr);
        assert!(!outcome.stderr.contains("hunter2"), "{}", outcome.stderr);
        let report = env.run(&["doctor"]).stdout;
        assert!(report.contains("! words ") && report.contains(reason), "{report}");
    }
    assert_eq!(chat.seen().len(), 0);
}

#[test]
fn doctor_says_where_words_would_go_and_sends_none() {
    let chat = Chat::says(&["ls"]);
    let outcome = env(&chat.url).run(&["doctor", "--model", "m"]);
    let wanted = format!(
        "  engine     remote: asked for by environment CMDAI_ENGINE\n  words      go to a server on this machine: {}/chat/completions, model m, key from environment CMDAI_REMOTE_KEY\n  shells ",
        chat.url
    );
    assert!(outcome.stdout.contains(&wanted), "{}", outcome.stdout);
    assert_eq!((outcome.code, chat.seen().len()), (0, 0), "{}", outcome.stderr);
    let elsewhere = env("https://api.example.com/v1").run(&["doctor"]).stdout;
    let wanted = "  words      LEAVE this machine: https://api.example.com/v1/chat/completions, the server's own model, key from ";
    assert!(elsewhere.contains(wanted), "{elsewhere}");
    assert!(!elsewhere.contains("hunter2"), "{elsewhere}");
}

#[test]
fn explain_says_where_the_words_went() {
    let chat = Chat::says(&["ls"]);
    let stderr = env(&chat.url).run(&["--explain", WORDS]).stderr;
    assert!(
        stderr.contains(&format!("  your words went to {}/chat/completions: first text after ", chat.url)),
        "{stderr}"
    );
}

#[test]
fn answers_in_the_shapes_of_the_known_servers_are_understood() {
    // OpenAI: a role first, padding, and a count behind the end; Windows line ends are in the rules of event streams.
    let openai = "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\",\"refusal\":null},\"logprobs\":null,\"finish_reason\":null}],\"obfuscation\":\"x\"}\r\n\r\n\
        data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"ls -l\"},\"finish_reason\":null}],\"usage\":null}\r\n\r\n\
        data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\r\n\r\n\
        data: {\"id\":\"c\",\"choices\":[],\"usage\":{\"prompt_tokens\":9}}\r\n\r\ndata: [DONE]\r\n\r\n";
    // llama-server: content null first, timings last.
    let llama = "data: {\"choices\":[{\"finish_reason\":null,\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":null}}]}\n\n\
        data: {\"choices\":[{\"finish_reason\":null,\"index\":0,\"delta\":{\"content\":\"ls -l\"}}]}\n\n\
        data: {\"choices\":[{\"finish_reason\":\"stop\",\"index\":0,\"delta\":{}}],\"timings\":{\"predicted_n\":3}}\n\ndata: [DONE]\n\n";
    // Ollama: text and end in one event. Proxies: comments, names, no space, no end but [DONE].
    let ollama = "data: {\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"ls -l\"},\"finish_reason\":\"stop\"}]}\n\n";
    let proxy = ": PROCESSING\n\nevent: message\nid: 7\ndata:{\"choices\":[{\"delta\":{\"content\":\"ls -l\"}}]}\n\ndata:[DONE]\n\n";
    for text in [openai, llama, ollama, proxy] {
        let outcome = command(Reply::events(&[], text));
        assert_eq!(outcome.stdout, "ls -l\n", "{text}{}", outcome.stderr);
    }
    let whole =
        "{\n\"choices\":[{\"message\":{\"role\":\"assistant\",\"content\":\"ls -l\"},\"finish_reason\":\"stop\"}]\n}";
    assert_eq!(command(Reply::body("application/json; charset=utf-8", whole)).stdout, "ls -l\n");
}

#[test]
fn answer_goes_the_way_of_any_model_s_text() {
    for (pieces, stdout) in [
        (&["```ba", "sh\nls", " -l\n``", "`"][..], "ls -l\n"),
        (&["`ls`"], "ls\n"),
        (&["echo '<|im_end|>'"], "echo '<|im_end|>'\n"),
        (&["echo é", "🎉"], "echo é🎉\n"),
        (&["case x in\n", "a) ls;;\nesac"], "case x in a) ls;; esac\n"),
    ] {
        assert_eq!(command(Reply::says(pieces)).stdout, stdout);
    }
    for (pieces, code, reason) in [
        (&["ls \u{1b}[2", "J"][..], 3, "suggestion refused: U+001B escape"),
        (&["ls \u{202e}x"], 3, "suggestion refused: U+202E"),
        (&["ls \0"], 3, "suggestion refused: U+0000"),
        (&["Sure! Use ls."], 3, "the model answered in prose"),
        (&["echo 'one\n", "two'"], 3, "the answer goes over several lines"),
        (&["cat /path/to/file"], 3, "the placeholder /path/to/file"),
        (&[], 3, "the model gave an empty answer"),
    ] {
        let outcome = command(Reply::says(pieces));
        assert_eq!((outcome.code, outcome.stdout.as_str()), (code, ""), "{pieces:?}: {}", outcome.stderr);
        assert!(outcome.stderr.contains(reason), "{pieces:?}: {}", outcome.stderr);
    }
    let chat = Chat::says(&["ls \u{1b}[2J"]);
    let widget = env(&chat.url).run_with_stdin(&["widget", "--shell", "zsh"], WORDS.as_bytes());
    assert_eq!(widget.stdout, "4\nsuggestion refused: U+001B escape\n");
}

#[test]
fn answer_cut_by_a_limit_is_no_command() {
    for reason in ["length", "content_filter"] {
        let outcome = command(Reply::events(&["find . -na"], &end(reason)));
        assert_eq!((outcome.code, outcome.stdout.as_str()), (3, ""), "{}", outcome.stderr);
        assert!(outcome.stderr.contains("did not end"), "{}", outcome.stderr);
    }
}

#[test]
fn server_that_goes_on_after_the_command_is_left_at_once() {
    let chat = Chat::start([Reply::Endless(EVENTS.into(), event("ls -l\nThis lists."))]);
    assert_eq!(env(&chat.url).run(&[WORDS]).stdout, "ls -l\n");
    let chat = Chat::start([Reply::Stall(format!("{EVENTS}{}{}", event("ls"), end("stop")).into_bytes())]);
    assert_eq!(env(&chat.url).run(&[WORDS]).stdout, "ls\n");
}

#[test]
fn answer_that_never_ends_is_bounded() {
    let no_command = Chat::start([Reply::Endless(EVENTS.into(), event("ls "))]);
    let outcome = env(&no_command.url).run(&[WORDS]);
    assert_eq!(outcome.code, 3, "{}", outcome.stderr);
    assert!(outcome.stderr.contains("did not end"), "{}", outcome.stderr);
    let line_of_one_mebibyte = format!("data: {}", "x".repeat(1 << 20));
    for (head, again) in [
        (EVENTS, ": nothing\n\n"),
        (EVENTS, "data: {\"choices\":[]}\n\n"),
        (EVENTS, "x"),
        (EVENTS, line_of_one_mebibyte.as_str()),
        ("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n", "{\"choices\":"),
    ] {
        let chat = Chat::start([Reply::Endless(head.into(), again.into())]);
        let line = fails(&env(&chat.url), 1);
        assert!(line.ends_with(" is longer than 1024 KiB"), "{again:.40}: {line}");
        // Twice an answer, and what the kernel may hold for two sockets: Linux lets it grow to 36 MiB.
        assert!(chat.sent() < 64 << 20, "{again:.40}: {} bytes were taken", chat.sent());
    }
}

#[test]
fn server_that_is_not_there_is_named() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let line = fails(&env(&format!("http://127.0.0.1:{port}/v1")), 1);
    assert!(line.starts_with(&format!("could not reach 127.0.0.1:{port}: Connection refused")), "{line}");
    let line = fails(&env("https://nosuchhost.invalid/v1"), 1);
    // "failed to lookup address information", or a resolver that says nothing in time.
    assert!(line.starts_with("could not reach nosuchhost.invalid: "), "{line}");
}

#[test]
fn server_that_speaks_no_tls_is_named() {
    let chat = Chat::says(&["ls"]);
    let line = fails(&env(&chat.url.replace("http:", "https:")), 1);
    assert!(line.starts_with("could not reach 127.0.0.1:"), "{line}");
}

#[test]
fn refusals_say_what_they_mean() {
    let json = |status, body| Reply::status(status, "content-type: application/json\r\n", body);
    let openai = r#"{"error":{"message":"model 'm' not found, try pulling it first","type":"not_found_error"}}"#;
    for (reply, wanted) in [
        (
            json(401, r#"{"error":{"message":"bad key"}}"#),
            "the server at HOST answers 401 Unauthorized: it refuses the key",
        ),
        (json(403, "{}"), "the server at HOST answers 403 Forbidden: it refuses the key"),
        (json(404, openai), "the server at HOST answers 404 Not Found: model 'm' not found, try pulling it first"),
        (Reply::status(404, "", "404 page not found"), "the server at HOST answers 404 Not Found: 404 page not found"),
        (json(400, r#"{"error":"no model"}"#), "the server at HOST answers 400 Bad Request: no model"),
        (json(422, r#"{"detail":"no seed"}"#), "the server at HOST answers 422 Unprocessable Entity: no seed"),
        (json(429, r#"{"error":{"message":"quota"}}"#), "the server at HOST answers 429 Too Many Requests: quota"),
        (
            json(500, r#"{"message":"out of memory"}"#),
            "the server at HOST answers 500 Internal Server Error: out of memory",
        ),
        (Reply::status(500, "", ""), "the server at HOST answers 500 Internal Server Error"),
        (Reply::status(502, "", "<html>Bad Gateway</html>"), "the server at HOST answers 502 Bad Gateway"),
        (
            Reply::status(500, "", "a\u{1b}[2J\nb\u{202e}"),
            "the server at HOST answers 500 Internal Server Error: a\\u{1b}[2J b\\u{202e}",
        ),
    ] {
        assert_eq!(line(reply), wanted);
    }
    let long = line(Reply::status(500, "", &"x".repeat(100_000)));
    assert!(long.ends_with("xxx…") && long.len() < 300, "{long}");
    let mut env = TestEnv::without_model();
    env.set("CMDAI_ENGINE", "remote");
    env.set("CMDAI_REMOTE_URL", &Chat::start([Reply::status(401, "", "")]).url);
    assert!(fails(&env, 1).ends_with("401 Unauthorized: it wants a key"));
}

#[test]
fn answer_that_is_none_is_not_taken_for_one() {
    let none = "HOST does not answer like an OpenAI-compatible server: ";
    for (reply, wanted) in [
        (Reply::body("text/html; charset=utf-8", "<html>ls</html>"), format!("{none}it sent a web page")),
        (Reply::body("text/plain", "ls -l\n"), format!("{none}no answer is in what it sent")),
        (Reply::body("text/event-stream", ""), format!("{none}no answer is in what it sent")),
        (Reply::body("application/json", "{}"), format!("{none}no answer is in what it sent")),
        (Reply::body("application/json", "\"ls\""), format!("{none}it sent other than JSON")),
        (Reply::body("application/json", "ls -l"), format!("{none}it sent other than JSON")),
        (Reply::events(&["ls"], "data: ls -l\n\n"), format!("{none}it sent other than JSON")),
        (
            Reply::events(&[], "data: {\"choices\":[{\"delta\":{\"content\":[1]}}]}\n\n"),
            format!("{none}it sent other than JSON"),
        ),
        (
            Reply::events(&["ls"], "data: {\"error\":{\"message\":\"CUDA error\"}}\n\n"),
            "the server at HOST failed: CUDA error".into(),
        ),
        (
            Reply::events(&["ls"], "error: {\"code\":500,\"message\":\"slot\"}\n\n"),
            "the server at HOST failed: slot".into(),
        ),
    ] {
        assert_eq!(line(reply), wanted);
    }
    for bytes in [&b"SSH-2.0-OpenSSH_9.2\r\n"[..], b""] {
        let line = line(Reply::Bytes(bytes.to_vec()));
        assert!(line.starts_with("the answer of HOST broke off: "), "{line}");
    }
}

#[test]
fn stream_cut_in_the_middle_is_no_command() {
    let chunked = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    let announced = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 9999\r\n\r\n";
    let first = event("rm -rf /tmp");
    for text in [
        format!("{EVENTS}{first}"),
        format!("{EVENTS}{first}{}", &end("stop")[..40]),
        format!("{announced}{first}"),
        format!("{chunked}{:x}\r\n{first}\r\n", first.len()),
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{\"choices\":".into(),
    ] {
        let line = line(Reply::Bytes(text.clone().into_bytes()));
        assert!(line.starts_with("the answer of HOST broke off: "), "{text}: {line}");
    }
}

#[test]
fn redirect_is_refused_and_nothing_reaches_its_target() {
    let target = Chat::says(&["ls"]);
    for status in [301, 302, 303, 307, 308] {
        let location = format!("location: {}/chat/completions\r\n", target.url);
        let line = line(Reply::status(status, &location, ""));
        assert!(line.ends_with(", a redirect, which is not followed"), "{line}");
    }
    assert_eq!(target.seen().len(), 0);
}

#[test]
fn proxy_is_not_asked_the_way_to_this_machine() {
    let (proxy, chat) = (Chat::says(&["proxy"]), Chat::says(&["ls"]));
    for url in [chat.url.clone(), chat.url.replace("127.0.0.1", "localhost")] {
        let mut env = env(&url);
        for name in ["http_proxy", "HTTP_PROXY", "ALL_PROXY", "https_proxy"] {
            env.set(name, &proxy.url);
        }
        assert_eq!(env.run(&[WORDS]).stdout, "ls\n");
    }
    assert_eq!((proxy.seen().len(), chat.seen().len()), (0, 2));
}

#[test]
fn key_is_in_one_header_and_in_nothing_that_is_said() {
    for status in [400, 401, 404, 418, 500] {
        let chat = Chat::start([Reply::Echo(status)]);
        let env = env(&chat.url);
        let line = fails(&env, 1);
        assert_eq!(line.contains("Bearer [key]"), !matches!(status, 401), "{line}");
        let Outcome { stderr, .. } = { env }.run(&["--explain", WORDS]);
        assert!(!stderr.contains("hunter2"), "{stderr}");
        assert!(chat.seen().iter().all(|seen| !format!("{}{}", seen.line, seen.body).contains("hunter2")));
    }
    for said in [format!("{{\"error\":{{\"message\":\"{KEY}\"}}}}"), format!("{}{KEY}", "x".repeat(190))] {
        assert!(!line(Reply::status(500, "", &said)).contains("hunter"), "{said}");
    }
    let (start, rest) = KEY.split_at(9);
    assert_eq!(line(Reply::says(&["echo ", start, rest])), "the answer of HOST holds your key");
}

#[test]
fn log_holds_neither_key_nor_words_nor_answer() {
    let chat = Chat::start([Reply::says(&["echo plugh"]), Reply::Echo(500)]);
    let mut env = env(&chat.url);
    env.set("CMDAI_LOG", "trace");
    for code in [0, 1] {
        let outcome = env.run(&["xyzzy", "files"]);
        assert_eq!(outcome.code, code, "{}", outcome.stderr);
        let log: String = outcome.stderr.lines().filter(|line| !line.starts_with("cmdai: ")).collect();
        assert!(log.contains("opening"), "the log is on: {log}");
        for secret in ["hunter2", "xyzzy", "plugh"] {
            assert!(!log.contains(secret), "{secret}: {log}");
        }
    }
}

#[test]
fn model_that_reasons_first_is_said_to() {
    let reasoning =
        |name: &str| format!("data: {{\"choices\":[{{\"delta\":{{\"{name}\":\"Hm\"}}}}]}}\n\n{}", end("length"));
    for reply in [
        Reply::events(&[], &reasoning("reasoning")),
        Reply::events(&[], &reasoning("reasoning_content")),
        Reply::says(&["<think>\nOkay"]),
    ] {
        assert!(line(reply).ends_with("reasons before it answers, for which there is no room"));
    }
}

fn ask(url: &str, patience: Patience) -> Error {
    let settings = Settings { server: Server::parse(url).unwrap(), model: None, key: None };
    let mut engine = Remote::open(settings, patience).unwrap();
    let prompt = prompt::suggest(&pipeline::request(WORDS, Context::of(Shell::Zsh), 1).unwrap(), &[]);
    let params = GenerateParams { max_tokens: 9, ..GenerateParams::default() };
    engine.generate(&prompt, &params, &mut |_| ControlFlow::Continue(())).expect_err("it must fail")
}

#[test]
fn interrupt_ends_the_waiting_for_a_server() {
    let long = Duration::from_secs(600);
    for events in [EVENTS.to_owned(), format!("{EVENTS}{}", event("ls"))] {
        let chat = Chat::start([Reply::Stall(events.into_bytes())]);
        let settings = Settings { server: Server::parse(&chat.url).unwrap(), model: None, key: None };
        let mut engine = Remote::open(settings, Patience { connect: long, silence: long, whole: long }).unwrap();
        let prompt = prompt::suggest(&pipeline::request(WORDS, Context::of(Shell::Zsh), 1).unwrap(), &[]);
        let interrupt = Interrupt::default();
        let params = GenerateParams { max_tokens: 9, interrupt: interrupt.clone(), ..GenerateParams::default() };
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while chat.sent() == 0 {
                    std::thread::yield_now();
                }
                interrupt.set();
            });
            let outcome = engine.generate(&prompt, &params, &mut |_| ControlFlow::Continue(()));
            assert!(matches!(outcome, Err(Error::Cancelled)), "{outcome:?}");
        });
    }
}

#[test]
fn slow_server_is_given_up_after_its_time() {
    let [short, long] = [Duration::from_millis(200), Duration::from_secs(60)];
    let wordy = Patience { connect: long, silence: short, whole: long };
    for text in ["", "HTTP/1.1 200 OK\r\n", EVENTS, &format!("{EVENTS}{}", event("ls"))] {
        let chat = Chat::start([Reply::Stall(text.as_bytes().to_vec())]);
        let error = ask(&chat.url, wordy).to_string();
        assert_eq!(error, format!("nothing came from 127.0.0.1:{} for 0.2 s", chat.port), "{text}");
    }
    // Silence may be long, and the whole may not.
    let chat = Chat::start([Reply::Stall(EVENTS.into())]);
    let error = ask(&chat.url, Patience { connect: long, silence: long, whole: short }).to_string();
    assert_eq!(error, format!("the answer of 127.0.0.1:{} took more than 0.2 s", chat.port));
    // Takes the connection, and never its TLS.
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", mute.local_addr().unwrap());
    let error = ask(&url, Patience { connect: short, silence: long, whole: long }).to_string();
    assert!(error.starts_with("could not reach 127.0.0.1:") && error.ends_with(": no connection in 0.2 s"), "{error}");
}

#[test]
fn key_press_gets_the_answer_and_a_dead_server_leaves_the_line_as_it_was() {
    for name in [Shell::Zsh, Shell::Bash, Shell::Fish] {
        let chat = Chat::start([Reply::says(&["ls -lhS"]), Reply::status(500, "", "out of memory")]);
        let load = match name {
            Shell::Fish => format!("'{CMDAI}' init fish | source\n"),
            _ => format!("eval \"$('{CMDAI}' init {})\"\n", name.name()),
        };
        let env = vec![("CMDAI_ENGINE", "remote".to_owned()), ("CMDAI_REMOTE_URL", chat.url.clone())];
        let term = Term::with(name, Setup { after: load, env, ..Setup::default() });
        term.typed(WORDS).send(CTRL_G);
        term.holds("ls -lhS");
        term.send(CLEAR).typed(WORDS).send(CTRL_G);
        term.shows("answers 500 Internal Server Error: out of memory");
        term.holds(WORDS);
        term.still_works();
    }
}
