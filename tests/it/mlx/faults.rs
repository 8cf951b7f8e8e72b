//! What the engine must survive: each fault ends in one clear error, and the engine goes on.

use cmdai::{
    engine::{
        Model,
        mlx::{MlxModel, decoder::Decoder, decoder::Hyperparameters, repack::Float, start, weights},
    },
    model::gguf::{GgufFile, TensorType},
};
use mlx_rs::Array;

use super::{QWEN_SMALL, SMOLLM, arrays, open_file, tiny, tokens};
use crate::{
    gguf_builder::{F32, STRING, Tensor, string},
    support::{TestEnv, models_dir},
};

fn refusal(file: &GgufFile) -> String {
    let error = MlxModel::open(file, "0123", None).err().expect("refused");
    let hint = error.next_step().expect("a next step");
    assert!(hint.contains("--engine llama"), "{hint}");
    error.to_string()
}

#[test]
fn weight_that_is_no_number_is_refused_by_its_tensor() {
    for (name, kind) in [("blk.1.attn_q.weight", TensorType::Q4_K), ("blk.0.attn_v.weight", TensorType::Q6_K)] {
        let at = tiny::scales_of(kind)[0];
        let file = tiny::changed("qwen2", |builder| {
            builder.tensor(name).data[at..at + 2].copy_from_slice(&0x7e00_u16.to_le_bytes());
        });
        let error = refusal(&file);
        assert!(error.contains("tiny.gguf") && error.contains(name) && error.contains("NaN"), "{error}");
    }
    let file = tiny::changed("llama", |builder| {
        builder.tensor("output_norm.weight").data[..4].copy_from_slice(&f32::INFINITY.to_le_bytes());
    });
    assert!(refusal(&file).contains("output_norm.weight holds inf"), "{}", refusal(&file));
}

#[test]
fn type_that_is_not_read_is_refused_by_its_name() {
    let error = refusal(&tiny::retyped("blk.0.ffn_up.weight", TensorType::Q2_K));
    assert!(error.contains("blk.0.ffn_up.weight has type Q2_K, which the MLX engine does not read"), "{error}");
}

#[test]
fn rope_that_is_not_computed_here_is_refused() {
    let stretched = tiny::changed("qwen2", |builder| builder.set("qwen2.rope.scaling.type", STRING, string("yarn")));
    assert!(refusal(&stretched).contains("yarn"), "{}", refusal(&stretched));
    let with_factors = tiny::changed("llama", |builder| {
        let data = [1.0_f32; 32].iter().flat_map(|factor| factor.to_le_bytes()).collect();
        builder.tensors.push(Tensor { data, ..Tensor::new("rope_freqs.weight", &[32]) });
    });
    assert!(refusal(&with_factors).contains("rope_freqs.weight"), "{}", refusal(&with_factors));
    let without = tiny::changed("qwen2", |builder| builder.remove("qwen2.attention.layer_norm_rms_epsilon"));
    assert!(refusal(&without).contains("epsilon"), "{}", refusal(&without));
    let plain = tiny::changed("qwen2", |builder| {
        builder.set("qwen2.rope.scaling.type", STRING, string("none"));
        builder.set("qwen2.rope.freq_base", F32, 5e5_f32.to_le_bytes().into());
    });
    assert_eq!(Hyperparameters::of(&plain).unwrap().rope_base, 5e5);
    open_file(&plain, None);
}

#[test]
fn missing_array_is_named() {
    let file = tiny::file("qwen2");
    let hyper = Hyperparameters::of(&file).unwrap();
    for name in ["model.layers.1.mlp.up_proj.weight", "model.layers.0.self_attn.q_proj.biases", "model.norm.weight"] {
        let mut arrays = arrays(&file);
        arrays.remove(name);
        assert_eq!(Decoder::new(hyper, arrays).err().expect("refused"), format!("{name} is missing"));
    }
}

#[test]
fn exception_inside_mlx_is_an_error_of_one_request() {
    let file = tiny::file("qwen2");
    let hyper = Hyperparameters::of(&file).unwrap();
    start().unwrap();
    let mut wrong = arrays(&file);
    let other = wrong["model.layers.0.self_attn.k_proj.scales"].clone();
    wrong.insert("model.layers.1.mlp.up_proj.scales".into(), other);
    let decoder = Decoder::new(hyper, wrong).unwrap();
    let exception = decoder.hidden(&Array::from_slice(&[1_u32, 2], &[2]), &mut decoder.cache(Float::F32));
    assert!(exception.is_err());
    // The next request is answered.
    assert!(open_file(&file, None).forward(&tiny::prompt(5)).is_ok());
}

#[test]
fn tokens_that_cannot_be_are_refused_and_the_model_goes_on() {
    let (mut model, tokenizer) = super::open(SMOLLM);
    let text = tokens(&tokenizer, "hello");
    let expected = model.forward(&text).unwrap().to_vec();
    assert!(model.forward(&[]).is_err());
    assert!(model.forward(&[tokenizer.vocabulary_size() as u32]).is_err());
    model.rewind(0).unwrap();
    assert_eq!(model.forward(&text).unwrap(), expected);
}

#[test]
fn weights_are_loaded_on_one_thread_and_used_on_another() {
    let (file, prompt) = (tiny::file("qwen2"), tiny::prompt(9));
    let here = open_file(&file, None).forward(&prompt).unwrap().to_vec();
    let there = std::thread::spawn(move || open_file(&file, None).forward(&prompt).unwrap().to_vec()).join().unwrap();
    assert_eq!(here, there);
}

#[test]
fn program_without_the_memory_says_so_on_stderr_alone() {
    let mut env = TestEnv::without_model();
    env.set("CMDAI_MODELS_DIR", models_dir().to_str().unwrap());
    // Room for the program and the mapped file, not for 616 MB of weights.
    let script = "ulimit -v 1000000; exec \"$0\" suggest --engine mlx --model qwen2.5-coder-0.5b list files";
    let output = env.command("bash").args(["-c", script, crate::support::CMDAI]).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(output.stdout.is_empty());
    assert!(
        stderr.contains("no memory for 616.3 MB of weights") && stderr.contains("hint: free some memory"),
        "{stderr}"
    );
    assert!(stderr.contains(QWEN_SMALL), "{stderr}");
}

#[test]
fn arrays_hold_what_was_packed() {
    let file = tiny::file("qwen2");
    let arrays = weights::load(&file, "0123", Float::F32, None).unwrap();
    assert_eq!(arrays["model.layers.0.input_layernorm.weight"].shape(), [256]);
    assert_eq!(arrays["model.layers.0.self_attn.k_proj.weight"].shape(), [128, 256 * 5 / 32]);
    assert_eq!(arrays["model.layers.0.self_attn.k_proj.scales"].shape(), [128, 8]);
    assert_eq!(arrays["lm_head.weight"].shape(), [257, 256]);
    assert_eq!(arrays.len(), 2 * (7 * 3 + 2 + 3) + 3 + 1 + 1);
}
