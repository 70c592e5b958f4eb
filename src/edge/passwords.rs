//! The port `Passwords`, implemented by the Durable Object `Attempts`.

use js_sys::{Array, Promise, Uint8Array};
use wasm_bindgen::{JsCast as _, JsValue};

use crate::edge::bindings;
use crate::edge::platform::{check_admitted, resolve};
use crate::platform::port::{
    Attempt, Attempted, Fault, Kdf, NewPassword, PasswordHash, Passwords, Pending,
};
use crate::platform::time::Seconds;

/// Not every deployment asks for passwords, so the binding may be missing.
pub struct DurableAttempts(pub Option<JsValue>);

/// What JavaScript is told of an attempt, besides salt and output.
#[derive(serde::Serialize)]
struct AttemptHead<'a> {
    user: &'a str,
    lane: &'a str,
    trusted: bool,
    password: &'a str,
    kdf: Kdf,
}

/// What JavaScript receives about a new password, besides the salt and output of the current one.
#[derive(serde::Serialize)]
struct NewHead<'a> {
    user: &'a str,
    password: &'a str,
    kdf: Kdf,
    /// How the current password is hashed.
    current: Option<Kdf>,
}

impl Passwords for DurableAttempts {
    fn attempt<'a>(&'a self, attempt: &'a Attempt<'a>) -> Pending<'a, Result<Attempted, Fault>> {
        Box::pin(async move {
            check_admitted()?;
            let namespace = self.0.as_ref().ok_or(Fault::Passwords)?;
            let head = AttemptHead {
                user: attempt.user,
                lane: attempt.lane,
                trusted: attempt.trusted,
                password: attempt.password,
                kdf: attempt.hash.map_or(Kdf::TODAY, |hash| hash.kdf),
            };
            let head = serde_json::to_string(&head).map_err(|_| Fault::Passwords)?;
            let (salt, output) = attempt
                .hash
                .map_or((&[0; SALT_LENGTH][..], &[][..]), |hash| {
                    (hash.salt.as_slice(), hash.output.as_slice())
                });
            let promise = bindings::attempt_password(namespace, &head, salt, output);
            let (outcome, answer) = outcome(promise).await?;
            match outcome.as_str() {
                "right" => Ok(Attempted::Right),
                "wrong" => Ok(Attempted::Wrong),
                "wait" => Ok(Attempted::Wait(seconds(&answer)?)),
                "busy" => Ok(Attempted::Busy(seconds(&answer)?)),
                _ => Err(Fault::Passwords),
            }
        })
    }

    fn hash<'a>(
        &'a self,
        user: &'a str,
        password: &'a str,
        current: Option<&'a PasswordHash>,
    ) -> Pending<'a, Result<NewPassword, Fault>> {
        Box::pin(async move {
            check_admitted()?;
            let namespace = self.0.as_ref().ok_or(Fault::Passwords)?;
            let head = NewHead {
                user,
                password,
                kdf: Kdf::TODAY,
                current: current.map(|hash| hash.kdf),
            };
            let head = serde_json::to_string(&head).map_err(|_| Fault::Passwords)?;
            let (salt, output) = current.map_or((&[][..], &[][..]), |hash| {
                (hash.salt.as_slice(), hash.output.as_slice())
            });
            let promise = bindings::hash_password(namespace, &head, salt, output);
            let (outcome, answer) = outcome(promise).await?;
            let bytes = |at| {
                let item = answer.get(at).dyn_into::<Uint8Array>();
                item.map(|item| item.to_vec()).map_err(|_| Fault::Passwords)
            };
            match outcome.as_str() {
                "hashed" => Ok(NewPassword::Hashed(PasswordHash {
                    kdf: Kdf::TODAY,
                    salt: bytes(1)?,
                    output: bytes(2)?,
                })),
                "too_short" => Ok(NewPassword::TooShort),
                "too_long" => Ok(NewPassword::TooLong),
                "common" => Ok(NewPassword::Common),
                "unchanged" => Ok(NewPassword::Unchanged),
                "busy" => Ok(NewPassword::Busy(seconds(&answer)?)),
                _ => Err(Fault::Passwords),
            }
        })
    }
}

/// The length of the salt of a new password, and of the one that stands for none.
const SALT_LENGTH: usize = 16;

/// The answer of `edge/passwords.js`: a list that begins with what came out.
async fn outcome(promise: Promise) -> Result<(String, Array), Fault> {
    let answer = resolve(promise).await.map_err(|()| Fault::Passwords)?;
    let answer: Array = answer.dyn_into().map_err(|_| Fault::Passwords)?;
    let outcome = answer.get(0).as_string().ok_or(Fault::Passwords)?;
    Ok((outcome, answer))
}

fn seconds(answer: &Array) -> Result<Seconds, Fault> {
    let seconds = answer.get(1).as_f64().ok_or(Fault::Passwords)?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a small whole number; a cast of anything else saturates"
    )]
    Ok(Seconds(seconds as u32))
}
