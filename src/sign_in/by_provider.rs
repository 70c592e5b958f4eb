//! Signing in at a provider by `OpenID` Connect: the list of providers, the way to one, and the way back with a code.
//! Each sign-in belongs to the browser that began it, and each way back counts once.

use serde_json::Value;

use crate::answer::Answer;
use crate::answer::denial::Denial;
use crate::answer::event::{EventKind, Happened};
use crate::answer::gateway_page::{self, Method, SignIn};
use crate::answer::page::{self, LinkButton, Message, Ways};
use crate::answer::reply::Reply;
use crate::ask::ctx::Ctx;
use crate::ask::form::Form;
use crate::ask::return_to::ReturnTo;
use crate::ask::source::MAX_OF_ONE_SOURCE;
use crate::authn::provider::{self, Response};
use crate::authn::provider_calls::{endpoints, known_error};
use crate::credential::attempt::{AT_ONCE, Attempt, LIFETIME, MAX_RETURN, is_name, name_of};
use crate::credential::session::{self, SetCookie};
use crate::http::query;
use crate::memory::provider::ProviderCause;
use crate::model::proof::OF_PROVIDER;
use crate::model::user::Name;
use crate::platform::digest::{hex, random_text, sha256};
use crate::platform::time::Timestamp;
use crate::rules::step_up::StepUp;
use crate::sign_in::arrive;
use crate::site::Source;
use crate::site::provider::Provider;

/// The parameter that says what the provider asks the person (Core 1.0 §3.1.2.1).
const PROMPT: &str = "prompt";
/// The prefix of the leases that say that a way back, or a logout token, was used.
pub(super) const LEASE: &str = "signin:";

/// The URL at which people of this site sign in, and come back to `return_to`: the list, or the way to the only provider.
#[must_use]
pub fn page_url(ctx: &Ctx<'_>, return_to: &ReturnTo, wanted: Option<&StepUp>) -> String {
    let path = match &*ctx.site.providers {
        [only] => path_to(ctx, only, return_to.local(), wanted),
        _ => with_place(&ctx.site.own_path("login"), return_to.local(), wanted),
    };
    absolute(ctx, &path)
}

/// The path at which a sign-in at `provider` begins that leads back to the path `place`.
#[must_use]
pub fn path_to(ctx: &Ctx<'_>, provider: &Provider, place: &str, wanted: Option<&StepUp>) -> String {
    let path = ["login/", provider.name()].concat();
    with_place(&ctx.site.own_path(&path), place, wanted)
}

/// A button for each provider of the site whose method `takes` names.
#[must_use]
pub fn methods<'a>(
    ctx: &'a Ctx<'_>,
    place: &str,
    wanted: Option<&StepUp>,
    takes: &dyn Fn(&str) -> bool,
) -> Vec<Method<'a>> {
    let button = |provider: &'a std::rc::Rc<Provider>| Method::Provider {
        label: &provider.label,
        href: path_to(ctx, provider, place, wanted),
    };
    let is_wanted = |provider: &&std::rc::Rc<Provider>| {
        let name = [OF_PROVIDER, provider.name()].concat();
        takes(&name) && wanted.is_none_or(|wanted| wanted.takes(&name))
    };
    let wanted = ctx.site.providers.iter().filter(is_wanted);
    wanted.map(button).collect()
}

fn with_place(path: &str, place: &str, wanted: Option<&StepUp>) -> String {
    let url = [path, "?return_to=", &query::encode(place)].concat();
    StepUp::add_to(url, wanted)
}

pub(super) fn absolute(ctx: &Ctx<'_>, path: &str) -> String {
    let parts = ctx.parts;
    [parts.scheme(), "://", parts.authority(), path].concat()
}

/// What nobody opens begins and settles nothing: a page loaded ahead, an image, a look at the head.
pub(super) fn require_navigation(ctx: &Ctx<'_>) -> Result<(), Denial> {
    let parts = ctx.parts;
    if !matches!(parts.method(), "GET" | "HEAD") {
        return Err(Denial::MethodNotAllowed("GET, HEAD"));
    }
    let mode = parts.header("sec-fetch-mode");
    if parts.only_looks() || parts.is_speculative() || mode.is_some_and(|mode| mode != "navigate") {
        return Err(Denial::Speculative);
    }
    Ok(())
}

/// Who is to sign in once more, and how, as the query says.
fn wanted_of(ctx: &Ctx<'_>) -> Option<StepUp> {
    let form = Form::of_query(ctx);
    StepUp::read(|name| form.field(name))
}

/// Where the query of a page of ours says that a person goes afterwards.
fn place_of(ctx: &Ctx<'_>) -> ReturnTo {
    let place = ctx.read_return_to(&Form::of_query(ctx).text("return_to"));
    place
        .filter(|place| place.local().len() <= MAX_RETURN)
        .unwrap_or_else(|| ctx.root())
}

/// `/api/sso/login`: the providers of a site. The gateway's list is a page of its own.
///
/// # Errors
/// [`Denial::UnknownEndpoint`] where nobody signs in with a provider.
pub fn list(ctx: &Ctx<'_>) -> Result<Reply, Denial> {
    let site = ctx.site;
    if site.own_providers().is_empty() {
        return Err(Denial::UnknownEndpoint);
    }
    require_navigation(ctx)?;
    let place = place_of(ctx);
    if site.gateway.is_some() {
        return Ok(Answer::see_other("/login/".to_owned()).into());
    }
    let wanted = wanted_of(ctx);
    if let [only] = &*site.providers {
        let path = path_to(ctx, only, place.local(), wanted.as_ref());
        return Ok(Answer::see_other(path).into());
    }
    Ok(choice(ctx, &place, wanted.as_ref()))
}

/// The page with the providers of the site.
fn choice(ctx: &Ctx<'_>, place: &ReturnTo, wanted: Option<&StepUp>) -> Reply {
    let words = ctx.words();
    let frame = ctx.frame(words, words.text("sign_in"), "");
    let all = |_: &str| true;
    let mut ways = methods(ctx, place.local(), wanted, &all);
    if ways.is_empty() {
        // None is what the rule wants; it says so afterwards.
        ways = methods(ctx, place.local(), None, &all);
    }
    let content = SignIn {
        lead: "",
        note: "",
        error: None,
        is_wrong: false,
        fields: Vec::new(),
        methods: ways,
        form_to: None,
    };
    gateway_page::sign_in(200, &frame, content).into()
}

/// `/api/sso/login/{name}`: sends the browser to the provider.
///
/// # Errors
/// [`Denial::UnknownEndpoint`] if nobody signs in there at this site.
pub async fn start(ctx: &Ctx<'_>, name: &str) -> Result<Reply, Denial> {
    let provider = ctx.site.own_provider(name).ok_or(Denial::UnknownEndpoint)?;
    require_navigation(ctx)?;
    let place = place_of(ctx);
    let wanted = wanted_of(ctx);
    // A page elsewhere does not replace whoever may be signed in; the person chooses that.
    let is_foreign = ctx.parts.header("sec-fetch-site") == Some("cross-site");
    if is_foreign && !ctx.presented.session.is_empty() {
        return Ok(choice(ctx, &place, wanted.as_ref()));
    }
    let endpoints = match endpoints(ctx.world, provider, ctx.now).await {
        Ok(endpoints) => endpoints,
        Err(cause) => {
            let denial = failure(provider, cause);
            return Ok(again(ctx, denial, &place, wanted.is_some()));
        }
    };
    let entropy = &*ctx.world.platform.entropy;
    let user = wanted.as_ref().map(|wanted| wanted.user.to_string());
    let about = (provider.name(), user);
    let attempt = Attempt::begin(entropy, about, place.local(), ctx.now);
    let (state, nonce, challenge) = (attempt.state(), attempt.nonce(), attempt.challenge());
    let max_age = [
        provider.max_age.map(|age| age.0),
        wanted.as_ref().and_then(|one| one.max_age),
    ];
    let max_age = max_age.into_iter().flatten().min();
    let max_age = max_age.map(|age| age.to_string());
    let redirect_uri = redirect_uri(ctx, provider);
    let mut fields = vec![
        ("response_type", "code"),
        ("client_id", &*provider.client_id),
        ("redirect_uri", &redirect_uri),
        ("scope", &provider.scope),
        ("state", &state),
        ("nonce", &nonce),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
    ];
    if provider.form_post {
        fields.push(("response_mode", "form_post"));
    }
    fields.extend(max_age.as_deref().map(|age| ("max_age", age)));
    let offline = provider.offline.as_ref();
    let offline = offline.map_or(&[][..], |offline| offline.fields);
    fields.extend(offline.iter().filter(|(name, _)| *name != PROMPT));
    let consents = offline.iter().any(|(name, _)| *name == PROMPT);
    // The provider asks, even if it still knows the browser. What its ID token says of that is judged by
    // the rule.
    let prompt = match (wanted.is_some(), consents) {
        (true, true) => Some("login consent"),
        (true, false) => Some("login"),
        (false, true) => Some("consent"),
        (false, false) => None,
    };
    fields.extend(prompt.map(|prompt| (PROMPT, prompt)));
    let by_form = provider.form_post;
    Ok(lead_away(
        ctx,
        &endpoints.authorization,
        &fields,
        (&attempt, by_form),
    ))
}

/// Sends the browser to `url` of a provider, with what it needs to come back, which is by a form of the provider's page or not.
pub(super) fn lead_away(
    ctx: &Ctx<'_>,
    url: &str,
    fields: &[(&str, &str)],
    (attempt, by_form): (&Attempt, bool),
) -> Reply {
    let separator = if url.contains('?') { "&" } else { "?" };
    let url = [url, separator, &query::form(fields)].concat();
    let mut reply = Reply::from(Answer::see_other(url));
    reply.cookies = make_room(ctx);
    let value = attempt.value(&ctx.site.name, &ctx.world.config.keys.session);
    let cookie =
        name_of(&attempt.state()).map(|name| session::set_attempt(ctx.site, name, value, by_form));
    reply.cookies.extend(cookie);
    reply
}

/// The URI to which the provider sends browsers back: one for each provider, so that no response of another one counts.
fn redirect_uri(ctx: &Ctx<'_>, provider: &Provider) -> String {
    let path = ["callback/", provider.name()].concat();
    absolute(ctx, &ctx.site.own_path(&path))
}

/// Clears the oldest attempt of the browser if there are as many as there may be, so that one more may begin.
fn make_room(ctx: &Ctx<'_>) -> Vec<SetCookie> {
    let keys = &ctx.world.config.keys.session;
    let ours = ctx.presented.attempts.iter();
    let ours = ours.filter(|(name, _)| is_name(name));
    let began_at = |value: &str| -> Option<Timestamp> {
        Attempt::read(value, &ctx.site.name, keys).map(|attempt| attempt.began_at)
    };
    let is_full = ours.clone().count() >= AT_ONCE;
    // What cannot be read comes first.
    let oldest = ours
        .take(MAX_OF_ONE_SOURCE)
        .min_by_key(|(_, value)| began_at(value));
    let oldest = oldest.filter(|_| is_full).into_iter();
    oldest
        .map(|(name, _)| session::clear_attempt(ctx.site, name))
        .collect()
}

/// `/api/sso/callback/{name}`: back from the provider.
///
/// # Errors
/// [`Denial::UnknownEndpoint`] if nobody signs in there at this site, or a fault.
pub async fn callback(ctx: &Ctx<'_>, name: &str) -> Result<Reply, Denial> {
    let provider = ctx.site.own_provider(name).ok_or(Denial::UnknownEndpoint)?;
    // Nothing but the cookie of its sign-in lets a page elsewhere do this.
    let response = if provider.form_post && ctx.parts.method() == "POST" {
        Form::read(ctx).await?
    } else {
        require_navigation(ctx)?;
        Form::of_query(ctx)
    };
    let state = response.text("state");
    let Some((cookie, attempt)) = begun_here(ctx, provider.name(), &state) else {
        let denial = if ctx.presented.attempts.is_empty() {
            Denial::SignInElsewhere
        } else {
            Denial::SignInOver
        };
        return Ok(again(ctx, denial, &ctx.root(), false));
    };
    let place = ctx.read_return_to(&attempt.return_to);
    let place = place.unwrap_or_else(|| ctx.root());
    let opened = finish(ctx, provider, &attempt, &response, &state).await;
    let mut reply = match opened {
        Ok((user, session)) => Reply {
            answer: arrive::lead_back(ctx, place.opened()),
            cookies: vec![session],
            happened: Some(Happened {
                kind: EventKind::SignedIn,
                user,
                source: Source::Session,
                method: "provider",
            }),
            refused: None,
        },
        // Nothing of it has happened that could not happen once more.
        Err(denial @ Denial::Fault(_)) => return Err(denial),
        Err(denial) => again(ctx, denial, &place, attempt.user.is_some()),
    };
    reply
        .cookies
        .push(session::clear_attempt(ctx.site, &cookie));
    Ok(reply)
}

/// The attempt of this browser that a response belongs to, and the end of its cookie's name.
pub(super) fn begun_here(ctx: &Ctx<'_>, provider: &str, state: &str) -> Option<(String, Attempt)> {
    let name = name_of(state)?;
    let keys = &ctx.world.config.keys.session;
    let of_name = ctx.presented.attempts.iter();
    let mut read = of_name
        .filter(|(other, _)| *other == name)
        .take(MAX_OF_ONE_SOURCE)
        .filter_map(|(_, value)| Attempt::read(value, &ctx.site.name, keys));
    let attempt = read.find(|attempt| attempt.state() == state)?;
    let counts = attempt.provider == provider && !attempt.is_over(ctx.now);
    counts.then(|| (name.to_owned(), attempt))
}

/// Uses the response up, and opens a session for whom it is about; with the user's id.
async fn finish(
    ctx: &Ctx<'_>,
    provider: &Provider,
    attempt: &Attempt,
    response: &Form,
    state: &str,
) -> Result<(String, SetCookie), Denial> {
    let failed = |cause| failure(provider, cause);
    let endpoints = endpoints(ctx.world, provider, ctx.now).await;
    let endpoints = endpoints.map_err(failed)?;
    // RFC 9207 §2.4: an attacker's provider must not pass for this one, in an error either.
    let is_right = match response.field("iss") {
        Some(iss) => provider.issuer.isses().any(|known| known == iss),
        None => !endpoints.says_iss,
    };
    if !is_right {
        return Err(failed(ProviderCause::Iss));
    }
    if let Some(error) = response.field("error") {
        return Err(match known_error(&error) {
            "access_denied"
            | "account_selection_required"
            | "consent_required"
            | "interaction_required"
            | "login_required"
            | "unmet_authentication_requirements"
            | "user_cancelled_authorize" => Denial::ProviderDeclined(provider.name().to_owned()),
            other => failed(ProviderCause::Error(other)),
        });
    }
    let code = response.text("code");
    if code.is_empty() {
        return Err(failed(ProviderCause::NoCode));
    }
    provider::admit(ctx)?;
    let key = [LEASE, &hex(&sha256(state.as_bytes()))].concat();
    let mine = random_text(&*ctx.world.platform.entropy);
    let once = &ctx.world.platform.once;
    if once.acquire(&key, &mine, LIFETIME, ctx.now).await? != mine {
        return Err(Denial::SignInOver);
    }
    let response = Response {
        provider,
        endpoints: &endpoints,
        attempt,
        redirect_uri: &redirect_uri(ctx, provider),
        code: &code,
        names: names_in(response),
    };
    let (principal, tokens) = provider::sign_in(ctx, &response).await?;
    let id = principal.user().id.as_str();
    if attempt.user.as_deref().is_some_and(|user| user != id) {
        return Err(Denial::OtherUser);
    }
    let cookie = arrive::open_session_with(ctx, &principal, tokens).await?;
    Ok((principal.user().id.to_string(), cookie))
}

/// The names that Apple's page sends with the first sign-in of a person. The browser could have changed them.
fn names_in(response: &Form) -> [Option<Name>; 2] {
    let user: Option<Value> = serde_json::from_str(&response.text("user")).ok();
    let name = |member: &str| {
        let text = user.as_ref()?.get("name")?.get(member)?.as_str()?;
        Name::parse(text).filter(|name| !name.as_str().is_empty())
    };
    [name("firstName"), name("lastName")]
}

fn failure(provider: &Provider, cause: ProviderCause) -> Denial {
    Denial::Provider(provider.name().to_owned(), cause)
}

/// Why nobody is signed in, with the way back to the start. `once_more`: somebody is, and was to sign in once more.
fn again(ctx: &Ctx<'_>, denial: Denial, place: &ReturnTo, once_more: bool) -> Reply {
    let row = denial.row();
    let answer = if ctx.parts.wants_page() {
        let gateway = ctx.site.gateway.as_ref();
        let words = ctx.words();
        let frame = ctx.frame(words, row.title_in(words), row.code);
        let ways = Ways {
            action: Some(LinkButton {
                label: words.text("sign_in_again").to_owned(),
                href: match gateway {
                    // It asks what the service or the site wanted once more.
                    Some(_) if place.local().starts_with("/login/") => place.local().to_owned(),
                    Some(_) => "/login/".to_owned(),
                    // The rule says once more what it wants.
                    None if once_more => place.local().to_owned(),
                    None => page_url(ctx, place, None),
                },
            }),
            ..Ways::default()
        };
        let message = Message {
            lead: row.text_in(words),
            ways,
            ..Message::default()
        };
        page::message(row.status, &frame, message)
    } else {
        Answer::refusal(&denial, ctx.request_id)
    };
    Reply {
        refused: Some(denial),
        ..Reply::from(answer)
    }
}
