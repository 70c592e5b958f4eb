//! Passkeys: the ceremonies against the published vectors, and each checked field changed alone.

mod vectors;
