//! `cmdai bench`: times whole requests the way a person makes them, and says how near they come to what the engine by
//! itself and the memory allow.

use std::{
    fmt::Write,
    hint::black_box,
    thread,
    time::{Duration, Instant},
};

use super::suggest::{self, Answered, answer_request, find};
use crate::{
    cli::BenchArgs,
    config::{self, Config},
    engine::{self, BareRates},
    error::{Context, Error, Result},
    model::store::Store,
    pipeline,
    platform::Platform,
    request::Timing,
    server::percentile,
};

/// What people ask for; their answers have 3 to 30 tokens.
const REQUESTS: [&str; 8] = [
    "find files larger than 10 MB",
    "show disk usage of every folder here, largest first",
    "count the lines of all python files in this project",
    "list the processes that use most memory",
    "undo the last commit but keep the changes",
    "compress the folder src into src.tar.gz",
    "which ports are open on this machine",
    "replace tabs by four spaces in main.c",
];

/// A server that is left alone for so long has its engine settle, as it does between a person's requests.
const ALONE: Duration = Duration::from_secs(5);

/// Bytes read to find how fast memory is: far more than any processor caches.
const READ_BYTES: usize = 512 << 20;

/// Runs the requests and prints the table.
///
/// # Errors
/// A request fails, or the engine cannot be opened by itself.
pub fn run(args: &BenchArgs) -> Result<()> {
    let config = Config::load(&args.engine)?;
    let choice = config.engine_choice()?;
    if choice.name == engine::REMOTE {
        return Err(Error::usage("the engine remote computes elsewhere: there is nothing to measure here")
            .hint("choose another: --engine llama"));
    }
    let answered = requests(&config, args.rounds.into())?;
    let model = find(&config, &|spec| Err(Store::absent(spec)))?;
    let target = suggest::target(&config, &choice, model)?;
    let bare = engine::bare_rates(&target.model, choice.name, &target.settings(config.cache()), tail(&answered))?;
    let mut text = format!("{} requests, {} on {}\n\n", answered.len(), target.model.name, choice.name);
    write_times(&mut text, &answered);
    write_rates(&mut text, &answered, &bare, memory_rate()?);
    super::print(&text)
}

/// The timings of `rounds` of all requests. The first round may start the server and load the model; it is not counted.
fn requests(config: &Config, rounds: usize) -> Result<Vec<Timing>> {
    let shell = config::login_shell()?;
    let mut timings = Vec::new();
    for round in 0..=rounds {
        if round == 1 {
            thread::sleep(ALONE);
        }
        for words in REQUESTS {
            let request = pipeline::request(words, config::context(shell), 1)?;
            let answered = answer_request(config, request, &|spec| Err(Store::absent(spec)), &mut |_| {});
            match answered {
                Ok(Answered { timing, .. }) if round > 0 => timings.push(timing),
                // A smaller model may have no command for one of them.
                Ok(_) | Err(Error::NoCommand(_)) => {}
                Err(error) => return Err(error),
            }
        }
    }
    if timings.is_empty() { Err(Error::NoCommand("no request was answered".into())) } else { Ok(timings) }
}

/// How many tokens of the prompt the median request has to compute.
fn tail(timings: &[Timing]) -> usize {
    let mut tokens: Vec<f64> = timings.iter().map(|timing| computed(timing) as f64).collect();
    percentile(&mut tokens, 0.5) as usize
}

fn computed(timing: &Timing) -> usize {
    timing.prompt_tokens - timing.cached_tokens
}

fn write_times(text: &mut String, timings: &[Timing]) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{:<10} {:>9} {:>9}", "", "p50, ms", "p95, ms");
    type Part = fn(&Timing) -> f64;
    let rows: [(&str, Part); 7] = [
        ("connect", |timing| timing.connect_ms),
        ("queue", |timing| timing.queue_ms),
        ("load", |timing| timing.load_ms),
        ("prefill", |timing| timing.prefill_ms),
        ("decode", |timing| timing.decode_ms),
        ("parse", |timing| timing.parse_ms),
        ("total", |timing| timing.total_ms),
    ];
    for (name, of) in rows {
        let mut times: Vec<f64> = timings.iter().map(of).collect();
        let _ = writeln!(text, "{name:<10} {:>9.1} {:>9.1}", percentile(&mut times, 0.5), percentile(&mut times, 0.95));
    }
}

fn write_rates(text: &mut String, timings: &[Timing], bare: &BareRates, memory: f64) {
    let median = |of: fn(&Timing) -> f64| percentile(&mut timings.iter().map(of).collect::<Vec<_>>(), 0.5);
    let prefill = median(|timing| computed(timing) as f64 / timing.prefill_ms * 1e3);
    // The first token comes with the prefill.
    let decode = median(|timing| timing.decoded_tokens.saturating_sub(1) as f64 / timing.decode_ms.max(1e-3) * 1e3);
    let share = |part: f64, whole: f64| 100.0 * part / whole;
    let limit = memory / bare.bytes_per_token;
    let _ = writeln!(
        text,
        "\nprefill   {prefill:.1} tokens/s ({} tokens; the bare engine computes as many at {:.1}: {:.0} %)",
        tail(timings),
        bare.prefill,
        share(prefill, bare.prefill)
    );
    let _ = writeln!(
        text,
        "decode    {decode:.1} tokens/s (the bare engine: {:.1}: {:.0} %)",
        bare.decode,
        share(decode, bare.decode)
    );
    let _ = writeln!(
        text,
        "memory    reads {:.1} GB/s, a token reads {:.2} GB, so at most {limit:.1} tokens/s: decode is at {:.0} %",
        memory / 1e9,
        bare.bytes_per_token / 1e9,
        share(decode, limit)
    );
}

/// Bytes a second that all cores together read from memory: the best of five.
fn memory_rate() -> Result<f64> {
    let words = vec![1u64; READ_BYTES / 8];
    let cores = Platform::detect().cores;
    let mut best = 0.0_f64;
    for _ in 0..5 {
        let start = Instant::now();
        thread::scope(|scope| {
            words.chunks(words.len().div_ceil(cores)).try_for_each(|part| {
                let read = move || black_box(part.iter().fold(0u64, |sum, word| sum.wrapping_add(*word)));
                thread::Builder::new().spawn_scoped(scope, read).map(drop)
            })
        })
        .context(|| "could not start a thread for each core")?;
        best = best.max(READ_BYTES as f64 / start.elapsed().as_secs_f64());
    }
    Ok(best)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_seen() {
        let mut values = [4.0, 1.0, 3.0, 2.0];
        assert_eq!([0.5, 0.75, 0.95].map(|part| percentile(&mut values, part)), [2.0, 3.0, 4.0]);
        assert_eq!(percentile(&mut [], 0.5), 0.0);
    }
}
