//! A cursor over the header: every length is held against what is left before anything is sized by it.

use super::{Checked, shown};

/// The header of the largest vocabulary in use (262,144 tokens) takes 15 MB. The cap bounds the time that a hostile
/// file can take: 64 MiB of empty strings are walked in about 20 ms.
const MAX_HEADER: usize = 64 << 20;
const MAX_STRING: usize = 1 << 20;

pub(super) struct Reader<'a> {
    data: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(data: &'a [u8]) -> Self {
        Self { data, at: 0 }
    }

    /// The offset of the next byte.
    pub(super) fn position(&self) -> usize {
        self.at
    }

    /// How many bytes the header may still take.
    pub(super) fn remaining(&self) -> usize {
        self.data.len().min(MAX_HEADER).saturating_sub(self.at)
    }

    pub(super) fn take(&mut self, wanted: usize, what: &str) -> Checked<&'a [u8]> {
        let found = self.remaining();
        if wanted > found {
            return Err(self.too_short(wanted as u64, what));
        }
        let bytes = &self.data[self.at..self.at + wanted];
        self.at += wanted;
        Ok(bytes)
    }

    pub(super) fn u32(&mut self, what: &str) -> Checked<u32> {
        Ok(u32::from_le_bytes(self.array(what)?))
    }

    pub(super) fn u64(&mut self, what: &str) -> Checked<u64> {
        Ok(u64::from_le_bytes(self.array(what)?))
    }

    /// A string: its length in 8 bytes, then its bytes. The caller decides whether they must be UTF-8.
    pub(super) fn string(&mut self, what: &str) -> Checked<&'a [u8]> {
        let length = self.u64(what)?;
        match usize::try_from(length) {
            Ok(length) if length <= self.remaining() && length > MAX_STRING => {
                Err(format!("{what} is {length} bytes long (at most {MAX_STRING})"))
            }
            Ok(length) if length <= self.remaining() => self.take(length, what),
            _ => Err(self.too_short(length, what)),
        }
    }

    /// Walks over the strings of an array; a model has 300,000 of them, so the way without an error is kept short.
    pub(super) fn skip_strings(&mut self, count: usize) -> Checked<()> {
        let mut rest = &self.data[self.at..self.at + self.remaining()];
        let total = rest.len();
        for _ in 0..count {
            let after = rest.split_first_chunk().and_then(|(length, rest)| {
                let length = u64::from_le_bytes(*length) as usize;
                rest.get(length..).filter(|_| length <= MAX_STRING)
            });
            let Some(after) = after else {
                self.at += total - rest.len();
                return self.string("string array").map(drop);
            };
            rest = after;
        }
        self.at += total - rest.len();
        Ok(())
    }

    /// A name, of a key or a tensor: short UTF-8.
    pub(super) fn name(&mut self, max: usize, what: &str) -> Checked<&'a str> {
        let bytes = self.string(what)?;
        if bytes.is_empty() || bytes.len() > max {
            return Err(format!("{what} is {} bytes long (1 to {max} allowed)", bytes.len()));
        }
        str::from_utf8(bytes).map_err(|_| format!("{what} {} is not UTF-8", shown(bytes)))
    }

    fn array<const N: usize>(&mut self, what: &str) -> Checked<[u8; N]> {
        let found = self.remaining();
        let bytes = self.take(N, what)?;
        bytes.try_into().map_err(|_| format!("{what} is cut short (wanted {N} bytes, found {found})"))
    }

    pub(super) fn too_short(&self, wanted: u64, what: &str) -> String {
        let found = self.remaining();
        if self.data.len() > MAX_HEADER {
            return format!("header is longer than {MAX_HEADER} bytes at {what} (wanted {wanted} bytes, left {found})");
        }
        format!("header ends early in {what} (wanted {wanted} bytes, found {found})")
    }
}
