//! The settings of a site in front of Label Studio, and its places that are known without a request.

use crate::jose::hmac::Keyring;
use crate::model::user::{Role, User};
use crate::site::place::{Place, place};

/// The settings of a site in front of Label Studio.
#[derive(Debug)]
pub struct LabelStudio {
    /// How access tokens for users come about.
    pub mode: Mode,
    /// The organization that users become members of.
    pub organization: u64,
    /// Who may do what Label Studio lets every member do: roles, and `staff` and `superuser`.
    pub admins: Vec<Role>,
}

/// How access tokens for users come about.
pub enum Mode {
    /// They are signed here.
    Mint {
        /// The origin's `SECRET_KEY`.
        key: Keyring,
        /// As whom users are made.
        admin: u64,
    },
    /// The origin issues them.
    Pat {
        /// The admin's personal access token.
        admin: String,
    },
}

/// Shows no secret.
impl std::fmt::Debug for Mode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Mint { .. } => "Mint",
            Self::Pat { .. } => "Pat",
        })
    }
}

/// `X-Api-Key` wins over `Authorization` there; `Origin` makes it refuse what we let through: it
/// knows only its own name.
pub const RESERVED: [&str; 3] = ["authorization", "x-api-key", "origin"];

/// What its origin is told who is asking by.
pub const SETS: [&str; 1] = ["authorization"];

/// Whether the application signs people out at `path`.
#[must_use]
pub fn signs_out(path: &str) -> bool {
    place("GET", path) == Place::SignOut
}

/// Whether Label Studio's SDK asks for an access token at `path`.
#[must_use]
pub fn exchanges(path: &str) -> bool {
    path.trim_end_matches('/')
        .eq_ignore_ascii_case("/api/token/refresh")
}

impl LabelStudio {
    /// Whether `user` may do what only admins shall.
    #[must_use]
    pub fn is_admin(&self, user: &User) -> bool {
        self.admins.iter().any(|admin| {
            user.roles.contains(admin)
                || (user.staff && admin.as_str() == "staff")
                || (user.superuser && admin.as_str() == "superuser")
        })
    }
}
