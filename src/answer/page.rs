//! The pages that people see, rendered from the templates in `www/`. The template engine escapes
//! every value. No page has a script.

use std::sync::LazyLock;

use askama::Template;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::answer::Answer;
use crate::platform::digest::sha256;
use crate::site::Site;

/// The style of every page.
const STYLE: &str = include_str!("../../www/style.css");

/// The style as a source of a page's policy, which lets no other style in (Content Security Policy Level 3 §2.3.1).
pub static STYLE_SOURCE: LazyLock<String> =
    LazyLock::new(|| format!("'sha256-{}'", STANDARD.encode(sha256(STYLE.as_bytes()))));

/// A link that looks like a button.
#[derive(Clone, Debug)]
pub struct LinkButton {
    pub label: &'static str,
    /// A path of this site or a URL from the configuration.
    pub href: String,
}

/// What every page shows.
pub struct Frame<'a> {
    pub title: &'a str,
    /// A stable code that a person can give to support; may be empty.
    pub code: &'a str,
    /// The id under which the log has this request.
    pub request_id: &'a str,
    /// `None` if the configuration is too broken to have a site.
    pub site: Option<&'a Site>,
}

/// The content of a page that informs.
pub struct Message<'a> {
    pub lead: &'a str,
    /// The items of a list below `lead`.
    pub details: Vec<String>,
    /// What to do next.
    pub action: Option<LinkButton>,
}

/// The content of a page that asks for a confirmation.
pub struct Confirmation<'a> {
    pub lead: &'a str,
    pub form_action: &'a str,
    /// Hidden fields of the form: name and value.
    pub fields: Vec<(String, String)>,
    pub submit_label: &'a str,
    pub cancel: Option<LinkButton>,
    /// A source for `form-action` besides this site: where redirects after the form may lead.
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
    site: &'a str,
}

/// Renders a page that informs.
#[must_use]
pub fn message(status: u16, frame: &Frame<'_>, message: Message<'_>) -> Answer {
    let page = MessagePage {
        title: frame.title,
        lead: message.lead,
        details: message.details,
        action: message.action,
        code: frame.code,
        request_id: frame.request_id,
        site: site_title(frame.site),
    };
    finish(status, &page, frame.site, None)
}

/// Renders a page that asks for a confirmation.
#[must_use]
pub fn question(status: u16, frame: &Frame<'_>, question: Confirmation<'_>) -> Answer {
    let page = ConfirmPage {
        title: frame.title,
        lead: question.lead,
        form_action: question.form_action,
        fields: question.fields,
        submit_label: question.submit_label,
        cancel: question.cancel,
        code: frame.code,
        request_id: frame.request_id,
        site: site_title(frame.site),
    };
    finish(status, &page, frame.site, question.form_to)
}

fn finish(status: u16, page: &impl Template, site: Option<&Site>, form_to: Option<&str>) -> Answer {
    // Writing to a string cannot fail. If it ever does, an empty page still refuses.
    let html = page.render().unwrap_or_default();
    let frames = site.map_or(&[][..], |site| &site.frame_ancestors);
    Answer::page(status, html, frames, form_to)
}

fn site_title(site: Option<&Site>) -> &str {
    site.map_or("Edgeward", |site| site.hosts.first().unwrap_or(&site.name))
}
