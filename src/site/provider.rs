//! `OpenID` Connect providers: an issuer at whose own page people sign in, and the client that we are there.

use std::rc::Rc;

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
}

/// How we authenticate to a provider's token endpoint (Core 1.0 §9).
#[derive(Debug)]
pub enum ClientAuthentication {
    /// `client_secret_basic`: the value of `Authorization`.
    Basic(UpstreamCredential),
    /// `client_secret_post`: the secret.
    Post(UpstreamCredential),
    /// A public client; PKCE alone binds the code to us.
    None,
}

impl Provider {
    /// Its name: that of its table, in lower case.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.issuer.name
    }
}
