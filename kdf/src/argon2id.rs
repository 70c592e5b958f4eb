//! Argon2id, version 0x13 (RFC 9106).

use std::sync::Mutex;

use argon2::{Algorithm, Argon2, AssociatedData, Block, ParamsBuilder, Version};

use crate::{BAD_LENGTH, BAD_PARAMETERS, hash, make_room};

/// The working memory. Kept, so that it is allocated once: Wasm memory never shrinks anyway.
static MEMORY: Mutex<Vec<Block>> = Mutex::new(Vec::new());

/// Hashes a password. `secret` and `data` (RFC 9106 §3.1) are there for the RFC's vector; our own
/// hashes have neither.
#[unsafe(no_mangle)]
pub extern "C" fn kdf_argon2id(
    password: usize,
    salt: usize,
    secret: usize,
    data: usize,
    length: usize,
    memory_kib: u32,
    passes: u32,
    lanes: u32,
) -> i32 {
    hash(
        [password, salt, secret, data],
        length,
        |[password, salt, secret, data], output| {
            let params = ParamsBuilder::new()
                .m_cost(memory_kib)
                .t_cost(passes)
                .p_cost(lanes)
                .data(AssociatedData::new(data).map_err(|_| BAD_LENGTH)?)
                .output_len(length)
                .build()
                .map_err(|_| BAD_PARAMETERS)?;
            let count = params.block_count();
            let argon2 =
                Argon2::new_with_secret(secret, Algorithm::Argon2id, Version::V0x13, params)
                    .map_err(|_| BAD_LENGTH)?;
            let mut memory = MEMORY.lock().map_err(|_| BAD_PARAMETERS)?;
            if memory.len() < count {
                *memory = Vec::new();
                make_room(count * Block::SIZE);
                memory.resize(count, Block::default());
            }
            let blocks = memory.get_mut(..count).ok_or(BAD_PARAMETERS)?;
            argon2
                .hash_password_into_with_memory(password, salt, output, blocks)
                .map_err(|_| BAD_LENGTH)
        },
    )
}

#[cfg(test)]
mod tests {
    use super::kdf_argon2id;
    use crate::{BAD_LENGTH, BAD_PARAMETERS, call, hex};

    fn argon2id(inputs: [&[u8]; 4], length: usize, [m, t, p]: [u32; 3]) -> Result<String, i32> {
        let [password, salt, secret, data] = inputs.map(<[u8]>::len);
        call(&inputs, length, || {
            kdf_argon2id(password, salt, secret, data, length, m, t, p)
        })
        .map(|output| hex(&output))
    }

    #[test]
    fn the_vector_of_rfc_9106() {
        let inputs: [&[u8]; 4] = [&[1; 32], &[2; 16], &[3; 8], &[4; 12]];
        assert_eq!(
            argon2id(inputs, 32, [32, 3, 4]).as_deref(),
            Ok("0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659"),
        );
    }

    #[test]
    fn memory_that_a_larger_hash_left_does_not_matter() {
        let inputs: [&[u8]; 4] = [b"password", b"somesalt", b"", b""];
        let before = argon2id(inputs, 32, [64, 2, 1]);
        argon2id(inputs, 32, [1024, 3, 2]).unwrap();
        assert_eq!(argon2id(inputs, 32, [64, 2, 1]), before);
    }

    #[test]
    fn what_the_algorithm_does_not_take_is_refused() {
        let inputs: [&[u8]; 4] = [b"password", b"somesalt", b"", b""];
        for parameters in [[7, 1, 1], [64, 0, 1], [64, 1, 0], [64, 1, 9]] {
            assert_eq!(argon2id(inputs, 32, parameters), Err(BAD_PARAMETERS));
        }
        assert_eq!(argon2id(inputs, 65, [64, 1, 1]), Err(BAD_LENGTH));
        assert_eq!(
            argon2id([b"password", b"salt", b"", b""], 32, [64, 1, 1]),
            Err(BAD_LENGTH)
        );
        assert_eq!(
            call(&[], 32, || kdf_argon2id(8191, 8, 0, 0, 32, 64, 1, 1)),
            Err(BAD_LENGTH)
        );
    }
}
