//! The SSO gateway: the host where people sign in for every site and every service.

use crate::model::service::{Identity, ServiceId};
use crate::model::user::Email;

/// The settings of the gateway.
#[derive(Debug)]
pub struct Gateway {
    /// What services call a user.
    pub identity: Identity,
    /// Whether people sign in with a password.
    pub passwords: bool,
    /// Whether services may be on `http` and on private hosts.
    pub development: bool,
    /// The service that receives links to set a password.
    pub link_service: Option<ServiceId>,
    /// The sender of mail.
    pub mail_from: Option<Email>,
    /// The rp id of passkeys, if people may have any: a host of the gateway, or a domain above one.
    pub passkeys: Option<String>,
}
