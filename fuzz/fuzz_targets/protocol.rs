//! What arrives at the socket, from the server's side and from the client's: an error or a message that is the same when
//! it is sent on, never more memory than a frame may have.

#![no_main]

use std::io;

use cmdai::server::protocol::{Ask, Hello, Reply, frame, read};
use serde::{Serialize, de::DeserializeOwned};

fn block_on<T>(future: impl Future<Output = T>) -> T {
    thread_local! {
        static RUNTIME: tokio::runtime::Runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    }
    RUNTIME.with(|runtime| runtime.block_on(future))
}

/// Every message of the stream up to the first fault.
fn messages<T: DeserializeOwned>(mut stream: &[u8]) -> (Vec<T>, io::Result<()>) {
    let mut found = Vec::new();
    loop {
        match block_on(read(&mut stream)) {
            Ok(Some(message)) => found.push(message),
            Ok(None) => return (found, Ok(())),
            Err(error) => return (found, Err(error)),
        }
    }
}

/// Sends what was read once more: it must be taken, and after that stay as it is to the byte.
fn check<T: DeserializeOwned + Serialize>(stream: &[u8]) {
    let (found, _) = messages::<T>(stream);
    let sent: String = found.iter().map(frame).collect();
    let (again, outcome) = messages::<T>(sent.as_bytes());
    assert!(outcome.is_ok() && again.len() == found.len(), "not taken a second time: {sent}: {outcome:?}");
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    check::<Hello>(data);
    check::<Ask>(data);
    check::<Reply>(data);
});
