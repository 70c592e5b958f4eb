//! What an isolate knows of a provider, and how a sign-in there can fail.

use crate::jose::error::TokenError;
use crate::memory::issuer_keys::KeysCause;
use crate::platform::shelf::Weigh;

/// The endpoints of a provider, as its discovery document names them (Discovery 1.0 §3).
pub struct Endpoints {
    pub authorization: String,
    pub token: String,
    pub userinfo: Option<String>,
    /// Whether its responses always have `iss` (RFC 9207 §3).
    pub says_iss: bool,
}

impl Weigh for Endpoints {
    fn heap(&self) -> usize {
        self.authorization.heap() + self.token.heap() + self.userinfo.heap()
    }
}

/// Why a provider has not signed anybody in. Holds nothing that it or a client has sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ProviderCause {
    #[error("discovery document: {0}")]
    Discovery(KeysCause),
    #[error("discovery document: no usable {0}")]
    NoEndpoint(&'static str),
    #[error("its key set is unavailable")]
    Keys,
    /// RFC 9207 §2.4.
    #[error("the response has the iss of another issuer, or none although one is announced")]
    Iss,
    #[error("the response has no code")]
    NoCode,
    /// RFC 6749 §4.1.2.1.
    #[error("the response has the error {0}")]
    Error(&'static str),
    #[error("the key of the client cannot sign")]
    ClientKey,
    #[error("{0}: {1}")]
    Endpoint(&'static str, KeysCause),
    /// RFC 6749 §5.2.
    #[error("token endpoint: status {0}, error {1}")]
    Refused(u16, &'static str),
    #[error("{0}: the answer is not the expected JSON")]
    Form(&'static str),
    #[error("ID token: {0}")]
    IdToken(TokenError),
    #[error("access token: {0}")]
    AccessToken(TokenError),
    /// Core 1.0 §5.3.2.
    #[error("userinfo: sub is another one than that of the ID token")]
    OtherSubject,
}
