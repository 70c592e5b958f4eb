//! Client data (Web Authentication Level 3, §5.8.1): what the browser says that it was asked, and where.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::jose::json::StrictObject;
use crate::passkey::PasskeyError;
use crate::passkey::ceremony::{Ceremony, Expected};

/// Checks the client data of a ceremony.
///
/// # Errors
/// The reason of the member that is wrong.
pub fn check(
    bytes: &[u8],
    ceremony: Ceremony,
    expected: &Expected<'_>,
) -> Result<(), PasskeyError> {
    let members: StrictObject =
        serde_json::from_slice(bytes).map_err(|_| PasskeyError::ClientData)?;
    let members = members.0;
    let text = |name: &str| match members.get(name) {
        Some(Value::String(text)) => Ok(text.as_str()),
        _ => Err(PasskeyError::ClientData),
    };
    if text("type")? != ceremony.client_data_type() {
        return Err(PasskeyError::Type);
    }
    if text("challenge")? != URL_SAFE_NO_PAD.encode(expected.challenge) {
        return Err(PasskeyError::Challenge);
    }
    if text("origin")? != expected.origin {
        return Err(PasskeyError::Origin);
    }
    let crosses = match members.get("crossOrigin") {
        None | Some(Value::Bool(false)) => false,
        Some(Value::Bool(true)) => true,
        Some(_) => return Err(PasskeyError::ClientData),
    };
    let top = match members.get("topOrigin") {
        None => None,
        Some(_) => Some(text("topOrigin")?),
    };
    match (crosses, top) {
        (false, None) => Ok(()),
        // Nobody frames these pages whom the policy does not name, also where a browser does not say who does.
        (true, None) if !expected.top_origins.is_empty() => Ok(()),
        (true, Some(top)) if expected.top_origins.iter().any(|known| known == top) => Ok(()),
        (true, Some(_)) => Err(PasskeyError::TopOrigin),
        _ => Err(PasskeyError::CrossOrigin),
    }
}
