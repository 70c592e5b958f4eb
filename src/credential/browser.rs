//! A browser that signs in: known by a random cookie, to which forms and sign-ins are bound, and by a proof that a user
//! has signed in with it before. Neither says who the user is.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::jose::hmac::{HmacAlgorithm, Keyring};
use crate::model::user::UserId;
use crate::platform::digest::{hex, random_text, sha256};
use crate::platform::port::Entropy;

/// The id of a browser: 128 random bits in a cookie.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Browser(String);

impl Browser {
    /// A new browser.
    #[must_use]
    pub fn random(entropy: &dyn Entropy) -> Self {
        Self(random_text(entropy))
    }

    /// The browser that sent these cookies of the name. Two of one name are how a cookie is planted: neither is believed, and
    /// with the next id the other form is cleared.
    #[must_use]
    pub fn of_cookies(values: &[&str]) -> Option<Self> {
        match values {
            [value] => Self::parse(value),
            _ => None,
        }
    }

    /// Parses the value of the cookie.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        (text.len() == 22 && text.bytes().all(plain)).then(|| Self(text.to_owned()))
    }

    /// The value of the cookie.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What identifies the browser to others, who cannot make the cookie of it.
    #[must_use]
    pub fn hash(&self) -> String {
        hex(&sha256(format!("browser\n{}", self.0).as_bytes()))
    }

    /// The token that a form of this browser carries. The same for all its tabs.
    #[must_use]
    pub fn form_token(&self, keys: &Keyring) -> String {
        sign(keys, &self.form_message())
    }

    /// Whether a form carries this browser's token.
    #[must_use]
    pub fn made(&self, form_token: &str, keys: &Keyring) -> bool {
        verify(keys, &self.form_message(), form_token)
    }

    /// A proof that something was told to this browser.
    #[must_use]
    pub fn bind(&self, told: &str, keys: &Keyring) -> String {
        sign(keys, &self.bound_message(told))
    }

    /// Whether this was told to this browser.
    #[must_use]
    pub fn is_bound(&self, told: &str, proof: &str, keys: &Keyring) -> bool {
        verify(keys, &self.bound_message(told), proof)
    }

    fn bound_message(&self, told: &str) -> String {
        format!("bound\n{}\n{told}", self.0)
    }

    fn form_message(&self) -> String {
        format!("form\n{}", self.0)
    }
}

/// A device on which a user has signed in before: a random text and its signature, in a cookie.
#[must_use]
pub fn device_proof(keys: &Keyring, user: &UserId, entropy: &dyn Entropy) -> String {
    let device = random_text(entropy);
    let signature = sign(keys, &device_message(user, &device));
    format!("{device}.{signature}")
}

/// The device that a cookie proves for `user`.
#[must_use]
pub fn device_of<'a>(keys: &Keyring, user: &UserId, cookie: &'a str) -> Option<&'a str> {
    let (device, signature) = cookie.split_once('.')?;
    verify(keys, &device_message(user, device), signature).then_some(device)
}

fn device_message(user: &UserId, device: &str) -> String {
    format!("device\n{}\n{device}", user.as_str())
}

/// The number of the secret, and the signature.
pub(super) fn sign(keys: &Keyring, message: &str) -> String {
    let signature = keys.sign(HmacAlgorithm::Hs256, message.as_bytes());
    format!("{}~{}", keys.newest(), URL_SAFE_NO_PAD.encode(signature))
}

pub(super) fn verify(keys: &Keyring, message: &str, text: &str) -> bool {
    let Some((number, signature)) = text.split_once('~') else {
        return false;
    };
    URL_SAFE_NO_PAD.decode(signature).is_ok_and(|signature| {
        keys.verify(
            HmacAlgorithm::Hs256,
            Some(number),
            message.as_bytes(),
            &signature,
        )
        .is_ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Counting(std::cell::Cell<u8>);

    impl Entropy for Counting {
        fn fill(&self, bytes: &mut [u8]) {
            self.0.set(self.0.get() + 1);
            bytes.fill(self.0.get());
        }
    }

    fn keys(byte: u8) -> Keyring {
        Keyring::new([(1, vec![byte; 32])]).unwrap()
    }

    #[test]
    fn sec_53_a_form_is_of_the_browser_that_got_it() {
        let entropy = Counting(0.into());
        let (mine, other) = (Browser::random(&entropy), Browser::random(&entropy));
        let token = mine.form_token(&keys(1));
        assert!(mine.made(&token, &keys(1)));
        assert!(!other.made(&token, &keys(1)));
        assert!(!mine.made(&token, &keys(2)));
        for bad in [
            "",
            "1~",
            "2~AAAA",
            "~",
            &token.replace("1~", "2~"),
            &token[1..],
        ] {
            assert!(!mine.made(bad, &keys(1)), "{bad}");
        }
    }

    #[test]
    fn a_device_is_known_for_the_user_who_signed_in_on_it() {
        let entropy = Counting(0.into());
        let ada = UserId::parse("usr_0123456789abcdefghij-_").unwrap();
        let bob = UserId::parse("usr_0123456789abcdefghij-a").unwrap();
        let cookie = device_proof(&keys(1), &ada, &entropy);
        let device = device_of(&keys(1), &ada, &cookie);
        assert!(device.is_some_and(|device| cookie.starts_with(device)));
        assert_eq!(device_of(&keys(1), &bob, &cookie), None);
        assert_eq!(device_of(&keys(2), &ada, &cookie), None);
        assert_eq!(device_of(&keys(1), &ada, "x"), None);
    }

    #[test]
    fn only_our_own_ids_are_read() {
        let browser = Browser::random(&Counting(0.into()));
        assert_eq!(Browser::parse(browser.as_str()), Some(browser));
        for bad in ["", "x", "0123456789abcdefghij-_x", "0123456789abcdefghij-;"] {
            assert_eq!(Browser::parse(bad), None, "{bad}");
        }
    }
}
