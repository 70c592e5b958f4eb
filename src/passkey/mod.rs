//! Passkeys: what a relying party checks of a registration and of an assertion (Web Authentication Level 3, §7.1, §7.2).
//! Knows bytes, and neither users nor the store; signatures are verified by the platform.

pub mod authenticator_data;
pub mod cbor;
pub mod ceremony;
pub mod client_data;
pub mod cose;

/// Why a ceremony failed: one reason for each field that is checked. Only the log is told.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PasskeyError {
    /// A field of the form is missing, too long or not base64url.
    #[error("a field is missing, too long, or not base64url")]
    Form,
    #[error("the challenge is not ours, or another browser's, session's or ceremony's")]
    ForeignChallenge,
    #[error("the challenge has expired")]
    ExpiredChallenge,
    #[error("the challenge was used")]
    UsedChallenge,
    #[error("the client data are not a JSON object with the members that it must have")]
    ClientData,
    #[error("the client data are of another ceremony")]
    Type,
    #[error("the client data have another challenge")]
    Challenge,
    #[error("the client data have another origin")]
    Origin,
    #[error("the ceremony ran in a frame of another origin")]
    CrossOrigin,
    #[error("the ceremony ran below an origin that may not frame the gateway")]
    TopOrigin,
    #[error("the attestation object is not canonical CBOR")]
    Cbor,
    #[error("the attestation object lacks a member, or has another one")]
    Attestation,
    #[error("the authenticator data are too short, or too long")]
    Length,
    #[error("the authenticator data have another rp id")]
    RpId,
    #[error("the user was not present")]
    UserPresence,
    #[error("the user was not verified")]
    UserVerification,
    #[error("the authenticator data say backed up, but not eligible for it")]
    BackupState,
    #[error("the eligibility for backup has changed")]
    BackupEligibility,
    #[error("attested data are missing, or are where none belong")]
    Attested,
    #[error("the credential id has no bytes, or over 1,023")]
    CredentialIdLength,
    #[error("the credential id differs from the attested one")]
    CredentialId,
    #[error("the extensions are malformed")]
    Extensions,
    #[error("the key is not a canonical COSE key with exactly its parameters")]
    Key,
    #[error("the algorithm was not offered")]
    Algorithm,
    #[error("the curve is not that of the algorithm")]
    Curve,
    #[error("the key is too weak or too long")]
    WeakKey,
    #[error("the signature is not valid")]
    Signature,
    #[error("passkey_cloned: the counter has not grown")]
    Cloned,
    #[error("no such credential")]
    Unknown,
    #[error("the user handle is not that of the credential's user")]
    UserHandle,
    #[error("the user is disabled")]
    UserDisabled,
    #[error("the credential is registered already")]
    Registered,
    #[error("the user has as many passkeys as there can be")]
    TooMany,
    #[error("it is the last way to sign in")]
    LastWay,
    #[error("the sign-in is not fresh")]
    NotFresh,
}
