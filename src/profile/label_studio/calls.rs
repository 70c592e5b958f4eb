//! The calls of Label Studio's own API, one function each. They go to the site's upstream only,
//! follow no redirects, and have a time limit.

use std::rc::Rc;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::answer::denial::Denial;
use crate::http::query;
use crate::memory::world::World;
use crate::model::user::{Email, User, fold};
use crate::platform::port::{Fault, Incoming, Outgoing};
use crate::platform::time::Timestamp;
use crate::profile::label_studio::{mint, pat};
use crate::site::Site;
use crate::site::label_studio::{LabelStudio, Mode};

/// Longer than the slowest call takes: setting a password.
const TIMEOUT_MS: u32 = 10_000;
const LIMIT: usize = 64 * 1024;
/// The list of users has no pages.
const LIST_LIMIT: usize = 16 * 1024 * 1024;
/// What Label Studio shows in place of the address and names of a removed member.
const REMOVED: &str = "Deleted";

/// Makes calls for one request to Edgeward.
pub(super) struct Calls<'a> {
    settings: &'a LabelStudio,
    world: &'a World,
    site: &'a Site,
    now: Timestamp,
}

/// The result of creating a user.
pub(super) enum Created {
    /// The id of the new user.
    Made(u64),
    /// The address is taken, or invalid for Label Studio.
    EmailRefused,
    /// Status 500, as when two requests create the same user at the same moment.
    Failed,
}

/// A user as Label Studio's API shows one.
#[derive(Debug, Deserialize)]
pub(super) struct Found {
    pub id: u64,
    pub email: String,
    pub active_organization: Option<u64>,
}

impl Found {
    /// Whether Label Studio has deleted the user, whose record then stays without its address.
    pub fn is_removed(&self) -> bool {
        self.email == REMOVED
    }
}

/// How a call authenticates. `Session` is a `Cookie` header.
enum CallAuth<'a> {
    None,
    Bearer(&'a str),
    Session(&'a str),
}

impl<'a> Calls<'a> {
    /// Calls to the origin of `site`.
    pub fn new(
        settings: &'a LabelStudio,
        world: &'a World,
        site: &'a Site,
        now: Timestamp,
    ) -> Self {
        Self {
            settings,
            world,
            site,
            now,
        }
    }

    /// A token for user `id`, in mode `mint`.
    pub fn mint_for(&self, id: u64) -> Option<String> {
        match &self.settings.mode {
            Mode::Mint { key, .. } => Some(mint(key, id, &*self.world.platform.entropy, self.now)),
            Mode::Pat { .. } => None,
        }
    }

    /// Whether the configured personal access token belongs to user `id`.
    pub fn is_own(&self, id: u64) -> bool {
        matches!(&self.settings.mode, Mode::Pat { admin } if pat::user_of(admin) == Some(id))
    }

    /// Creates `user`.
    pub async fn create(&self, user: &User) -> Result<Created, Denial> {
        let body = json!({
            "email": user.address(),
            "username": user.username.as_str(),
            "first_name": user.first_name.as_str(),
            "last_name": user.last_name.as_str(),
            "active_organization": self.settings.organization,
        });
        let answer = self.as_admin("POST", "/api/users/", Some(&body)).await?;
        match answer.status {
            201 => Ok(Created::Made(read::<Found>(&answer)?.id)),
            400 => {
                let body: Value = read(&answer)?;
                if body.pointer("/validation_errors/email").is_some() {
                    Ok(Created::EmailRefused)
                } else {
                    Err(failed("refused the names of a new user"))
                }
            }
            500 => Ok(Created::Failed),
            _ => Err(failed("did not create a user")),
        }
    }

    /// The member with this address. If several members match, differing in case, the one that is
    /// spelt like ours.
    pub async fn find_by_email(&self, email: &Email) -> Result<Option<Found>, Denial> {
        let answer = self.as_admin("GET", "/api/users/", None).await?;
        if answer.status != 200 {
            return Err(failed("did not list its users"));
        }
        let mut found: Vec<Found> = read(&answer)?;
        found.retain(|user| fold(&user.email) == email.as_str());
        if found.len() > 1 {
            found.retain(|user| user.email == email.as_str());
        }
        Ok(found.pop())
    }

    /// The user with this number.
    pub async fn user(&self, id: u64) -> Result<Option<Found>, Denial> {
        let answer = self
            .as_admin("GET", &format!("/api/users/{id}/"), None)
            .await?;
        match answer.status {
            200 => read(&answer).map(Some),
            404 => Ok(None),
            _ => Err(failed("did not show a user")),
        }
    }

    /// Makes the configured organization the user's active one.
    pub async fn join(&self, id: u64) -> Result<(), Denial> {
        let body = json!({ "active_organization": self.settings.organization });
        let answer = self
            .as_admin("PATCH", &format!("/api/users/{id}/"), Some(&body))
            .await?;
        expect(&answer, 200, "did not give a user an organization")
    }

    /// Whether the origin accepts an access token.
    pub async fn accepts(&self, token: &str) -> Result<bool, Denial> {
        let answer = self
            .call(
                "GET",
                "/api/current-user/whoami",
                &CallAuth::Bearer(token),
                None,
                LIMIT,
            )
            .await?;
        match answer.status {
            200 => Ok(true),
            401 => Ok(false),
            _ => Err(failed("did not check an access token")),
        }
    }

    /// Sets a user's password through Django's admin site, as a superuser may.
    pub async fn put_password(&self, id: u64, password: &str) -> Result<(), Denial> {
        let form = query::form(&[
            ("password1", password),
            ("password2", password),
            ("usable_password", "true"),
        ]);
        let path = format!("/admin/users/user/{id}/password/");
        let admin = self.admin().await?;
        let body = (FORM, form);
        let answer = self
            .call(
                "POST",
                &path,
                &CallAuth::Bearer(&admin),
                Some(&body),
                LIST_LIMIT,
            )
            .await?;
        expect(
            &answer,
            302,
            "did not set a password: the admin's personal access token must be a superuser's",
        )
    }

    /// Signs in with a password and returns the session cookie, or `None` if Label Studio refuses the
    /// user.
    pub async fn sign_in(&self, email: &str, password: &str) -> Result<Option<String>, Denial> {
        // Django compares cookie and form field only with each other, so any value will do.
        let proof = crate::platform::digest::random_text(&*self.world.platform.entropy)
            .replace(['-', '_'], "x")
            .repeat(2);
        let proof = proof.get(..32).unwrap_or_default();
        let form = query::form(&[
            ("csrfmiddlewaretoken", proof),
            ("email", email),
            ("password", password),
        ]);
        let cookie = format!("csrftoken={proof}");
        let body = (FORM, form);
        let answer = self
            .call(
                "POST",
                "/user/login/",
                &CallAuth::Session(&cookie),
                Some(&body),
                LIST_LIMIT,
            )
            .await?;
        if answer.status != 302 {
            return Ok(None);
        }
        let session = answer
            .headers
            .iter()
            .filter(|(name, _)| name == "set-cookie")
            .filter_map(|(_, value)| value.split(';').next())
            .find(|pair| pair.starts_with("sessionid="));
        Ok(session.map(str::to_owned))
    }

    /// Makes a personal access token; `None` if the user already has one.
    pub async fn make_pat(&self, session: &str) -> Result<Option<String>, Denial> {
        let body = (JSON, "{}".to_owned());
        let answer = self
            .call(
                "POST",
                "/api/token/",
                &CallAuth::Session(session),
                Some(&body),
                LIMIT,
            )
            .await?;
        match answer.status {
            201 => text_of(&answer, "token").map(Some),
            409 => Ok(None),
            _ => Err(failed("did not make a personal access token")),
        }
    }

    /// Revokes every personal access token of the session's user.
    pub async fn revoke_pats(&self, session: &str) -> Result<(), Denial> {
        #[derive(Deserialize)]
        struct Listed {
            token: String,
        }
        let by = CallAuth::Session(session);
        let answer = self.call("GET", "/api/token/", &by, None, LIMIT).await?;
        expect(&answer, 200, "did not list personal access tokens")?;
        for Listed { token } in read::<Vec<Listed>>(&answer)? {
            let body = (JSON, json!({ "refresh": token }).to_string());
            let answer = self
                .call("POST", "/api/token/blacklist/", &by, Some(&body), LIMIT)
                .await?;
            // 404: another request has revoked it already.
            if !matches!(answer.status, 204 | 404) {
                return Err(failed("did not revoke a personal access token"));
            }
        }
        Ok(())
    }

    /// A fresh access token for a personal one; `None` if that was revoked.
    pub async fn refresh(&self, pat: &str) -> Result<Option<String>, Denial> {
        let body = (JSON, json!({ "refresh": pat }).to_string());
        let answer = self
            .call(
                "POST",
                "/api/token/refresh/",
                &CallAuth::None,
                Some(&body),
                LIMIT,
            )
            .await?;
        match answer.status {
            200 => text_of(&answer, "access").map(Some),
            401 => Ok(None),
            _ => Err(failed("did not refresh an access token")),
        }
    }

    async fn as_admin(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Incoming, Denial> {
        let admin = self.admin().await?;
        let body = body.map(|body| (JSON, body.to_string()));
        let answer = self
            .call(
                method,
                path,
                &CallAuth::Bearer(&admin),
                body.as_ref(),
                LIST_LIMIT,
            )
            .await?;
        match answer.status {
            401 => Err(failed(
                "did not accept the configured admin: wrong secret, or clocks that differ",
            )),
            _ => Ok(answer),
        }
    }

    async fn admin(&self) -> Result<Rc<str>, Denial> {
        match &self.settings.mode {
            Mode::Mint { key, admin } => {
                Ok(mint(key, *admin, &*self.world.platform.entropy, self.now).into())
            }
            Mode::Pat { admin } => {
                if let Some(token) = self.world.cache.admin_access(&self.site.name, self.now) {
                    return Ok(token);
                }
                let token = self.refresh(admin).await?;
                let token: Rc<str> = token
                    .ok_or(failed("did not accept the admin's personal access token"))?
                    .into();
                let until = pat::good_until(&token, self.now);
                self.world
                    .cache
                    .put_admin_access(&self.site.name, &token, until);
                Ok(token)
            }
        }
    }

    async fn call(
        &self,
        method: &str,
        path: &str,
        by: &CallAuth<'_>,
        body: Option<&(&'static str, String)>,
        limit: usize,
    ) -> Result<Incoming, Denial> {
        let bearer;
        let mut headers = vec![("accept", "application/json"), ("user-agent", "edgeward")];
        match by {
            CallAuth::None => {}
            CallAuth::Bearer(token) => {
                bearer = format!("Bearer {token}");
                headers.push(("authorization", &bearer));
            }
            CallAuth::Session(cookie) => headers.push(("cookie", cookie)),
        }
        if let Some((kind, _)) = body {
            headers.push(("content-type", kind));
        }
        // Our own calls need the site's upstream credential as well.
        if let Some((header, value)) = &self.site.upstream_credential {
            headers.push((header, &value.0));
        }
        let request = Outgoing {
            method,
            url: &(self.site.upstream_url() + path),
            headers: &headers,
            body: body.map(|(_, text)| text.as_str()),
            limit,
            timeout: TIMEOUT_MS,
        };
        Ok(self.world.platform.fetch.fetch(request).await?)
    }
}

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";

fn failed(what: &'static str) -> Denial {
    Denial::Fault(Fault::Application(what))
}

fn expect(answer: &Incoming, status: u16, otherwise: &'static str) -> Result<(), Denial> {
    if answer.status == status {
        Ok(())
    } else {
        Err(failed(otherwise))
    }
}

fn read<T: DeserializeOwned>(answer: &Incoming) -> Result<T, Denial> {
    serde_json::from_slice(&answer.body).map_err(|_| failed("sent a malformed response"))
}

fn text_of(answer: &Incoming, name: &str) -> Result<String, Denial> {
    let body: Value = read(answer)?;
    body.get(name)
        .and_then(Value::as_str)
        .map(str::to_owned)
        .ok_or(failed("sent a malformed response"))
}
