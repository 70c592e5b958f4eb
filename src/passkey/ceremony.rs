//! The two ceremonies: registering a credential, and signing in with one. The order of the checks is that of the
//! specification; the counter counts only once the signature has been verified.

use crate::jose::der;
use crate::passkey::authenticator_data::AuthenticatorData;
use crate::passkey::cbor::{Item, Reader};
use crate::passkey::cose::{self, Key};
use crate::passkey::{PasskeyError, client_data};
use crate::platform::algorithm::Algorithm;
use crate::platform::digest::sha256;
use crate::platform::port::{Check, Crypto, Fault};

/// A ceremony.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ceremony {
    Register,
    SignIn,
}

impl Ceremony {
    /// The `type` of its client data.
    #[must_use]
    pub const fn client_data_type(self) -> &'static str {
        match self {
            Self::Register => "webauthn.create",
            Self::SignIn => "webauthn.get",
        }
    }
}

/// What a response must fit.
#[derive(Clone, Copy)]
pub struct Expected<'a> {
    pub rp_id: &'a str,
    /// The origin of the page.
    pub origin: &'a str,
    /// The origins that may frame it.
    pub top_origins: &'a [String],
    pub challenge: &'a [u8],
    /// Whether the authenticator must have verified the user.
    pub user_verification: bool,
}

/// A new credential.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Registered {
    pub credential_id: Vec<u8>,
    pub key: Key,
    pub aaguid: [u8; 16],
    pub counter: u32,
    pub backup_eligible: bool,
    pub backed_up: bool,
}

/// Checks a registration (§7.1). No attestation is asked for; a statement that is there all the same is well-formed, and
/// is not believed. Whether somebody has registered the credential, the caller knows.
///
/// # Errors
/// The reason of the field that is wrong.
pub fn register(
    client_data: &[u8],
    attestation: &[u8],
    expected: &Expected<'_>,
) -> Result<Registered, PasskeyError> {
    client_data::check(client_data, Ceremony::Register, expected)?;
    let mut reader = Reader::new(attestation);
    let members = reader.map().ok_or(PasskeyError::Cbor)?;
    if !reader.rest().is_empty() {
        return Err(PasskeyError::Cbor);
    }
    let [
        (Item::Text("fmt"), Item::Text(format)),
        (Item::Text("attStmt"), Item::Map(statement)),
        (Item::Text("authData"), Item::Bytes(data)),
    ] = members.as_slice()
    else {
        return Err(PasskeyError::Attestation);
    };
    // The one format whose statement says nothing (§8.7).
    if *format == "none" && *statement != [0xa0] {
        return Err(PasskeyError::Attestation);
    }
    let data = AuthenticatorData::parse(data)?;
    check(&data, expected)?;
    let Some(attested) = &data.attested else {
        return Err(PasskeyError::Attested);
    };
    Ok(Registered {
        credential_id: attested.credential_id.to_vec(),
        key: attested.key.clone(),
        aaguid: *attested.aaguid,
        counter: data.counter,
        backup_eligible: data.backup_eligible(),
        backed_up: data.backed_up(),
    })
}

/// What is known of a credential.
#[derive(Clone, Copy)]
pub struct Known<'a> {
    /// The number of its algorithm.
    pub number: i64,
    pub spki: &'a [u8],
    pub counter: u32,
    pub backup_eligible: bool,
}

/// What a good assertion changes of a credential.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Asserted {
    pub counter: u32,
    pub backed_up: bool,
}

/// The parts of an assertion.
#[derive(Clone, Copy)]
pub struct Assertion<'a> {
    pub client_data: &'a [u8],
    pub authenticator_data: &'a [u8],
    pub signature: &'a [u8],
}

/// Checks an assertion (§7.2). Whose the credential is, the caller knows.
///
/// # Errors
/// A fault; inside, the reason of the field that is wrong.
pub async fn assert(
    crypto: &dyn Crypto,
    assertion: Assertion<'_>,
    known: Known<'_>,
    expected: &Expected<'_>,
) -> Result<Result<Asserted, PasskeyError>, Fault> {
    let (data, message, signature) = match before_signature(assertion, known, expected) {
        Ok(checked) => checked,
        Err(error) => return Ok(Err(error)),
    };
    let Some(algorithm) = cose::algorithm(known.number) else {
        return Err(Fault::Record);
    };
    let check = Check {
        algorithm,
        key: known.spki,
        message: &message,
        signature: &signature,
    };
    if !crypto.verify(check).await? {
        return Ok(Err(PasskeyError::Signature));
    }
    if !has_grown(known.counter, data.counter) {
        return Ok(Err(PasskeyError::Cloned));
    }
    Ok(Ok(Asserted {
        counter: data.counter,
        backed_up: data.backed_up(),
    }))
}

/// Whether a counter has grown. Authenticators that do not count say zero each time.
#[must_use]
pub const fn has_grown(known: u32, said: u32) -> bool {
    (known == 0 && said == 0) || said > known
}

type Signed<'a> = (AuthenticatorData<'a>, Vec<u8>, Vec<u8>);

/// The data, what is signed, and the signature as the platform takes it.
fn before_signature<'a>(
    assertion: Assertion<'a>,
    known: Known<'_>,
    expected: &Expected<'_>,
) -> Result<Signed<'a>, PasskeyError> {
    client_data::check(assertion.client_data, Ceremony::SignIn, expected)?;
    let data = AuthenticatorData::parse(assertion.authenticator_data)?;
    check(&data, expected)?;
    if data.attested.is_some() {
        return Err(PasskeyError::Attested);
    }
    if data.backup_eligible() != known.backup_eligible {
        return Err(PasskeyError::BackupEligibility);
    }
    let hash = sha256(assertion.client_data);
    let message = [assertion.authenticator_data, &hash].concat();
    let algorithm = cose::algorithm(known.number);
    let is_ecdsa = !matches!(known.number, -8 | -257);
    let size = algorithm.and_then(Algorithm::signature_length);
    let signature = match size {
        Some(size) if is_ecdsa => {
            der::ecdsa(assertion.signature, size / 2).ok_or(PasskeyError::Signature)?
        }
        // The platform fails on an Ed25519 signature of another length.
        Some(size) if size != assertion.signature.len() => return Err(PasskeyError::Signature),
        _ => assertion.signature.to_vec(),
    };
    Ok((data, message, signature))
}

fn check(data: &AuthenticatorData<'_>, expected: &Expected<'_>) -> Result<(), PasskeyError> {
    if *data.rp_id_hash != sha256(expected.rp_id.as_bytes()) {
        return Err(PasskeyError::RpId);
    }
    if !data.user_present() {
        return Err(PasskeyError::UserPresence);
    }
    if expected.user_verification && !data.user_verified() {
        return Err(PasskeyError::UserVerification);
    }
    if data.backed_up() && !data.backup_eligible() {
        return Err(PasskeyError::BackupState);
    }
    Ok(())
}
