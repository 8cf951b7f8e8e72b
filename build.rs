//! Records for which instruction sets ggml's kernels are compiled, so that the program can refuse a processor that
//! lacks one in place of dying with SIGILL.
//!
//! `install.sh --build-env` sets the `GGML_*` variables for the machine; without them ggml compiles for AVX2.

/// ggml's switch, the name `is_x86_feature_detected!` knows, and whether ggml turns it on by itself.
const SWITCHES: [(&str, &str, bool); 11] = [
    ("GGML_SSE42", "sse4.2", true),
    ("GGML_AVX", "avx", true),
    ("GGML_AVX2", "avx2", true),
    ("GGML_FMA", "fma", true),
    ("GGML_F16C", "f16c", true),
    ("GGML_BMI2", "bmi2", true),
    ("GGML_AVX_VNNI", "avxvnni", false),
    ("GGML_AVX512", "avx512f", false),
    ("GGML_AVX512_VBMI", "avx512vbmi", false),
    ("GGML_AVX512_VNNI", "avx512vnni", false),
    ("GGML_AVX512_BF16", "avx512bf16", false),
];

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    link_static_libstdcxx();
    link_mlx();
    let mut needed = Vec::new();
    for (switch, feature, default) in SWITCHES {
        println!("cargo:rerun-if-env-changed={switch}");
        if std::env::var(switch).map_or(default, |value| value == "ON") {
            needed.push(feature);
        }
    }
    let x86 = std::env::var("CARGO_CFG_TARGET_ARCH").is_ok_and(|arch| arch == "x86_64");
    println!("cargo:rustc-env=CMDAI_SIMD={}", if x86 { needed.join(" ") } else { String::new() });
}

/// Sets `cfg(mlx)` where the MLX engine is part of the program, and tells the program where a prebuilt library lies
/// (`DEP_MLX_LIB` comes from the settings that src/engine/mlx/link/link writes): where install.sh puts a copy, and only
/// then where it was linked, which is a directory that may be cleared.
fn link_mlx() {
    println!("cargo:rustc-check-cfg=cfg(mlx)");
    println!("cargo:rerun-if-env-changed=DEP_MLX_LIB");
    let target = |key| std::env::var(key).unwrap_or_default();
    let set = |key| std::env::var_os(key).is_some();
    let apple = target("CARGO_CFG_TARGET_OS") == "macos" && target("CARGO_CFG_TARGET_ARCH") == "aarch64";
    if set("CARGO_FEATURE_MLX_LINUX") || (apple && !set("CARGO_CFG_WITHOUT_MLX")) {
        println!("cargo:rustc-cfg=mlx");
    }
    if let Ok(folder) = std::env::var("DEP_MLX_LIB") {
        println!("cargo:rustc-env=CMDAI_MLX_LIB={folder}");
        if apple {
            println!("cargo:rustc-link-arg=-Wl,-rpath,@executable_path/../lib/cmdai");
        }
        println!("cargo:rustc-link-arg=-Wl,-rpath,{folder}");
    }
}

/// Puts a folder that holds only the static libstdc++ before the system's, so that the linker takes that one: resolving
/// the shared one's symbols is half of the work of starting the program, which every new shell does for `cmdai init`.
/// Where there is no static one (macOS, a slim toolchain) the shared one is linked as usual.
fn link_static_libstdcxx() {
    // MLX's library brings the shared one in.
    if std::env::var_os("CARGO_FEATURE_MLX_LINUX").is_some() {
        return;
    }
    #[expect(clippy::disallowed_methods, reason = "a build script asks the compiler, not a suggestion")]
    let print = |compiler: String| std::process::Command::new(compiler).arg("-print-file-name=libstdc++.a").output();
    let compiler = std::env::var("CXX").unwrap_or_else(|_| "c++".into());
    let Ok(output) = print(compiler) else { return };
    let library = std::path::PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    let folder = std::path::Path::new(&std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR")).join("static");
    if library.is_absolute() && std::fs::create_dir_all(&folder).is_ok() {
        let _ = std::fs::copy(library, folder.join("libstdc++.a"));
        println!("cargo:rustc-link-search=native={}", folder.display());
    }
}
