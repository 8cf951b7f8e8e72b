//! What this machine is: system, processor, instruction sets, memory, cores.
//!
//! Asked by `doctor`, `--version` and the choice of engine; knows nothing of models.

use std::{collections::BTreeSet, path::Path, thread};

use crate::error::{Error, Result};

/// Facts about the machine that decide which engine runs and how fast.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Platform {
    /// `linux`, `macos`, ...
    pub os: &'static str,
    /// `x86_64`, `aarch64`, ...
    pub arch: &'static str,
    /// macOS on Apple's own processors, where MLX runs on the GPU.
    pub apple_silicon: bool,
    /// The widest vector instructions of the processor: `AVX-512 VNNI`, `NEON dotprod`, ...
    pub simd: String,
    /// Memory of the machine in bytes, 0 if the system does not tell.
    pub memory: u64,
    /// Cores to compute on: physical ones that this process may use.
    pub cores: usize,
    /// Logical processors of the whole machine that are on.
    pub processors: usize,
}

impl Platform {
    /// Looks at the machine.
    pub fn detect() -> Self {
        let (processors, cores) = processors_and_cores();
        Self {
            os: std::env::consts::OS,
            arch: std::env::consts::ARCH,
            apple_silicon: cfg!(all(target_os = "macos", target_arch = "aarch64")),
            simd: simd_level().to_owned(),
            memory: memory(),
            cores,
            processors,
        }
    }
}

impl std::fmt::Display for Platform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { os, arch, simd, cores, .. } = self;
        write!(f, "{os} {arch}, {simd}, {cores} cores")?;
        if self.memory > 0 {
            write!(f, ", {:.1} GiB of memory", self.memory as f64 / (1u64 << 30) as f64)?;
        }
        Ok(())
    }
}

/// The instruction sets for which ggml's kernels were compiled, as `build.rs` recorded them.
pub fn compiled_simd() -> impl Iterator<Item = &'static str> {
    env!("CMDAI_SIMD").split_whitespace()
}

/// Refuses a processor that lacks an instruction set this program was built for.
///
/// # Errors
/// Names what is missing.
pub fn check_simd() -> Result<()> {
    let missing: Vec<&str> = compiled_simd().filter(|feature| !processor_has(feature)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(Error::new(format!("this processor lacks what this cmdai was built for: {}", missing.join(", ")))
        .hint("run ./install.sh on this machine: it builds for the processor it finds"))
}

#[cfg(target_arch = "x86_64")]
fn processor_has(feature: &str) -> bool {
    match feature {
        "sse4.2" => is_x86_feature_detected!("sse4.2"),
        "avx" => is_x86_feature_detected!("avx"),
        "avx2" => is_x86_feature_detected!("avx2"),
        "fma" => is_x86_feature_detected!("fma"),
        "f16c" => is_x86_feature_detected!("f16c"),
        "bmi2" => is_x86_feature_detected!("bmi2"),
        "avxvnni" => is_x86_feature_detected!("avxvnni"),
        // ggml's one switch stands for these five.
        "avx512f" => {
            is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512cd")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl")
        }
        "avx512vbmi" => is_x86_feature_detected!("avx512vbmi"),
        "avx512vnni" => is_x86_feature_detected!("avx512vnni"),
        "avx512bf16" => is_x86_feature_detected!("avx512bf16"),
        _ => false,
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn processor_has(_feature: &str) -> bool {
    true
}

#[cfg(target_arch = "x86_64")]
fn simd_level() -> &'static str {
    let levels = [
        ("avx512vnni", "AVX-512 VNNI"),
        ("avx512f", "AVX-512"),
        ("avxvnni", "AVX-VNNI"),
        ("avx2", "AVX2"),
        ("avx", "AVX"),
    ];
    levels.into_iter().find(|(feature, _)| processor_has(feature)).map_or("SSE", |(_, name)| name)
}

#[cfg(target_arch = "aarch64")]
fn simd_level() -> &'static str {
    use std::arch::is_aarch64_feature_detected as has;
    match (has!("i8mm"), has!("dotprod")) {
        (true, _) => "NEON i8mm",
        (false, true) => "NEON dotprod",
        (false, false) => "NEON",
    }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn simd_level() -> &'static str {
    "no known vector instructions"
}

/// The machine's logical processors, and the cores that this process may use (affinity, cgroup), hyperthreads counted
/// once: ggml's spinning threads slow each other down when two share a core.
fn processors_and_cores() -> (usize, usize) {
    let usable = thread::available_parallelism().map_or(1, usize::from);
    match count(Path::new("/sys/devices/system/cpu")) {
        Some((processors, cores)) => (processors, cores.min(usable)),
        None => (usable, usable),
    }
}

/// The `thread_siblings_list` entries of Linux's sysfs, all and distinct ones. A processor that is off has none, and
/// others follow it.
fn count(folder: &Path) -> Option<(usize, usize)> {
    let siblings = |cpu: std::fs::DirEntry| std::fs::read(cpu.path().join("topology/thread_siblings_list")).ok();
    let all: Vec<Vec<u8>> = std::fs::read_dir(folder).ok()?.flatten().filter_map(siblings).collect();
    let cores: BTreeSet<&Vec<u8>> = all.iter().collect();
    (!all.is_empty()).then_some((all.len(), cores.len()))
}

#[cfg(target_os = "linux")]
fn memory() -> u64 {
    let info = rustix::system::sysinfo();
    info.totalram as u64 * u64::from(info.mem_unit)
}

#[cfg(not(target_os = "linux"))]
fn memory() -> u64 {
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_behind_a_processor_that_is_off_are_counted() {
        let folder = tempfile::tempdir().unwrap();
        // cpu1, the sibling of cpu0, is off; cpu2 and cpu3 share a core.
        for (cpu, siblings) in [("cpu0", "0\n"), ("cpu2", "2-3\n"), ("cpu3", "2-3\n")] {
            let topology = folder.path().join(cpu).join("topology");
            std::fs::create_dir_all(&topology).unwrap();
            std::fs::write(topology.join("thread_siblings_list"), siblings).unwrap();
        }
        std::fs::create_dir_all(folder.path().join("cpu1")).unwrap();
        assert_eq!(count(folder.path()), Some((3, 2)));
    }
}
