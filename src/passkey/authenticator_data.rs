//! Authenticator data (Web Authentication Level 3, §6.1).

use crate::passkey::PasskeyError;
use crate::passkey::cbor::Reader;
use crate::passkey::cose::{self, Key};

const USER_PRESENT: u8 = 1;
const USER_VERIFIED: u8 = 1 << 2;
const BACKUP_ELIGIBLE: u8 = 1 << 3;
const BACKED_UP: u8 = 1 << 4;
const HAS_ATTESTED: u8 = 1 << 6;
const HAS_EXTENSIONS: u8 = 1 << 7;

/// What an authenticator says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AuthenticatorData<'a> {
    pub rp_id_hash: &'a [u8; 32],
    flags: u8,
    pub counter: u32,
    pub attested: Option<Attested<'a>>,
}

/// A new credential.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Attested<'a> {
    pub aaguid: &'a [u8; 16],
    pub credential_id: &'a [u8],
    pub key: Key,
}

impl<'a> AuthenticatorData<'a> {
    /// Parses all of `bytes`.
    ///
    /// # Errors
    /// [`PasskeyError::Length`], [`PasskeyError::CredentialIdLength`], [`PasskeyError::Extensions`], or one of
    /// [`cose::read`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, PasskeyError> {
        let (rp_id_hash, rest) = take::<32>(bytes)?;
        let ([flags], rest) = take::<1>(rest)?;
        let (counter, mut rest) = take::<4>(rest)?;
        let mut attested = None;
        if flags & HAS_ATTESTED != 0 {
            let (aaguid, after) = take::<16>(rest)?;
            let (length, after) = take::<2>(after)?;
            let length = usize::from(u16::from_be_bytes(*length));
            if !(1..=1023).contains(&length) {
                return Err(PasskeyError::CredentialIdLength);
            }
            let (credential_id, after) =
                after.split_at_checked(length).ok_or(PasskeyError::Length)?;
            let mut reader = Reader::new(after);
            let key = cose::read(&mut reader)?;
            rest = reader.rest();
            attested = Some(Attested {
                aaguid,
                credential_id,
                key,
            });
        }
        if flags & HAS_EXTENSIONS != 0 {
            let mut reader = Reader::new(rest);
            reader.map().ok_or(PasskeyError::Extensions)?;
            rest = reader.rest();
        }
        if !rest.is_empty() {
            return Err(PasskeyError::Length);
        }
        Ok(Self {
            rp_id_hash,
            flags: *flags,
            counter: u32::from_be_bytes(*counter),
            attested,
        })
    }

    /// Whether the user was there.
    #[must_use]
    pub const fn user_present(&self) -> bool {
        self.flags & USER_PRESENT != 0
    }

    /// Whether the authenticator has verified the user: by a PIN, a finger, a face.
    #[must_use]
    pub const fn user_verified(&self) -> bool {
        self.flags & USER_VERIFIED != 0
    }

    /// Whether the credential may be on several devices.
    #[must_use]
    pub const fn backup_eligible(&self) -> bool {
        self.flags & BACKUP_ELIGIBLE != 0
    }

    /// Whether it is.
    #[must_use]
    pub const fn backed_up(&self) -> bool {
        self.flags & BACKED_UP != 0
    }
}

fn take<const N: usize>(bytes: &[u8]) -> Result<(&[u8; N], &[u8]), PasskeyError> {
    bytes.split_first_chunk().ok_or(PasskeyError::Length)
}
