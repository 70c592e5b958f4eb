//! What an isolate knows of a provider, and how a sign-in there can fail.

use std::rc::Rc;

use crate::jose::error::TokenError;
use crate::memory::issuer_keys::KeysCause;
use crate::model::claim::Granted;
use crate::platform::shelf::Weigh;
use crate::platform::time::Timestamp;

/// The endpoints of a provider, as its discovery document names them (Discovery 1.0 §3).
pub struct Endpoints {
    pub authorization: String,
    pub token: String,
    pub userinfo: Option<String>,
    pub end_session: Option<String>,
    /// Whether its responses always have `iss` (RFC 9207 §3).
    pub says_iss: bool,
}

/// What an isolate knows of the tokens of a session.
pub struct KnownTokens {
    /// What the provider has granted last, if that was after the sign-in.
    pub granted: Option<Rc<Granted>>,
    /// Whether the provider can be asked for more.
    pub is_renewable: bool,
    /// When it was last asked with success.
    pub refreshed_at: Timestamp,
    /// When it was last asked, whatever came of it.
    pub asked_at: Timestamp,
    /// The access token for origins, and until when it is good.
    pub access: Option<(Rc<str>, Timestamp)>,
}

impl Weigh for KnownTokens {
    fn heap(&self) -> usize {
        let access = self.access.as_ref();
        self.granted.heap() + access.map_or(0, |(token, _)| token.heap())
    }
}

impl Weigh for Endpoints {
    fn heap(&self) -> usize {
        self.authorization.heap()
            + self.token.heap()
            + self.userinfo.heap()
            + self.end_session.heap()
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
    #[error("no refresh token, or one that is too long")]
    NoRefreshToken,
    #[error("ID token: {0}")]
    IdToken(TokenError),
    #[error("access token: {0}")]
    AccessToken(TokenError),
    /// Core 1.0 §5.3.2.
    #[error("sub is that of another person")]
    OtherSubject,
}
