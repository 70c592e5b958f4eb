//! `OpenID` Connect providers: an issuer at whose own page people sign in, and the client that we are there.

use std::cell::OnceCell;
use std::fmt;
use std::rc::Rc;

use serde::Deserialize;

use crate::platform::algorithm::Algorithm;
use crate::platform::time::Seconds;
use crate::site::UpstreamCredential;
use crate::site::issuer::Issuer;

/// A validated provider.
#[derive(Debug)]
pub struct Provider {
    /// Whose ID tokens these are. Has the provider's name, and [`Self::client_id`] as its only audience.
    pub issuer: Rc<Issuer>,
    /// What its button says.
    pub label: String,
    pub client_id: String,
    pub authentication: ClientAuthentication,
    /// The value of the parameter `scope`.
    pub scope: String,
    /// How long ago the person may have signed in there at the most (`max_age`, Core 1.0 §3.1.2.1).
    pub max_age: Option<Seconds>,
    /// Whether claims that the ID token lacks are asked for at its userinfo endpoint.
    pub userinfo: bool,
    /// Whether claims that the ID token lacks are read from the access token, as Keycloak's roles.
    pub access_token_claims: bool,
    /// Whether a sign-out here leads to its `end_session_endpoint` (RP-Initiated Logout 1.0).
    pub sign_out: bool,
    /// How sessions are renewed there, if they are.
    pub offline: Option<Offline>,
    /// For GitHub, which has no ID tokens: the organisations about which it is asked.
    pub github: Option<Vec<String>>,
    /// Whether its response is a form that its page sends (OAuth 2.0 Form Post Response Mode), as Apple's is.
    pub form_post: bool,
}

/// How sessions are renewed at a provider.
#[derive(Debug)]
pub struct Offline {
    /// What is asked for besides the scope.
    pub fields: &'static [(&'static str, &'static str)],
    pub if_refused: IfRefused,
    /// For how long a session stays after it was due, while the provider cannot be asked.
    pub bound: Seconds,
}

/// What becomes of a session that the provider does not renew.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum IfRefused {
    /// It ends, with all that began with the same sign-in.
    EndSession,
    /// All sessions of the person end.
    EndAll,
    /// It stays, and is not renewed there any more.
    Keep,
}

/// The claim with the organisations of [`Provider::github`] in which the person is; without one, there is no such claim.
pub const ORGANIZATIONS: &str = "organizations";

/// How we authenticate to a provider's token endpoint (Core 1.0 §9).
#[derive(Debug)]
pub enum ClientAuthentication {
    /// `client_secret_basic`: the value of `Authorization`.
    Basic(UpstreamCredential),
    /// `client_secret_post`: the secret.
    Post(UpstreamCredential),
    /// `private_key_jwt`, or what Apple takes for a client secret.
    Assertion(AssertionKey),
    /// A public client; PKCE alone binds the code to us.
    None,
}

/// A key with which we authenticate.
pub struct AssertionKey {
    pub algorithm: Algorithm,
    /// The private key (PKCS #8).
    pub pkcs8: Vec<u8>,
    pub kid: Option<String>,
    /// For Apple: the team, which is the `iss`.
    pub team: Option<String>,
    /// Whether assertions name the token endpoint as their audience, and not the issuer.
    pub for_endpoint: bool,
    /// The key as the platform signs with it, once it was needed.
    pub sealed: OnceCell<Vec<u8>>,
}

/// Without the key.
impl fmt::Debug for AssertionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AssertionKey({})", self.algorithm.name())
    }
}

impl Provider {
    /// Its name: that of its table, in lower case.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.issuer.name
    }
}
