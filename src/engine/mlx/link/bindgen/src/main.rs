//! Writes mlx-sys's `bindings.rs` with the crate's own bindgen settings, as its build script would: the script itself
//! cannot run where MLX is not built from source.
//!
//! usage: `MLX_SYS=<source of mlx-sys> mlx-bindgen <bindings.rs>`; the variable is read when this is compiled.

#[allow(dead_code, reason = "the crate's build script uses more of it")]
mod bindgen_config {
    include!(concat!(env!("MLX_SYS"), "/src/bindgen_config.rs"));
}

fn main() {
    let headers_root = std::path::Path::new(env!("MLX_SYS")).join("src/mlx-c");
    let headers = bindgen_config::discover_headers(&headers_root).expect("the headers of mlx-c");
    let bindings = bindgen_config::builder(&headers_root, &headers).generate().expect("bindings");
    let to = std::env::args_os().nth(1).expect("usage: mlx-bindgen BINDINGS");
    bindings.write_to_file(to).expect("a file that can be written");
}
