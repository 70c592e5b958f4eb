//! Password hashing for JavaScript, without wasm-bindgen.
//!
//! One static buffer carries everything: the caller writes the inputs into it, one behind the
//! other, and calls a function with their lengths and the parameters; the hash is then at the
//! beginning of the buffer, and the inputs are gone. Zero means that it worked. The functions
//! know nothing of who tries, how often, or what is right.
//!
//! There is no `unsafe` code: the buffer consists of atomics, which compile to plain loads and
//! stores on one thread. `unsafe(no_mangle)` only promises that no other symbol has the name; the
//! names begin with `kdf_`.

#[cfg(feature = "argon2id")]
pub mod argon2id;
#[cfg(feature = "import")]
pub mod import;

use std::hint::black_box;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering::Relaxed};

/// A password of 1,024 bytes, a salt, and what else the test vectors need.
pub const CAPACITY: usize = 8192;
/// The hash was made.
pub const MADE: i32 = 0;
/// The lengths do not fit into the buffer, or into what the algorithm takes.
pub const BAD_LENGTH: i32 = 1;
/// The algorithm does not take these parameters.
pub const BAD_PARAMETERS: i32 = 2;

static BUFFER: [AtomicU8; CAPACITY] = [const { AtomicU8::new(0) }; CAPACITY];

/// Where the buffer begins.
#[unsafe(no_mangle)]
pub extern "C" fn kdf_buffer() -> *const AtomicU8 {
    BUFFER.as_ptr()
}

/// How many bytes the buffer has.
#[unsafe(no_mangle)]
pub extern "C" fn kdf_capacity() -> usize {
    CAPACITY
}

/// Takes inputs of these lengths out of the buffer, has them hashed to `length` bytes, and writes
/// those into the buffer.
fn hash<const N: usize>(
    lengths: [usize; N],
    length: usize,
    make: impl FnOnce([&[u8]; N], &mut [u8]) -> Result<(), i32>,
) -> i32 {
    let mut bytes = BUFFER.each_ref().map(|byte| byte.swap(0, Relaxed));
    let result = split(&bytes, lengths).and_then(|inputs| {
        let mut output = [0; 64];
        let output = output.get_mut(..length).ok_or(BAD_LENGTH)?;
        make(inputs, output)?;
        for (to, from) in BUFFER.iter().zip(output) {
            to.store(*from, Relaxed);
        }
        Ok(())
    });
    // So that no password stays on the stack; without the barrier the compiler would leave this out.
    bytes.fill(0);
    black_box(&bytes);
    result.err().unwrap_or(MADE)
}

/// Sees to it that so many bytes are free in one piece. The allocator grows by the whole of what it is
/// asked for, however much is free at the end of the memory; so 32 MiB after 19 MiB would take 51.
fn make_room(bytes: usize) {
    /// What other allocations may take of it.
    const MARGIN: usize = 128 * 1024;
    static ROOM: AtomicUsize = AtomicUsize::new(0);
    let wanted = bytes.saturating_add(MARGIN);
    let room = ROOM.fetch_max(wanted, Relaxed);
    if room < wanted {
        let held = Vec::<u8>::with_capacity(room);
        let more = Vec::<u8>::with_capacity(wanted - room);
        black_box((&held, &more));
    }
}

/// The inputs of these lengths, one behind the other.
fn split<const N: usize>(bytes: &[u8], lengths: [usize; N]) -> Result<[&[u8]; N], i32> {
    let mut rest = bytes;
    let mut inputs = [rest; N];
    for (input, length) in inputs.iter_mut().zip(lengths) {
        (*input, rest) = rest.split_at_checked(length).ok_or(BAD_LENGTH)?;
    }
    Ok(inputs)
}

/// For tests: calls one of the functions as JavaScript does.
#[cfg(test)]
fn call(inputs: &[&[u8]], length: usize, make: impl FnOnce() -> i32) -> Result<Vec<u8>, i32> {
    static TURN: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _turn = TURN.lock();
    for (to, from) in BUFFER.iter().zip(inputs.concat()) {
        to.store(from, Relaxed);
    }
    let status = make();
    let left: Vec<u8> = BUFFER.iter().map(|byte| byte.swap(0, Relaxed)).collect();
    let used = if status == MADE { length } else { 0 };
    assert!(left.iter().skip(used).all(|byte| *byte == 0), "inputs stay");
    if status == MADE {
        Ok(left.into_iter().take(length).collect())
    } else {
        Err(status)
    }
}

/// For tests: the bytes as lower-case hex.
#[cfg(test)]
fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        _ = write!(text, "{byte:02x}");
        text
    })
}
