//! The file of packed weights: made once, read after, and never believed.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use cmdai::engine::{
    Model,
    mlx::{MlxModel, layout::Layout, repack::Float, start},
};

use super::{QWEN, open_file, tiny};
use crate::support::{TestEnv, model};

struct Cache {
    env: TestEnv,
}

impl Cache {
    fn new() -> Self {
        Self { env: TestEnv::without_model() }
    }

    fn directory(&self) -> PathBuf {
        self.env.home().join("cache/mlx")
    }

    /// The one packed file.
    fn file(&self) -> PathBuf {
        let files = self.files();
        assert_eq!(files.len(), 1, "{files:?}");
        files[0].clone()
    }

    fn files(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.directory()).unwrap().map(|entry| entry.unwrap().path());
        entries.filter(|path| path.file_name().unwrap() != "lock").collect()
    }

    /// Logits of a model opened with this cache.
    fn logits(&self) -> Vec<f32> {
        open_file(&tiny::file("qwen2"), Some(&self.directory())).forward(&tiny::prompt(12)).unwrap().to_vec()
    }
}

fn expected() -> Vec<f32> {
    open_file(&tiny::file("qwen2"), None).forward(&tiny::prompt(12)).unwrap().to_vec()
}

fn inode(path: &Path) -> u64 {
    fs::metadata(path).unwrap().ino()
}

#[test]
fn second_start_reads_what_the_first_packed() {
    let cache = Cache::new();
    assert_eq!(cache.logits(), expected());
    let (file, first) = (cache.file(), inode(&cache.file()));
    assert_eq!(file.file_name().unwrap(), "0123-f32-v1.safetensors");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(cache.directory()).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(cache.logits(), expected());
    assert_eq!(inode(&cache.file()), first, "packed again");
}

#[test]
fn damaged_file_is_a_miss_whatever_the_damage() {
    let cache = Cache::new();
    cache.logits();
    let file = cache.file();
    let good = fs::read(&file).unwrap();
    let header = 8 + u64::from_le_bytes(*good.first_chunk().unwrap()) as usize;
    let flipped = |at: usize| {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        bytes
    };
    let damages = [
        ("a bit of the length", flipped(0)),
        ("a bit of the header", flipped(60)),
        ("a bit of the first array", flipped(header + 5)),
        ("a bit in the middle", flipped(good.len() / 2)),
        ("a bit of the checksums", flipped(good.len() - 1)),
        ("cut in the header", good[..20].to_vec()),
        ("cut in the arrays", good[..good.len() - 1000].to_vec()),
        ("longer", [&good[..], &[0]].concat()),
        ("empty", Vec::new()),
        ("zeros", vec![0; good.len()]),
    ];
    for (what, bytes) in damages {
        fs::write(&file, bytes).unwrap();
        assert_eq!(cache.logits(), expected(), "{what}");
        assert_eq!(fs::read(&file).unwrap(), good, "{what}: written anew");
    }
}

#[test]
fn file_of_another_model_or_version_is_not_read() {
    let cache = Cache::new();
    cache.logits();
    let good = fs::read(cache.file()).unwrap();
    let llama = tiny::file("llama");
    fs::create_dir_all(cache.directory()).unwrap();
    let of_llama = || open_file(&llama, Some(&cache.directory())).forward(&tiny::prompt(12)).unwrap().to_vec();
    // Under the name that the other model's would have, as if a digest lied.
    assert_ne!(of_llama(), expected());
    assert_ne!(fs::read(cache.file()).unwrap(), good);
    fs::write(cache.directory().join("0123-f32-v0.safetensors"), "of an earlier version").unwrap();
    fs::write(cache.directory().join("4567-f32-v0.safetensors"), "of another model").unwrap();
    fs::remove_file(cache.directory().join("0123-f32-v1.safetensors")).unwrap();
    assert_eq!(cache.logits(), expected());
    let names: Vec<_> = cache.files().iter().map(|path| path.file_name().unwrap().to_owned()).collect();
    assert_eq!(names.len(), 2, "{names:?}");
    assert!(names.iter().any(|name| name == "4567-f32-v0.safetensors"));
}

#[test]
fn cache_that_cannot_be_written_costs_time_only() {
    let cache = Cache::new();
    fs::write(cache.env.home().join("cache"), "a file where the directory should be").unwrap();
    assert_eq!(cache.logits(), expected());
    let cache = Cache::new();
    fs::create_dir_all(cache.directory().join("0123-f32-v1.new")).unwrap();
    assert_eq!(cache.logits(), expected());
    assert!(cache.directory().join("0123-f32-v1.new").is_dir());
}

#[test]
fn what_a_killed_start_left_behind_is_written_over() {
    let cache = Cache::new();
    fs::create_dir_all(cache.directory()).unwrap();
    fs::write(cache.directory().join("0123-f32-v1.new"), vec![7; 3 << 20]).unwrap();
    assert_eq!(cache.logits(), expected());
    assert_eq!(cache.file().file_name().unwrap(), "0123-f32-v1.safetensors");
    assert_eq!(cache.logits(), expected());
}

#[test]
fn model_that_cannot_be_packed_leaves_nothing_behind() {
    let cache = Cache::new();
    let broken = tiny::changed("qwen2", |builder| {
        builder.tensor("output_norm.weight").data[..4].copy_from_slice(&f32::NAN.to_le_bytes());
    });
    assert!(MlxModel::open(&broken, "0123", Some(&cache.directory())).is_err());
    assert!(cache.files().is_empty(), "{:?}", cache.files());
}

#[test]
fn two_starts_at_once_end_with_one_whole_file() {
    let cache = Cache::new();
    start().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert_eq!(cache.logits(), expected()));
        }
    });
    cache.file();
}

#[test]
fn default_model_takes_1_35_gb_on_metal() {
    let file = cmdai::model::gguf::GgufFile::open(model(QWEN)).unwrap();
    let bytes = Layout::of(&file, "0123", Float::F16).unwrap().length();
    assert!((1_250_000_000..1_350_000_000).contains(&bytes), "{bytes}");
}
