//! How a pull tells what it is doing, without knowing a terminal.

/// Listens to a pull.
pub trait Progress {
    /// `done` of `total` bytes are on this machine; may fall back where a server makes us start over.
    fn at(&mut self, done: u64, total: u64);
    /// One line for the person who waits.
    fn note(&mut self, line: &str);
}

/// Listens to nothing.
impl Progress for () {
    fn at(&mut self, _done: u64, _total: u64) {}
    fn note(&mut self, _line: &str) {}
}
