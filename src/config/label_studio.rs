//! The settings of a site in front of Label Studio, as they are written.

use serde::Deserialize;

use crate::config::reader::{Bindings, Reader, table};
use crate::config::secret::{self, NameError};
use crate::jose::hmac::Keyring;
use crate::model::user::Role;
use crate::site::label_studio::{LabelStudio, Mode};

table! {
    /// `label_studio`.
    #[cfg_attr(feature = "schema", schemars(extend("required" = ["mode", "secret", "admins"])))]
    pub struct RawLabelStudio {
        /// How Edgeward obtains access tokens for its users.
        mode: Field<ModeName>,
        /// The name of the Worker secret with Label Studio's `SECRET_KEY`, or with an admin's
        /// personal access token.
        secret: Field<String>,
        /// With `mint`: the number of the user as whom users are created.
        admin_user: Field<u32>,
        /// The number of the organization that users join.
        organization: Field<u32>,
        /// Who may do what is reserved for admins: roles, `staff`, `superuser`.
        admins: Field<Vec<String>>,
    }
}

/// `label_studio.mode`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum ModeName {
    /// Edgeward signs them.
    Mint,
    /// Label Studio issues them.
    Pat,
}

fn read_secret(
    reader: &mut Reader<'_>,
    name: &str,
    mode: Option<ModeName>,
    bindings: &Bindings,
) -> Option<String> {
    let value = match secret::named(bindings, name).map(str::trim) {
        Ok(value) if !value.is_empty() => value,
        Err(NameError::Own) => {
            reader.error(
                "secret",
                "names one of Edgeward's own secrets, which must not be sent to an origin",
            );
            return None;
        }
        Ok(_) | Err(NameError::Missing) => {
            reader.error(
                "secret",
                format!("names no secret of this Worker; {}", secret::HOW_TO_SET),
            );
            return None;
        }
    };
    let error = match mode? {
        ModeName::Mint => secret::weakness(value).map(
            |_| "is not a random text of at least 32 bytes; give Label Studio such a SECRET_KEY",
        ),
        ModeName::Pat => (value.split('.').count() != 3).then_some(
            "is not a personal access token of Label Studio (three parts separated by dots)",
        ),
    };
    if let Some(error) = error {
        reader.error("secret", error);
        return None;
    }
    Some(value.to_owned())
}

/// Validates `raw`; errors go to `reader`.
pub(super) fn read(
    reader: &mut Reader<'_>,
    raw: RawLabelStudio,
    bindings: &Bindings,
) -> Option<LabelStudio> {
    reader.reject_unknown(&raw.unknown);
    let mode = reader.required("mode", raw.mode);
    let value = reader
        .required("secret", raw.secret)
        .and_then(|name| read_secret(reader, &name, mode, bindings));
    let admin_given = raw.admin_user.is_given();
    let admin = reader.optional("admin_user", raw.admin_user);
    reader.check(
        "admin_user",
        mode != Some(ModeName::Mint) || admin_given,
        "is required with mode = \"mint\": the number of the user as whom users are created",
    );
    reader.check(
        "admin_user",
        mode != Some(ModeName::Pat) || !admin_given,
        "is for mode = \"mint\" only: a personal access token already belongs to a user",
    );
    let organization = reader.with_default("organization", raw.organization, 1);
    let admins: Option<Vec<Role>> = reader.required("admins", raw.admins).and_then(|names| {
        names
            .iter()
            .map(|name| Role::parse(name))
            .collect::<Option<_>>()
            .or_else(|| {
                reader.error("admins", "contains something that is not a role");
                None
            })
    });
    let value = value?;
    let mode = match mode? {
        ModeName::Mint => Mode::Mint {
            key: Keyring::new([(1, value.into_bytes())])?,
            admin: u64::from(admin?),
        },
        ModeName::Pat => Mode::Pat { admin: value },
    };
    Some(LabelStudio {
        mode,
        organization: u64::from(organization),
        admins: admins?,
    })
}
