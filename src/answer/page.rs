//! The pages that people see, rendered from the templates in `www/`. The template engine escapes
//! every value. No page has a script but those with passkeys, and theirs is a file of ours.

use std::sync::LazyLock;

use askama::Template;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::answer::Answer;
use crate::platform::digest::sha256;
use crate::site::Site;
use crate::site::words::Words;

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
        !self.href.is_empty() && !self.href.starts_with('/')
    }
}

/// The ways on from a page: no page is a dead end.
#[derive(Clone, Debug, Default)]
pub struct Ways {
    /// What to do next.
    pub action: Option<LinkButton>,
    /// As whom somebody is signed in.
    pub who: Option<String>,
    /// What else one may do.
    pub other: Option<LinkButton>,
}

/// The statuses after which the same request may succeed (RFC 9110 §15).
const MAY_PASS_LATER: [u16; 5] = [408, 429, 500, 502, 503];

impl Ways {
    /// The way on from a refusal with `status`: to try again, where that may help, or to the first page of the site.
    /// `is_read`: whether the same address can be opened again.
    #[must_use]
    pub fn on(status: u16, words: Words<'_>, site: Option<&Site>, is_read: bool) -> Self {
        let button = |name: &'static str, href: String| LinkButton {
            label: words.text(name).to_owned(),
            href,
        };
        let action = if is_read && MAY_PASS_LATER.contains(&status) {
            // The page itself, with its query: what is in there is still of use.
            Some(button("try_again", String::new()))
        } else {
            let first_page = |site: &Site| match &site.gateway {
                Some(_) => "/login/".to_owned(),
                None => site.root_path(),
            };
            site.map(|site| button("start_page", first_page(site)))
        };
        Self {
            action,
            ..Self::default()
        }
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
    /// What the page says, and how it looks.
    pub words: Words<'a>,
}

/// The content of a page that informs.
#[derive(Default)]
pub struct Message<'a> {
    pub lead: &'a str,
    /// The items of a list below `lead`.
    pub details: Vec<String>,
    /// What is known of somebody: names and values.
    pub facts: Vec<(&'a str, String)>,
    pub ways: Ways,
    /// What an administrator wants to know, in English, below a heading to open it by.
    pub fold: Vec<String>,
}

/// The content of a page that asks for a confirmation.
#[derive(Default)]
pub struct Confirmation<'a> {
    pub lead: &'a str,
    /// Who and what the question is about: a text, and what is set off behind it.
    pub facts: Vec<(&'a str, String)>,
    /// What to mind, below the facts.
    pub caution: &'a str,
    pub form_action: &'a str,
    /// Hidden fields of the form: name and value.
    pub fields: Vec<(String, String)>,
    pub submit_label: &'a str,
    pub cancel: Option<LinkButton>,
    /// Whether that is the careful choice, which comes first.
    pub prefers_cancel: bool,
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
    finish(status, &page, frame, None)
}

/// Renders a page that informs, for a frame. Where the site names nobody who may frame it, any page may frame this one: it
/// contains nothing of anybody, and its button opens the whole window.
#[must_use]
pub fn framed(status: u16, frame: &Frame<'_>, content: Message<'_>) -> Answer {
    let page = MessagePage {
        content,
        layout: Layout::of(frame),
    };
    finish_as(status, &page, frame, None, Further::Anywhere)
}

/// Renders a page that goes on to `url` by itself, without a script: a navigation that begins at this site.
#[must_use]
pub fn onward(site: &Site, words: Words<'_>, request_id: &str, url: &str) -> Answer {
    let frame = Frame {
        title: words.text("onward_title"),
        code: "",
        request_id,
        site: Some(site),
        words,
    };
    let page = OnwardPage {
        url,
        layout: Layout::of(&frame),
    };
    finish(200, &page, &frame, None)
}

/// Renders a page that asks for a confirmation.
#[must_use]
pub fn question(status: u16, frame: &Frame<'_>, content: Confirmation<'_>) -> Answer {
    let form_to = content.form_to;
    let page = ConfirmPage {
        content,
        layout: Layout::of(frame),
    };
    finish(status, &page, frame, form_to)
}

pub(super) fn finish(
    status: u16,
    page: &impl Template,
    frame: &Frame<'_>,
    form_to: Option<&str>,
) -> Answer {
    finish_as(status, page, frame, form_to, Further::Nothing)
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
    frame: &Frame<'_>,
    form_to: Option<&str>,
    further: Further,
) -> Answer {
    // Writing to a string cannot fail. If it ever does, an empty page still refuses.
    let html = page.render().unwrap_or_default();
    let frames = frame.site.map_or(&[][..], |site| &site.frame_ancestors);
    let look = Look::of(frame.words);
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
    pub(super) words: Words<'a>,
    pub(super) look: Look<'a>,
}

impl<'a> Layout<'a> {
    pub(super) fn of(frame: &Frame<'a>) -> Self {
        Self {
            title: frame.title,
            code: frame.code,
            request_id: frame.request_id,
            words: frame.words,
            look: Look::of(frame.words),
        }
    }
}

/// How a page looks.
pub(super) struct Look<'a> {
    pub(super) name: &'a str,
    pub(super) logo: Option<&'a str>,
    /// Where people get help: what is shown, and where it leads.
    pub(super) contact: Option<(&'a str, String)>,
    /// CSS of the brand, after that of every page.
    pub(super) style: String,
}

impl<'a> Look<'a> {
    pub(super) fn of(words: Words<'a>) -> Self {
        let Some(brand) = words.brand() else {
            return Self {
                name: "Edgeward",
                logo: None,
                contact: None,
                style: String::new(),
            };
        };
        // The configuration takes only colours that white text can be read on.
        let button = brand.accent.as_ref().map(|accent| {
            format!(".button:not(.plain){{background:{accent};border-color:{accent};color:#fff}}")
        });
        Self {
            name: &brand.name,
            logo: brand.logo.as_deref(),
            contact: brand.contact.as_deref().map(|contact| {
                let shown = contact.strip_prefix("https://").unwrap_or(contact);
                let scheme = if shown == contact { "mailto:" } else { "" };
                (shown, [scheme, contact].concat())
            }),
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
