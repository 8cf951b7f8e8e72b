//! LoRA adapters by settings: where one may be named, what is said of it, and which engine a server has open.

use std::{fs, path::Path};

use crate::{
    engine::SMALL,
    gguf_builder::{Builder, STRING, string},
    hub::sha256,
    lora::{made, written},
    resident::{Resident, SHORT, is_clean_failure},
    support::{Outcome, TestEnv, models_dir},
};

fn zeros() -> Builder {
    let mut adapter = made(SMALL).builder;
    for tensor in &mut adapter.tensors {
        tensor.data.fill(0);
    }
    adapter
}

/// With the small model, and an adapter of zeros in its home.
fn home() -> TestEnv {
    let mut env = TestEnv::without_model();
    env.set("CMDAI_MODELS_DIR", env.home().join("store").to_str().unwrap());
    env.set("CMDAI_MODEL", models_dir().join(SMALL).to_str().unwrap());
    env.set("CMDAI_ENGINE", "llama");
    written(env.home(), "zeros.gguf", &zeros());
    env
}

/// The line of `cmdai doctor` about the adapter.
fn told(env: &TestEnv, args: &[&str]) -> String {
    let Outcome { stdout, .. } = env.run(&[&["doctor"], args].concat());
    stdout.lines().find(|line| line[2..].starts_with("adapter ")).unwrap_or_default().to_owned()
}

#[test]
fn adapter_of_a_flag_beats_that_of_the_environment_which_beats_that_of_the_config() {
    let mut env = home();
    assert_eq!(told(&env, &[]), "  adapter    none");
    let config = env.home().join("config.toml");
    env.set("CMDAI_CONFIG", config.to_str().unwrap());
    let path = |name: &str| env.home().join(name).display().to_string();
    let whole = path("zeros.gguf");
    for set in ["~/zeros.gguf", &whole] {
        fs::write(&config, format!("lora = {set:?}\n")).unwrap();
        let expected = format!("  adapter    {whole}, set by {}, fits the model", config.display());
        assert_eq!(told(&env, &[]), expected);
    }
    for name in ["environment.gguf", "flag.gguf"] {
        fs::copy(&whole, path(name)).unwrap();
    }
    let [by_environment, by_flag] = ["environment.gguf", "flag.gguf"].map(path);
    env.set("CMDAI_LORA", "environment.gguf");
    let expected = format!("  adapter    {by_environment}, set by environment CMDAI_LORA, fits the model");
    assert_eq!(told(&env, &[]), expected);
    let expected = format!("  adapter    {by_flag}, set by flag, fits the model");
    assert_eq!(told(&env, &["--lora", "./flag.gguf"]), expected);
    assert_eq!(told(&env, &["--lora", ""]), "  adapter    none");
}

#[test]
fn adapter_that_cannot_be_used_is_one_line_and_no_answer() {
    let env = home();
    let mut other = zeros();
    other.set("general.architecture", STRING, string("qwen2"));
    let other = written(env.home(), "other.gguf", &other).path;
    let absent = env.home().join("absent.gguf");
    for (file, said, hint) in [
        (&absent, "could not open adapter: ", "it was set by flag"),
        (&other, "could not use adapter: ", "choose the model that it was made for, not "),
    ] {
        let file = file.to_str().unwrap();
        let outcome = env.run(&["--lora", file, SHORT.0]);
        assert!(is_clean_failure(&outcome), "{}", outcome.stderr);
        let wanted = [format!("cmdai: {said}{file}: "), format!("hint: {hint}")];
        let lines: Vec<&str> = outcome.stderr.lines().collect();
        assert!(
            lines.len() == 2 && wanted.iter().zip(&lines).all(|(wanted, line)| line.starts_with(wanted)),
            "{lines:?}"
        );
        assert!(told(&env, &["--lora", file]).starts_with(&format!("! adapter    {said}{file}: ")));
    }
}

#[test]
fn remote_engine_asks_for_no_adapter() {
    let mut env = home();
    env.set("CMDAI_REMOTE_URL", "http://127.0.0.1:9/v1");
    let args = ["--engine", "remote", "--lora", "/nonexistent.gguf"];
    let outcome = env.run(&[&args[..], &[SHORT.0]].concat());
    assert!(outcome.stderr.starts_with("cmdai: could not reach "), "{}", outcome.stderr);
    assert_eq!(told(&env, &args), "");
}

#[test]
fn adapter_is_hashed_once_and_is_no_model_of_the_list() {
    let env = home();
    let hashed = || {
        told(&env, &["--lora", "zeros.gguf"]);
        let mut records = fs::read_dir(env.home().join("store/records")).unwrap().flatten().map(|entry| entry.path());
        let record = records.find(|path| path.to_str().unwrap().contains("lora@")).expect("a record");
        let text = fs::read_to_string(&record).unwrap();
        let digest = serde_json::from_str::<serde_json::Value>(&text).unwrap()["sha256"].as_str().unwrap().to_owned();
        (record, text, digest)
    };
    let (record, text, digest) = hashed();
    assert_eq!(digest, sha256(&zeros().bytes()));
    // What is there counts, as long as the file is the same.
    fs::write(&record, text.replace(&digest, "another")).unwrap();
    assert_eq!(hashed().2, "another");
    fs::File::open(env.home().join("zeros.gguf")).unwrap().set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    assert_eq!(hashed().2, digest);
    let list = env.run(&["model", "list"]).stdout;
    assert!(!list.contains("zeros"), "{list}");
}

#[test]
fn another_adapter_is_another_engine_of_the_server() {
    let home = Resident::warm();
    let file = written(home.home(), "x.gguf", &zeros()).path;
    let lora = file.to_str().unwrap();
    let open = || home.status().expect("it runs").lora;
    assert_eq!(open(), None);
    let pid = home.server();

    let ask = || home.ask(&["--lora", lora, SHORT.0]);
    assert_eq!((ask().stdout.as_str(), open().as_deref()), (SHORT.1, Some(lora)));
    // The same path, another file.
    written(home.home(), "x.gguf", &made(SMALL).builder);
    assert_ne!(ask().stdout, SHORT.1);
    home.answers(SHORT);
    assert_eq!((open(), home.server()), (None, pid));

    fs::remove_file(Path::new(lora)).unwrap();
    let outcome = ask();
    assert!(is_clean_failure(&outcome), "{}", outcome.stderr);
    home.answers(SHORT);
}
