//! The pages that people see, rendered from the templates in `www/`. The template engine escapes
//! every value. No page has a script but those with passkeys, and theirs is a file of ours.

use std::sync::LazyLock;

use askama::Template;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::answer::Answer;
use crate::platform::digest::sha256;
use crate::site::Site;

/// The style of every page.
pub(super) const STYLE: &str = include_str!("../../www/style.css");

/// The style as a source of a page's policy, which lets no other style in (Content Security Policy Level 3 §2.3.1).
pub static STYLE_SOURCE: LazyLock<String> = LazyLock::new(|| source_of(STYLE));

fn source_of(style: &str) -> String {
    format!("'sha256-{}'", STANDARD.encode(sha256(style.as_bytes())))
}

/// A link that looks like a button.
#[derive(Clone, Debug)]
pub struct LinkButton {
    pub label: String,
    /// A path of this site or a URL from the configuration.
    pub href: String,
}

impl LinkButton {
    /// Whether it leads away, so that in a frame it opens the whole window.
    fn leads_away(&self) -> bool {
        !self.href.starts_with('/')
    }
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
    content: Message<'a>,
    layout: Layout<'a>,
}

#[derive(Template)]
#[template(path = "onward.html")]
struct OnwardPage<'a> {
    url: &'a str,
    layout: Layout<'a>,
}

#[derive(Template)]
#[template(path = "confirm.html")]
struct ConfirmPage<'a> {
    content: Confirmation<'a>,
    layout: Layout<'a>,
}

/// Renders a page that informs.
#[must_use]
pub fn message(status: u16, frame: &Frame<'_>, content: Message<'_>) -> Answer {
    let page = MessagePage {
        content,
        layout: Layout::of(frame),
    };
    finish(status, &page, frame.site, None)
}

/// Renders a page that informs, for a frame. Where the site names nobody who may frame it, any page may frame this one: it
/// contains nothing of anybody, and its button opens the whole window.
#[must_use]
pub fn framed(status: u16, frame: &Frame<'_>, content: Message<'_>) -> Answer {
    let page = MessagePage {
        content,
        layout: Layout::of(frame),
    };
    finish_as(status, &page, frame.site, None, Further::Anywhere)
}

/// Renders a page that goes on to `url` by itself, without a script: a navigation that begins at this site.
#[must_use]
pub fn onward(site: &Site, request_id: &str, url: &str) -> Answer {
    let page = OnwardPage {
        url,
        layout: Layout::of(&Frame {
            title: "One moment",
            code: "",
            request_id,
            site: Some(site),
        }),
    };
    finish(200, &page, Some(site), None)
}

/// Renders a page that asks for a confirmation.
#[must_use]
pub fn question(status: u16, frame: &Frame<'_>, content: Confirmation<'_>) -> Answer {
    let form_to = content.form_to;
    let page = ConfirmPage {
        content,
        layout: Layout::of(frame),
    };
    finish(status, &page, frame.site, form_to)
}

pub(super) fn finish(
    status: u16,
    page: &impl Template,
    site: Option<&Site>,
    form_to: Option<&str>,
) -> Answer {
    finish_as(status, page, site, form_to, Further::Nothing)
}

/// What one page may, and others may not.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(super) enum Further {
    Nothing,
    /// Any page may frame it where the site names none.
    Anywhere,
    /// Our own scripts run.
    Script,
}

pub(super) fn finish_as(
    status: u16,
    page: &impl Template,
    site: Option<&Site>,
    form_to: Option<&str>,
    further: Further,
) -> Answer {
    // Writing to a string cannot fail. If it ever does, an empty page still refuses.
    let html = page.render().unwrap_or_default();
    let frames = site.map_or(&[][..], |site| &site.frame_ancestors);
    let look = Look::of(site);
    let mut style = STYLE_SOURCE.clone();
    if !look.style.is_empty() {
        style.push(' ');
        style.push_str(&source_of(&look.style));
    }
    let policy = Policy {
        style: &style,
        images: look.logo.map(image_source),
        frames,
        anywhere: further == Further::Anywhere,
        script: further == Further::Script,
        form_to,
    };
    Answer::page(status, html, &policy)
}

/// What a page may load and do.
pub struct Policy<'a> {
    /// The sources of styles.
    pub style: &'a str,
    /// The source of the logo.
    pub images: Option<&'a str>,
    /// The origins that may frame it.
    pub frames: &'a [String],
    /// Whether any page may, if there are none.
    pub anywhere: bool,
    /// Whether it has a script.
    pub script: bool,
    /// A further source for `form-action`, besides this site.
    pub form_to: Option<&'a str>,
}

/// What `layout.html` shows around each page.
pub(super) struct Layout<'a> {
    pub(super) title: &'a str,
    pub(super) code: &'a str,
    pub(super) request_id: &'a str,
    pub(super) look: Look<'a>,
}

impl<'a> Layout<'a> {
    pub(super) fn of(frame: &Frame<'a>) -> Self {
        Self {
            title: frame.title,
            code: frame.code,
            request_id: frame.request_id,
            look: Look::of(frame.site),
        }
    }
}

/// How a page looks: the host's name, or the gateway's brand.
pub(super) struct Look<'a> {
    pub(super) name: &'a str,
    pub(super) logo: Option<&'a str>,
    pub(super) language: &'a str,
    /// CSS of the brand, after that of every page.
    pub(super) style: String,
}

impl<'a> Look<'a> {
    pub(super) fn of(site: Option<&'a Site>) -> Self {
        let plain = |name| Self {
            name,
            logo: None,
            language: "en",
            style: String::new(),
        };
        let Some(site) = site else {
            return plain("Edgeward");
        };
        let Some(gateway) = &site.gateway else {
            return plain(&site.address);
        };
        let brand = &gateway.brand;
        // The configuration takes only colours that white text can be read on.
        let button = brand.accent.as_ref().map(|accent| {
            format!(".button:not(.plain){{background:{accent};border-color:{accent};color:#fff}}")
        });
        Self {
            name: &brand.name,
            logo: brand.logo.as_deref(),
            language: &brand.language,
            style: button.unwrap_or_default(),
        }
    }
}

/// The source of a logo: `data:`, or the origin of its URL.
fn image_source(logo: &str) -> &str {
    if logo.starts_with("data:") {
        return "data:";
    }
    let host = logo.find("://").map_or(0, |at| at + 3);
    let end = logo.get(host..).and_then(|rest| rest.find('/'));
    end.and_then(|end| logo.get(..host + end)).unwrap_or(logo)
}
