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
