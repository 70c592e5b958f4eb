//! Passkeys: what a relying party checks of a registration and of an assertion (Web Authentication Level 3, §7.1, §7.2).
//! Knows bytes, and neither users nor the store; signatures are verified by the platform.

pub mod authenticator_data;
pub mod cbor;
pub mod ceremony;
pub mod client_data;
pub mod cose;

/// Why a ceremony failed: one reason for each field that is checked, with the short name that only the log is told.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PasskeyError {
    /// A field is missing, too long, or not base64url.
    #[error("form")]
    Form,
    /// The challenge is not ours, or another browser's, session's or ceremony's.
    #[error("challenge_foreign")]
    ForeignChallenge,
    /// The challenge has expired.
    #[error("challenge_expired")]
    ExpiredChallenge,
    /// The challenge was used.
    #[error("challenge_used")]
    UsedChallenge,
    /// The client data are not a JSON object with the members that it must have.
    #[error("client_data")]
    ClientData,
    /// The client data are of another ceremony.
    #[error("type")]
    Type,
    /// The client data have another challenge.
    #[error("challenge")]
    Challenge,
    /// The client data have another origin.
    #[error("origin")]
    Origin,
    /// The ceremony ran in a frame of another origin.
    #[error("cross_origin")]
    CrossOrigin,
    /// The ceremony ran below an origin that may not frame the gateway.
    #[error("top_origin")]
    TopOrigin,
    /// The attestation object is not canonical CBOR.
    #[error("cbor")]
    Cbor,
    /// The attestation object lacks a member, or has another one.
    #[error("attestation")]
    Attestation,
    /// The authenticator data are too short, or too long.
    #[error("length")]
    Length,
    /// The authenticator data have another rp id.
    #[error("rp_id")]
    RpId,
    /// The user was not present.
    #[error("user_presence")]
    UserPresence,
    /// The user was not verified.
    #[error("user_verification")]
    UserVerification,
    /// The authenticator data say backed up, but not eligible for it.
    #[error("backup_state")]
    BackupState,
    /// The eligibility for backup has changed.
    #[error("backup_eligibility")]
    BackupEligibility,
    /// Attested data are missing, or are where none belong.
    #[error("attested_data")]
    Attested,
    /// The credential id has no bytes, or over 1,023.
    #[error("credential_id_length")]
    CredentialIdLength,
    /// The credential id differs from the attested one.
    #[error("credential_id")]
    CredentialId,
    /// The extensions are malformed.
    #[error("extensions")]
    Extensions,
    /// The key is not a canonical COSE key with exactly its parameters.
    #[error("key")]
    Key,
    /// The algorithm was not offered.
    #[error("algorithm")]
    Algorithm,
    /// The curve is not that of the algorithm.
    #[error("curve")]
    Curve,
    /// The key is too weak or too long.
    #[error("weak_key")]
    WeakKey,
    /// The signature is not valid.
    #[error("signature")]
    Signature,
    /// The counter has not grown.
    #[error("passkey_cloned")]
    Cloned,
    /// No such credential.
    #[error("credential_unknown")]
    Unknown,
    /// The user handle is not that of the credential's user.
    #[error("user_handle")]
    UserHandle,
    /// The user is disabled.
    #[error("user_disabled")]
    UserDisabled,
    /// The credential is registered already.
    #[error("credential_registered")]
    Registered,
    /// The user has as many passkeys as there can be.
    #[error("too_many")]
    TooMany,
    /// It is the last way to sign in.
    #[error("last_way")]
    LastWay,
    /// The sign-in is not fresh.
    #[error("not_fresh")]
    NotFresh,
}
