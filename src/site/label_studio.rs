//! The settings of a site in front of Label Studio, and the paths and headers that are fixed.

pub mod place;

use crate::jose::hmac::Keyring;
use crate::model::user::{Role, User};
use place::{Place, place};

/// The settings of a site in front of Label Studio.
#[derive(Debug)]
pub struct LabelStudio {
    /// How Edgeward obtains access tokens for users.
    pub mode: Mode,
    /// The organization that users join.
    pub organization: u64,
    /// Roles, `staff` and `superuser` that may do what Label Studio lets every member do.
    pub admins: Vec<Role>,
}

/// How Edgeward obtains access tokens for users.
pub enum Mode {
    /// Edgeward signs them.
    Mint {
        /// The origin's `SECRET_KEY`.
        key: Keyring,
        /// The number of the user as whom users are created.
        admin: u64,
    },
    /// Label Studio issues them.
    Pat {
        /// The admin's personal access token.
        admin: String,
    },
}

/// Shows no secrets.
impl std::fmt::Debug for Mode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Mint { .. } => "Mint",
            Self::Pat { .. } => "Pat",
        })
    }
}

/// Label Studio prefers `X-Api-Key` over `Authorization`. It rejects a request with an `Origin`
/// that is not its own host, which is not the public one.
pub const RESERVED: [&str; 3] = ["authorization", "x-api-key", "origin"];

/// The header that tells Label Studio who is asking.
pub const SETS: [&str; 1] = ["authorization"];

/// Whether Label Studio signs users out at `path`.
#[must_use]
pub fn signs_out(path: &str) -> bool {
    place("GET", path) == Place::SignOut
}

/// Whether Label Studio's SDK requests an access token at `path`.
#[must_use]
pub fn exchanges(path: &str) -> bool {
    path.trim_end_matches('/')
        .eq_ignore_ascii_case("/api/token/refresh")
}

impl LabelStudio {
    /// Whether `user` may do what is reserved for admins.
    #[must_use]
    pub fn is_admin(&self, user: &User) -> bool {
        self.admins.iter().any(|admin| {
            user.roles.contains(admin)
                || (user.staff && admin.as_str() == "staff")
                || (user.superuser && admin.as_str() == "superuser")
        })
    }
}
