//! The pages that people see, from the templates in `www/`. Everything that goes into one is
//! escaped by the template engine; no page has a script.

use askama::Template;

use crate::answer::Answer;
use crate::platform::digest::random_text;
use crate::platform::port::Entropy;
use crate::site::Site;

/// A link that looks like a button.
#[derive(Clone, Debug)]
pub struct LinkButton {
    /// Its text.
    pub label: &'static str,
    /// Where it leads: a path of ours or a URL from the configuration.
    pub href: String,
}

/// What every page shows.
pub struct Frame<'a> {
    /// The heading.
    pub title: &'a str,
    /// A stable code, for whoever is asked for help; may be empty.
    pub code: &'a str,
    /// The request's name in the log.
    pub request_id: &'a str,
    /// The site, unless the configuration is too broken to have one.
    pub site: Option<&'a Site>,
}

/// A page that tells something.
pub struct Message<'a> {
    /// The first sentence.
    pub lead: &'a str,
    /// More, as a list.
    pub details: Vec<String>,
    /// What to do next.
    pub action: Option<LinkButton>,
}

/// A page that asks something.
pub struct Confirmation<'a> {
    /// The first sentence.
    pub lead: &'a str,
    /// Where the answer goes.
    pub form_action: &'a str,
    /// What goes with it.
    pub fields: Vec<(String, String)>,
    /// The button's text.
    pub submit_label: &'a str,
    /// The way out.
    pub cancel: Option<LinkButton>,
    /// Where the form may lead besides this site: an origin.
    pub form_to: Option<&'a str>,
}

#[derive(Template)]
#[template(path = "message.html")]
struct MessagePage<'a> {
    title: &'a str,
    lead: &'a str,
    details: Vec<String>,
    action: Option<LinkButton>,
    code: &'a str,
    request_id: &'a str,
    nonce: &'a str,
    site: &'a str,
}

#[derive(Template)]
#[template(path = "confirm.html")]
struct ConfirmPage<'a> {
    title: &'a str,
    lead: &'a str,
    form_action: &'a str,
    fields: Vec<(String, String)>,
    submit_label: &'a str,
    cancel: Option<LinkButton>,
    code: &'a str,
    request_id: &'a str,
    nonce: &'a str,
    site: &'a str,
}

/// Renders a page that tells something.
#[must_use]
pub fn message(
    status: u16,
    frame: &Frame<'_>,
    message: Message<'_>,
    entropy: &dyn Entropy,
) -> Answer {
    let nonce = random_text(entropy);
    let page = MessagePage {
        title: frame.title,
        lead: message.lead,
        details: message.details,
        action: message.action,
        code: frame.code,
        request_id: frame.request_id,
        nonce: &nonce,
        site: site_title(frame.site),
    };
    finish(status, &page, &nonce, frame.site, None)
}

/// Renders a page that asks something.
#[must_use]
pub fn question(
    status: u16,
    frame: &Frame<'_>,
    question: Confirmation<'_>,
    entropy: &dyn Entropy,
) -> Answer {
    let nonce = random_text(entropy);
    let page = ConfirmPage {
        title: frame.title,
        lead: question.lead,
        form_action: question.form_action,
        fields: question.fields,
        submit_label: question.submit_label,
        cancel: question.cancel,
        code: frame.code,
        request_id: frame.request_id,
        nonce: &nonce,
        site: site_title(frame.site),
    };
    finish(status, &page, &nonce, frame.site, question.form_to)
}

fn finish(
    status: u16,
    page: &impl Template,
    nonce: &str,
    site: Option<&Site>,
    form_to: Option<&str>,
) -> Answer {
    // Writing to a string cannot fail; if it ever does, an empty page is still a refusal.
    let html = page.render().unwrap_or_default();
    let frames = site.map_or(&[][..], |site| &site.frame_ancestors);
    Answer::page(status, html, nonce, frames, form_to)
}

fn site_title(site: Option<&Site>) -> &str {
    site.map_or("Edgeward", |site| site.hosts.first().unwrap_or(&site.name))
}
